#![doc = include_str!("../README.md")]

pub mod github;
mod local;
mod route;

pub use github::{App, AppSettings, Claimable, Claims, DeviceCode, Github, KeySigner};
pub use local::LocalForge;
pub use route::{Forges, Writers};
