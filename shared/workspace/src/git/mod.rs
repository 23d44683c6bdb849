//! Git without a git binary: one place for the library that reads, the rest is what we write ourselves.

mod fetch;
mod http;
mod local;
mod object;
mod pack;
mod push;
mod seed;
mod source;

pub use local::default_branch;
pub(crate) use local::take;
pub use seed::{Revision, create_repository};
pub use source::GitSource;

pub(crate) use object::blob_id;
