//! One suite a port; every adapter runs it, none is special-cased.

mod blobs;
mod queue;
mod table;
mod vault;

pub use blobs::blobs;
pub use queue::queue;
pub use table::table;
pub use vault::vault;
