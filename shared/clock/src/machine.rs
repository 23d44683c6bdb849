//! The machine's clock and random numbers: the one place that reads either.

use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use engine::port::{Clock, Ids};

/// The machine's clock, to the microsecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock's one home")]
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// UUIDs of version 7.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn next(&self) -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }
}
