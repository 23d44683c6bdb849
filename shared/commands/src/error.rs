//! Why a command was not understood, in words for the person who typed it.

use thiserror::Error;

/// A command that was meant and cannot be carried out as typed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// No verb of that name.
    #[error("Unknown command `{verb}`.{} Say `help` for the list.", suggestion.map(|s| format!(" Did you mean `{s}`?")).unwrap_or_default())]
    Unknown {
        /// What was typed, shortened.
        verb: String,
        /// The verb it looks like.
        suggestion: Option<&'static str>,
    },
    /// The arguments do not fit.
    #[error("{problem} Usage: `{usage}`.")]
    Usage {
        /// What is wrong with them.
        problem: String,
        /// How they should look.
        usage: String,
    },
    /// More than one command in a comment.
    #[error("One command a comment: this one has {count}, so none was carried out.")]
    Several {
        /// How many.
        count: usize,
    },
}
