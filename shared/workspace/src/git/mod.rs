//! Git without a git binary: one place for the library that fetches, one for what we write ourselves.

mod http;
mod local;
mod object;
mod pack;
mod source;

pub use source::GitSource;

pub(crate) use object::blob_id;
