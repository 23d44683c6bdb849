//! A steady load for a long time: memory, open files and disk must not grow with it.
//!
//! `cargo xtask soak 60 10` runs for 60 minutes with 10 tickets a minute; a line a minute says where things stand.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and stops at the first surprise")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use stories::people::People;
use stories::serve::bytes_below;
use stories::world::{Setup, World};

/// How long things are kept, so that removing them is part of what is seen.
const KEEP: &str = "keep = \"5m\"\n";

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let minutes = numbers.first().copied().unwrap_or(60);
    let a_minute = numbers.get(1).copied().unwrap_or(10);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(soak(minutes, a_minute));
}

async fn soak(minutes: u64, a_minute: u64) {
    let setup = Setup { apart: true, http: true, settings: KEEP.to_owned(), ..Setup::default() };
    let world = Arc::new(World::start(setup).await);
    let mut people = People::new(&world);
    let data = world.dir.path().join("data");
    let (started, mut sent, mut told) = (Instant::now(), 0, 0);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while told <= minutes {
        tick.tick().await;
        let elapsed = started.elapsed();
        if elapsed >= Duration::from_mins(1) / u32::try_from(a_minute).unwrap() * sent
            && elapsed.as_secs() < minutes * 60
        {
            let text = format!("Replace `TAX = 0.2` with `TAX = 0.{}` in `src/price.py`.", sent + 3);
            sent += 1;
            people.post(world.labelled(&format!("SHOP-{sent}"), &format!("Tax {sent}"), &text));
        }
        people.look().await;
        if elapsed.as_secs() / 60 >= told {
            let serve = world.serve.as_ref().unwrap();
            let (memory, peak) = serve.memory();
            let figures = json!({
                "minute": told, "tickets": sent, "done": people.done(), "memory_kib": memory / 1024,
                "peak_kib": peak / 1024, "open_files": serve.open_files(), "cpu_seconds": serve.cpu_seconds(),
                "blobs_kib": bytes_below(&data.join("blobs"), "") / 1024,
                "scratch_kib": bytes_below(&data.join("scratch"), "") / 1024,
                "state_kib": bytes_below(&data, "state.db") / 1024,
            });
            println!("{figures}");
            told += 1;
        }
    }
    people.until(usize::try_from(sent).unwrap()).await;
    drop(people);
    Arc::into_inner(world).unwrap().end().await;
}
