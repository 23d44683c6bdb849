#![doc = include_str!("../README.md")]

pub mod jira;
mod local;

pub use local::LocalTracker;
