//! The stories and the suites, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "this is test code"
)]
#![allow(clippy::disallowed_methods, reason = "what is measured from outside takes the machine's own time")]
#![allow(clippy::print_stdout, reason = "what was covered and measured is told")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect")]

mod adapters;
mod agents;
mod commands;
mod fuzz;
mod story;
mod surfaces;
mod tidy;
