//! The engine under deterministic simulation: the real functions, simulated ports, virtual time, one thread.

#![allow(clippy::indexing_slicing, reason = "a slip in a simulation is to stop it")]

pub mod campaign;
pub mod clockwork;
pub mod fair;
pub mod fault;
pub mod long;
pub mod matrix;
pub mod mutant;
pub mod people;
pub mod port;
pub mod provider;
pub mod run;
pub mod scene;
mod shown;
pub mod watch;
pub mod world;
