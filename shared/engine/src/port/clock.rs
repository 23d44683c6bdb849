//! Time and identifiers, injected so that a simulation owns both.

use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;

/// What time it is.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Comes back after a while.
    async fn sleep(&self, duration: Duration);
}

/// Where fresh identifiers come from.
pub trait Ids: Send + Sync {
    /// 32 lower-case hex digits, unique, of at least 74 random bits, growing with time.
    fn next(&self) -> String;
}

/// Makes an identifier of a kind.
pub fn fresh<T: TryFrom<String>>(ids: &dyn Ids, prefix: &str) -> Result<T, T::Error> {
    T::try_from(format!("{prefix}{}", ids.next()))
}
