//! How many tickets one machine carries from a signed delivery to an open pull request, and at what cost.
//!
//! The people are as fast as the machine and the model answers at once; git fetches and pushes are real.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and stops at the first surprise")]
#![allow(clippy::indexing_slicing, clippy::cast_precision_loss, reason = "figures are rounded for people")]

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use stories::people::People;
use stories::serve::bytes_below;
use stories::world::{Setup, World};

/// How many repositories the tickets are spread over.
const REPOSITORIES: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let json_only = arguments.iter().any(|argument| argument == "--json");
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1, 100, 1_000] } else { sizes };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let figures: Vec<Value> = sizes.iter().map(|size| runtime.block_on(measure(*size))).collect();
    for figure in &figures {
        if json_only {
            println!("{figure}");
        } else {
            println!("{figure:#}");
        }
    }
    if let (Some(first), Some(last)) = (figures.iter().find(|f| f["tickets"] != 1), figures.last()) {
        let ratio = |name: &str| (last[name].as_f64().unwrap() / first[name].as_f64().unwrap() * 100.0).round() / 100.0;
        println!(
            "{}",
            json!({ "from_tickets": first["tickets"], "to_tickets": last["tickets"],
                "cpu_seconds_a_workflow": ratio("cpu_seconds_a_workflow"), "peak_memory_mib": ratio("peak_memory_mib"),
                "ack_p99_ms": ratio("ack_p99_ms"), "workflows_per_hour": ratio("workflows_per_hour") })
        );
    }
}

async fn measure(tickets: usize) -> Value {
    let setup = Setup { apart: true, http: true, more: REPOSITORIES - 1, workers: 4, ..Setup::default() };
    let world = Arc::new(World::start(setup).await);
    let serve = world.serve.as_ref().unwrap();
    let (idle_cpu, (idle_memory, _)) = (serve.cpu_seconds(), serve.memory());
    let started = Instant::now();
    let mut people = People::new(&world);
    for number in 0..tickets {
        let project = match number % REPOSITORIES {
            0 => "SHOP".to_owned(),
            other => format!("MORE{other}"),
        };
        let text = format!("Replace `TAX = 0.2` with `TAX = 0.{}` in `src/price.py`.", number + 3);
        let event = world.labelled(&format!("{project}-{}", number + 1), &format!("Tax {number}"), &text);
        people.post(event);
    }
    people.until(tickets).await;
    let elapsed = started.elapsed().as_secs_f64();
    let acks = people.acks().await;
    drop(people);
    let at = |part: usize| (acks[(acks.len() - 1) * part / 100].as_secs_f64() * 10_000.0).round() / 10.0;
    let cpu = serve.cpu_seconds() - idle_cpu;
    let mib = |bytes: u64| bytes / 1024 / 1024;
    let mut branches = 0;
    for name in std::fs::read_dir(world.dir.path().join("repositories")).unwrap() {
        let folder = name.unwrap().path();
        let list = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(&folder)
            .args(["for-each-ref", "--format=%(refname)", "refs/heads/prfactory"])
            .output()
            .unwrap();
        branches += String::from_utf8(list.stdout).unwrap().lines().count();
    }
    assert_eq!(branches, tickets, "each ticket has its branch");
    let requests = world.git.as_ref().unwrap().requests().len();
    let figures = json!({
        "tickets": tickets,
        "workflows_per_hour": (tickets as f64 / elapsed * 3_600.0).round(),
        "seconds": (elapsed * 100.0).round() / 100.0,
        "deliveries": acks.len(),
        "ack_p50_ms": at(50),
        "ack_p99_ms": at(99),
        "cpu_seconds_a_workflow": (cpu / tickets as f64 * 10_000.0).round() / 10_000.0,
        "idle_memory_mib": mib(idle_memory),
        "peak_memory_mib": mib(serve.memory().1),
        "state_kib_a_workflow": bytes_below(&world.dir.path().join("data"), "state.db") / 1024 / tickets as u64,
        "blobs_kib_a_workflow": bytes_below(&world.dir.path().join("data/blobs"), "") / 1024 / tickets as u64,
        "model_calls_a_workflow": world.model.calls() as f64 / tickets as f64,
        "git_requests_a_workflow": requests as f64 / tickets as f64,
    });
    Arc::into_inner(world).unwrap().end().await;
    figures
}
