#![doc = include_str!("../README.md")]

pub mod github;
mod local;

pub use local::LocalForge;
