//! What every `Tracker` promises.

use std::sync::Arc;

use domain::name::TrackerKey;
use engine::port::{Place, Tracker, Words};

use crate::contract::table::tenant;

/// Runs the suite; the tracker must know a ticket of that key.
pub async fn tracker(tracker: Arc<dyn Tracker>, key: &TrackerKey) {
    let (ours, theirs) = (tenant("ten_contract"), tenant("ten_other"));
    let place = &Place::Ticket(key.clone());
    let say = |marker: &'static str, text: &'static str| Words { marker, text, conclusion: None };
    assert!(tracker.find(&ours, place, "status").await.unwrap().is_empty());
    let first = tracker.create(&ours, place, &say("status", "one")).await.unwrap();
    let other = tracker.create(&ours, place, &say("plan", "plan")).await.unwrap();
    let found = tracker.find(&ours, place, "status").await.unwrap();
    assert_eq!(found.as_slice(), std::slice::from_ref(&first), "found by its marker, and only it");
    let changed = tracker.update(&ours, place, &first.id, &say("status", "two")).await.unwrap().unwrap();
    assert_eq!(changed.id, first.id, "edited in place");
    assert!(tracker.find(&ours, place, "status").await.unwrap()[0].text.starts_with("two"));
    let second = tracker.create(&ours, place, &say("status", "double")).await.unwrap();
    let both = tracker.find(&ours, place, "status").await.unwrap();
    assert_eq!(both.iter().map(|p| &p.id).collect::<Vec<_>>(), [&first.id, &second.id], "oldest first");
    assert!(tracker.find(&theirs, place, "status").await.unwrap().is_empty(), "tenants never meet");
    tracker.delete(&ours, place, &second.id).await.unwrap();
    tracker.delete(&ours, place, &second.id).await.unwrap();
    let gone = tracker.update(&ours, place, &second.id, &say("status", "x")).await.unwrap();
    assert_eq!(gone, None, "what was deleted is said to be gone");
    assert_eq!(tracker.find(&ours, place, "plan").await.unwrap(), [other]);
}
