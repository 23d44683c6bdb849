#![doc = include_str!("../README.md")]

#[cfg(feature = "stages")]
mod batch;
mod gateway;
mod handler;
#[cfg(feature = "stages")]
mod metric;
#[cfg(feature = "stages")]
mod stack;
mod start;
mod trace;
mod variable;

#[cfg(feature = "stages")]
pub use batch::{consume, each_minute};
pub use gateway::{Ingress, receive};
pub use handler::{Handler, handler};
#[cfg(feature = "stages")]
pub use stack::{Stack, scratch};
pub use start::StartError;
pub use variable::{Arn, ConfigError, Prefix, Reader, Variable};
