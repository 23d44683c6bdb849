//! The stories and the suites, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "this is test code")]

mod adapters;
mod story;
mod tidy;
