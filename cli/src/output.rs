//! Text for people, or one JSON object a line; the one place that writes to standard output.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a person is watching a terminal.
    pub(crate) fn is_terminal(self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }

    /// Writes a line for people; nothing where objects are wanted.
    pub(crate) fn line(self, text: &str) {
        if !self.json {
            write(text);
        }
    }

    /// Writes an object; nothing where text is wanted.
    pub(crate) fn object(self, value: &Value) {
        if self.json {
            write(&value.to_string());
        }
    }

    /// Writes whichever is wanted.
    pub(crate) fn either(self, text: &str, value: &Value) {
        self.line(text);
        self.object(value);
    }
}

/// A reader that went away is no reason to fail.
fn write(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
