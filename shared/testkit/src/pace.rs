//! Seeded delays: the same seed waits the same times in the same order.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a server of the tests waits before it answers.
#[derive(Debug, Default)]
pub struct Pace(Mutex<(u64, Duration)>);

impl Pace {
    /// Waits between nothing and this long from now on.
    pub fn set(&self, seed: u64, longest: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (seed.max(1), longest);
    }

    /// Waits once.
    pub(crate) async fn wait(&self) {
        let wait = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (wait, next) = draw(state.0, state.1);
            state.0 = next;
            wait
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// A duration below the longest and the state after it, by Marsaglia's xorshift.
pub fn draw(state: u64, longest: Duration) -> (Duration, u64) {
    let mut next = state;
    next ^= next << 13;
    next ^= next >> 7;
    next ^= next << 17;
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
    (Duration::from_micros(next % micros), next)
}
