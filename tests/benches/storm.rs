//! Ten minutes of load on one `serve` that is killed at random and twice stopped for longer than a turn's lease.
//!
//! `cargo xtask storm 10` ends with one line of figures, or at the first promise that was broken.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and stops at the first surprise")]

use std::time::Duration;

use engine::stage::LEASE;
use stories::storm::{Storm, weather};

fn main() {
    let minutes = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let lasts = Duration::from_mins(minutes);
    let stopped = LEASE + Duration::from_secs(10);
    let after = runtime.block_on(weather(Storm { kills: 100, lasts, stops: 2, stopped }));
    assert!(after.repeated <= after.may_repeat as usize, "{} calls were repeated", after.repeated);
    println!("{after:?}");
}
