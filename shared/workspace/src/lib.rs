#![doc = include_str!("../README.md")]

mod carry;
mod diff;
mod git;
mod jail;
mod scratch;
mod search;
mod snapshot;
mod store;

pub use carry::{Carried, carry, is_marked};
pub use diff::diff;
pub use git::{GitSource, Revision, create_repository, default_branch};
pub use jail::{Jail, JailError};
pub use scratch::{Scratch, sweep};
pub use search::{Hit, SearchError};
pub use snapshot::Limits;
pub use store::{MemoryTree, ScratchWorkspace};
