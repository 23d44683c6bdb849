#![doc = include_str!("../README.md")]

#[cfg(feature = "aws")]
mod admin;
pub mod args;
pub mod client;
mod context;
mod delivery;
pub mod demo;
mod doctor;
mod exit;
pub mod github;
mod http;
pub mod jira;
mod listen;
mod local_files;
mod output;
pub mod run;
pub mod system;
mod usage;
mod view;

pub use exit::Exit;
