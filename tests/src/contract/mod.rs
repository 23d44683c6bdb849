//! One suite a port; every adapter runs it, none is special-cased.

use std::sync::Arc;

use domain::Timestamp;
use engine::port::Permit;

mod blobs;
mod clock;
mod forge;
mod queue;
mod secrets;
mod source;
mod table;
mod tracker;
mod vault;

pub use blobs::blobs;
pub use clock::{clock, ids};
pub use forge::forge;
pub use queue::{Pace, groups_take_turns, queue};
pub use secrets::secrets;
pub use source::source;
pub use table::{table, tenant};
pub use tracker::tracker;
pub use vault::vault;

/// Leave that does not lapse while a suite runs.
fn granted() -> Permit {
    Permit::new(Arc::new(local::SystemClock), Timestamp::MAX)
}

/// Leave that lapsed long ago.
fn lapsed() -> Permit {
    Permit::new(Arc::new(local::SystemClock), Timestamp::UNIX_EPOCH)
}
