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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_has_a_row_for_each_verb_under_the_handle_it_is_said_to() {
        let text = help("prfactory");
        let (start, table) = text.split_once("\n\n").unwrap();
        assert_eq!(start, "Start a line with `@prfactory` or `/prfactory`:");
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(rows.len(), VERBS.len());
        for (row, verb) in rows.iter().zip(VERBS) {
            assert!(row.starts_with(&format!("| `{}", verb.name)) && row.contains(verb.does), "{row}");
            assert!(row.ends_with(&format!("| {} |", verb.least.as_str())), "{row}");
        }
        let autofix = "| `autofix on\\|off` | switches the repair of failing checks | writer |";
        assert!(rows.contains(&autofix), "a bar within a cell would end it: {text}");
    }
}
