//! Clocks, identifiers and secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::error::Failure;
use engine::port::{Clock, Ids, Secret, Secrets};

use crate::clockwork::Op;
use crate::clockwork::{Clockwork, Micros, stamp};
use crate::port::failure;

/// True time.
#[derive(Clone)]
pub struct SimClock(pub Clockwork);

/// The clock of one function instance, off by some seconds.
#[derive(Clone)]
pub struct SkewedClock {
    /// True time.
    pub clockwork: Clockwork,
    /// How far off it is.
    pub skew: Micros,
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX / 4)
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.at()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(micros(duration)).await;
    }
}

#[async_trait]
impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        stamp(self.clockwork.now() + self.skew)
    }

    async fn sleep(&self, duration: Duration) {
        self.clockwork.sleep(micros(duration)).await;
    }
}

/// Identifiers from seeded chance.
#[derive(Clone)]
pub struct SimIds(pub Clockwork);

impl Ids for SimIds {
    fn next(&self) -> String {
        self.0.id()
    }
}

/// Secrets by name.
pub struct SimSecrets {
    /// What breaks the calls.
    pub clockwork: Clockwork,
    /// The live versions of each.
    pub live: BTreeMap<&'static str, Vec<&'static [u8]>>,
}

#[async_trait]
impl Secrets for SimSecrets {
    async fn load(&self, name: &str) -> Result<Vec<Secret>, Failure> {
        let find = || self.live.get(name).cloned().unwrap_or_default();
        match self.clockwork.call(Op::read("secrets.load"), find).await {
            Ok(live) => Ok(live.into_iter().map(Secret::new).collect()),
            Err(harm) => Err(failure(&self.clockwork, "reading a secret", harm, false)),
        }
    }
}
