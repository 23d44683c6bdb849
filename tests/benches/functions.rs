//! Start, memory and work of the functions as they are deployed: `functions FOLDER` with `NAME/bootstrap` in it.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends when something is wrong")]
#![allow(clippy::cast_precision_loss, reason = "far fewer than 2^53 of anything")]
#![allow(clippy::disallowed_methods, reason = "what is measured from outside takes the machine's own time")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stories::runtime::{Function, delivery};
use stories::world::recorded;
use xtask::package::FUNCTIONS;

/// How often each is started.
const STARTS: usize = 15;
/// Deliveries that are measured.
const EVENTS: usize = 2_000;
/// Deliveries under a small function's share of a processor, and how far apart they come.
const SHARED: usize = 300;
/// A hundred a second for one environment: half of its share.
const SPACED: Duration = Duration::from_millis(10);

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A group of processes that gets as much of a processor as Lambda gives 128 MB: a fourteenth.
struct Share(PathBuf);

impl Share {
    fn of(process: u32) -> Option<Self> {
        let old = Path::new("/sys/fs/cgroup/cpu").is_dir();
        let root = if old { "/sys/fs/cgroup/cpu" } else { "/sys/fs/cgroup" };
        let share = Self(format!("{root}/prfactory-{process}").into());
        std::fs::create_dir(&share.0).ok()?;
        let set = |name: &str, value: &str| std::fs::write(share.0.join(name), value).ok();
        // Lambda deals processor time out every twenty milliseconds.
        if old {
            set("cpu.cfs_period_us", "20000")?;
            set("cpu.cfs_quota_us", "1447")?;
        } else {
            set("cpu.max", "1447 20000")?;
        }
        set("cgroup.procs", &process.to_string())?;
        Some(share)
    }
}

/// How long deliveries take that come one by one, now and then.
async fn spaced(function: &Function, event: &Value) -> Vec<f64> {
    let mut took = Vec::new();
    // One right after the other they would only measure the share itself.
    let mut tick = tokio::time::interval(SPACED);
    for _ in 0..SHARED {
        tick.tick().await;
        let sent = Instant::now();
        assert_eq!(function.handle(event.clone()).await["statusCode"], json!(202));
        took.push(sent.elapsed().as_secs_f64() * 1_000.0);
    }
    took
}

async fn webhook(bootstrap: &Path) -> Value {
    let body = serde_json::to_vec(&recorded("github/issues.labeled")).unwrap();
    let event = delivery(&body);
    let function = Function::start(bootstrap).await;
    function.handle(event.clone()).await;
    let before = function.worked();
    let mut took = Vec::new();
    for _ in 0..EVENTS {
        let sent = Instant::now();
        assert_eq!(function.handle(event.clone()).await["statusCode"], json!(202));
        took.push(sent.elapsed().as_secs_f64() * 1_000.0);
    }
    let work = (function.worked() - before) as f64 / EVENTS as f64 / 1e6;
    let peak = function.memory("VmHWM") as f64 / 1_000.0;
    let alone = middle(spaced(&function, &event).await);
    let shared = match Share::of(function.id()) {
        None => Value::Null,
        Some(share) => {
            let took = spaced(&function, &event).await;
            drop(function);
            // The group is empty once its process is gone.
            let _ = std::fs::remove_dir(&share.0);
            json!(middle(took))
        }
    };
    json!({
        "bytes": body.len(), "cpu_ms_an_event": work, "peak_mb": peak, "p50_ms": middle(took),
        "p50_ms_spaced": alone, "p50_ms_spaced_at_128_mb": shared })
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        panic!("which folder? `cargo xtask package` fills target/lambda");
    };
    for name in FUNCTIONS {
        let bootstrap = folder.join(name).join("bootstrap");
        if !bootstrap.exists() {
            println!("{}", json!({ "function": name, "measured": false, "why": "not packaged" }));
            continue;
        }
        let (mut init, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let function = Function::start(&bootstrap).await;
            init.push(function.init.as_secs_f64() * 1_000.0);
            memory.push(function.memory("VmRSS") as f64 / 1_000.0);
        }
        let mut said = json!({ "function": name, "init_ms": middle(init), "memory_mb": middle(memory) });
        if name == "github-webhook" {
            said["delivery"] = webhook(&bootstrap).await;
        }
        println!("{said}");
    }
}
