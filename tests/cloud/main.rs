//! The system on AWS's interface: contracts of the adapters, the template, and stories on what it deploys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "this crate is test code")]
#![allow(clippy::missing_panics_doc, reason = "a test panics when a promise is broken")]

mod adapters;
mod app;
mod load;
mod receiving;
mod story;
mod template;
mod trouble;
mod wire;
