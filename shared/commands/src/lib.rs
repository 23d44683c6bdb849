#![doc = include_str!("../README.md")]

mod error;
mod find;
mod help;
mod mask;
mod parse;
mod verb;

pub use error::CommandError;
pub use find::{Found, find};
pub use help::help;
pub use mask::Markup;
pub use parse::{Command, parse};
pub use verb::{VERBS, Verb};
