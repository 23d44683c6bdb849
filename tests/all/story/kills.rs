//! `serve` is killed a hundred times, at every kind of moment, and everything still happens exactly once.

use std::time::Duration;

use stories::storm::{Storm, moments, weather};

#[tokio::test(flavor = "multi_thread")]
async fn killed_a_hundred_times_everything_has_happened_exactly_once() {
    let storm = Storm { kills: 100, lasts: Duration::ZERO, stops: 0, stopped: Duration::ZERO };
    let after = weather(storm).await;
    println!("{after:?}");
    for moment in moments() {
        assert!(after.moments.contains_key(moment), "no kill met {moment}: {:?}", after.moments);
    }
    assert!(after.repeated <= after.may_repeat as usize, "{} calls were repeated", after.repeated);
}
