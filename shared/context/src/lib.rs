#![doc = include_str!("../README.md")]

mod definition;
mod field;
mod grammar;
mod index;
mod kind;
mod mention;
mod outline;
mod pack;
mod query;
mod rank;
mod region;
mod syntax;
mod token;

pub use index::Index;
pub use kind::Kind;
pub use outline::{Symbol, is_outlined, outline};
pub use pack::{CONVENTIONS, numbered, pack, reasons};
pub use rank::{Parts, Ranked, Selection, select};
pub use region::{Region, regions};
pub use syntax::broken;
pub use token::terms;
