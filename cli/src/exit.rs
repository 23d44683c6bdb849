//! What the process says to whoever started it.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something went wrong; the message says what to do.
    Failed,
    /// The machine refused: role, state or hash.
    Refused,
    /// There is no such ticket.
    NotFound,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            // 2 is clap's, for a command line that cannot be read.
            Exit::Refused => 3,
            Exit::NotFound => 4,
        })
    }
}
