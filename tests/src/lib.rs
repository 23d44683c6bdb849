#![doc = include_str!("../README.md")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "this crate is test code")]
#![allow(clippy::disallowed_methods, reason = "what is measured from outside takes the machine's own time")]
#![allow(clippy::missing_panics_doc, reason = "a test panics when a promise is broken")]

pub mod cloud;
pub mod contract;
pub mod disk;
pub mod forged;
pub mod hand;
pub mod people;
pub mod runtime;
pub mod serve;
pub mod storm;
pub mod world;
