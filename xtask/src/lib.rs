//! What tasks and tests share: running programs, packing functions, and AWS's interface on this machine.

pub mod emulator;
pub mod package;
pub mod program;
pub mod python;
