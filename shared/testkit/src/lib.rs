#![doc = include_str!("../README.md")]

pub mod aws;
pub mod git;
pub mod github;
pub mod jira;
pub mod model;
pub mod openapi;
pub mod pace;
