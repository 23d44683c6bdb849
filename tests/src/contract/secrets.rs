//! What every `Secrets` promises.

use std::sync::Arc;

use engine::port::Secrets;

/// Runs the suite; the adapter must hold a secret of that name with at least one live version.
pub async fn secrets(secrets: Arc<dyn Secrets>, name: &str) {
    let live = secrets.load(name).await.unwrap();
    assert!((1..=2).contains(&live.len()), "at most two versions are live");
    assert!(live.iter().all(|version| !version.is_blank()));
    let again = secrets.load(name).await.unwrap();
    assert_eq!(live[0].expose(), again[0].expose(), "the newest comes first, each time");
    assert!(secrets.load("no-such-secret").await.unwrap().is_empty(), "a missing secret is none, not an error");
}
