//! What every `Clock` and `Ids` promise.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::id::TicketId;
use engine::port::{Clock, Ids, fresh};

/// Runs the suite of clocks.
pub async fn clock(clock: &dyn Clock) {
    let before = clock.now();
    let pause = Duration::from_millis(5);
    clock.sleep(pause).await;
    let after = clock.now();
    assert!(after.duration_since(before).as_millis() >= 5, "sleeping takes its time by the same clock");
    assert_eq!(before.as_microsecond() * 1_000, i64::try_from(before.as_nanosecond()).unwrap(), "whole microseconds");
}

/// Runs the suite of identifiers.
pub fn ids(ids: &dyn Ids) {
    let many: Vec<String> = (0..2_000).map(|_| ids.next()).collect();
    assert!(many.iter().all(|id| id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))));
    assert_eq!(many.iter().collect::<BTreeSet<_>>().len(), many.len());
    assert!(many.is_sorted(), "they grow with time");
    let ticket: TicketId = fresh(ids, TicketId::PREFIX).unwrap();
    assert!(ticket.as_str().starts_with("tkt_"));
}
