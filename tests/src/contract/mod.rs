//! One suite a port; every adapter runs it, none is special-cased.

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
pub use queue::{groups_take_turns, queue};
pub use secrets::secrets;
pub use source::source;
pub use table::{table, tenant};
pub use tracker::tracker;
pub use vault::vault;
