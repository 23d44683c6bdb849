#![doc = include_str!("../README.md")]

#[cfg(feature = "client")]
pub mod anthropic;
mod brief;
pub mod output;
pub mod price;
mod prompt;
mod question;
mod run;
mod sound;
mod stuck;
mod tool;
mod untrusted;

pub use brief::{brief, plan_of};
pub use prompt::{Facts, opening};
pub use run::{Checkpoint, Step, Task, step};
pub use tool::{Tools, specs};
pub use untrusted::untrusted;
