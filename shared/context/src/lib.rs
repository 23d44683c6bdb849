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

pub use grammar::is_outlined;
pub use index::Index;
pub use kind::Kind;
pub use outline::{Symbol, outline};
pub use pack::{CONVENTIONS, pack, reasons};
pub use rank::{Parts, Ranked, Selection, select};
pub use region::{Region, regions};
pub use syntax::broken;
pub use token::terms;
