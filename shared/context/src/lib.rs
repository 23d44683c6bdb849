#![doc = include_str!("../README.md")]

mod pack;
mod rank;
mod token;

pub use pack::{CONVENTIONS, pack};
pub use rank::{Ranked, rank};
