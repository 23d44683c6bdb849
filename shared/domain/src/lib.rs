#![doc = include_str!("../README.md")]

pub mod artifact;
pub mod change_set;
pub mod decide;
pub mod error;
pub mod gate;
pub mod hash;
pub mod id;
pub mod input;
pub mod money;
pub mod name;
pub mod neutral;
pub mod path;
pub mod policy;
pub mod principal;
pub mod prompt;
pub mod refusal;
pub mod state;
pub mod ticket;

pub use decide::{Decision, decide};
pub use jiff::Timestamp;
