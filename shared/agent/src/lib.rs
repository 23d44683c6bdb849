#![doc = include_str!("../README.md")]

#[cfg(feature = "client")]
pub mod anthropic;
pub mod output;
pub mod price;
mod prompt;
mod run;
mod tool;
mod untrusted;

pub use prompt::{Facts, Prompt};
pub use run::{Checkpoint, Step, Task, step};
pub use tool::{Tools, specs};
pub use untrusted::untrusted;
