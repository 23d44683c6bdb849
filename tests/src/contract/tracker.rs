//! What every `Tracker` promises.

use std::sync::Arc;

use domain::name::TrackerKey;
use engine::port::Tracker;

use crate::contract::table::tenant;

/// Runs the suite; the tracker must know a ticket of that key.
pub async fn tracker(tracker: Arc<dyn Tracker>, key: &TrackerKey) {
    let (ours, theirs) = (tenant("ten_contract"), tenant("ten_other"));
    let mark = |kind: &str| format!("<!-- prfactory:{kind} -->");
    assert!(tracker.find(&ours, key, &mark("status")).await.unwrap().is_empty());
    let first = tracker.create(&ours, key, &format!("one\n\n{}", mark("status"))).await.unwrap();
    let other = tracker.create(&ours, key, &format!("plan\n\n{}", mark("plan"))).await.unwrap();
    let found = tracker.find(&ours, key, &mark("status")).await.unwrap();
    assert_eq!(found.as_slice(), std::slice::from_ref(&first), "found by its marker, and only it");
    let changed = tracker.update(&ours, key, &first.id, &format!("two\n\n{}", mark("status"))).await.unwrap().unwrap();
    assert_eq!(changed.id, first.id, "edited in place");
    assert!(tracker.find(&ours, key, &mark("status")).await.unwrap()[0].text.starts_with("two"));
    let second = tracker.create(&ours, key, &format!("double\n\n{}", mark("status"))).await.unwrap();
    let both = tracker.find(&ours, key, &mark("status")).await.unwrap();
    assert_eq!(both.iter().map(|p| &p.id).collect::<Vec<_>>(), [&first.id, &second.id], "oldest first");
    assert!(tracker.find(&theirs, key, &mark("status")).await.unwrap().is_empty(), "tenants never meet");
    tracker.delete(&ours, key, &second.id).await.unwrap();
    tracker.delete(&ours, key, &second.id).await.unwrap();
    assert_eq!(tracker.update(&ours, key, &second.id, "x").await.unwrap(), None, "what was deleted is said to be gone");
    assert_eq!(tracker.find(&ours, key, &mark("plan")).await.unwrap(), [other]);
}
