#![doc = include_str!("../README.md")]

pub mod aws;
pub mod git;
pub mod model;
pub mod pace;
