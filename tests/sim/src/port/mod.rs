//! Doubles of every port: they keep the ports' contracts, and fail the ways the real ones do.

mod basics;
mod blobs;
mod forge;
mod model;
mod queue;
mod source;
mod table;
mod tracker;

pub use basics::{SimClock, SimIds, SimSecrets, SkewedClock};
pub use blobs::SimBlobs;
pub use forge::{Pull, SimForge};
pub use model::{Mood, SimModel};
pub use queue::SimQueue;
pub use source::{Commit, SimSource};
pub use table::SimTable;
pub use tracker::{Comment, SimTracker};

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::error::{Failure, Fault};
use jiff::SignedDuration;

use crate::clockwork::Clockwork;
use crate::fault::Harm;

/// Locks what only one thread ever holds.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an adapter makes of a call that went wrong; one that changes nothing is never *unknown*.
pub(crate) fn failure(clockwork: &Clockwork, what: &str, harm: Harm, writes: bool) -> Failure {
    let unknown = if writes { Fault::Unknown } else { Fault::Transient };
    let fault = match harm {
        Harm::Busy => {
            let wait = clockwork.chance(500).then(|| SignedDuration::from_secs(clockwork.between(1, 120)));
            Fault::RateLimited { retry_at: wait.map(|wait| clockwork.at() + wait) }
        }
        Harm::Unavailable => Fault::Transient,
        Harm::Error | Harm::LostBefore | Harm::LostAfter => unknown,
        Harm::None | Harm::Crash | Harm::CrashAfter => Fault::Bug,
    };
    Failure::new(fault, format!("{what} failed ({harm:?})"))
}
