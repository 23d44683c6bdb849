#![doc = include_str!("../README.md")]

mod machine;

pub use machine::{SystemClock, SystemIds};
