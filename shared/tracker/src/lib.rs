#![doc = include_str!("../README.md")]

pub mod adf;
pub mod jira;
mod local;
mod route;
pub mod wiki;

pub use jira::Jira;
pub use local::LocalTracker;
pub use route::Trackers;
