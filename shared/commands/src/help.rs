//! Help, rendered from the table of verbs.

use std::fmt::Write as _;

use crate::verb::VERBS;

/// Renders the list of commands as Markdown for a handle.
pub fn help(handle: &str) -> String {
    let mut text = format!(
        "Start a line with `@{handle}` or `/{handle}`:\n\n| command | what it does | least role |\n|---|---|---|\n"
    );
    for verb in VERBS {
        let usage = verb.usage().replace('|', "\\|");
        let _ = writeln!(text, "| `{usage}` | {} | {} |", verb.does, verb.least.as_str());
    }
    text
}
