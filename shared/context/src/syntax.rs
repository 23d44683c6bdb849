//! Whether a text is still one of its language: the check before a change is handed in.

use std::collections::BTreeSet;

use tree_sitter::Tree;

use crate::grammar::Grammar;

/// The first line that a change broke, with what is wrong; `None` where nothing is, or where nobody can tell.
///
/// `before` are the texts that it comes from, if any: a line that was broken there is not held against a change, since no
/// grammar knows every dialect.
pub fn broken(path: &str, before: &[&str], after: &str) -> Option<(usize, String)> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        // These may have comments, and are named like what may not.
        Some("json") if name.starts_with("tsconfig") || name.starts_with("jsconfig") || path.contains(".vscode/") => {
            None
        }
        Some("json") => settings(before, after, &|text| {
            serde_json::from_str::<serde::de::IgnoredAny>(text).err().map(|error| (error.line(), error.to_string()))
        }),
        Some("toml") => settings(before, after, &|text| {
            let error = toml::from_str::<toml::Table>(text).err()?;
            let at = error.span().map_or(0, |span| span.start);
            Some((text.get(..at).unwrap_or("").matches('\n').count() + 1, error.message().to_owned()))
        }),
        _ => code(path, before, after),
    }
}

type Check<'a> = &'a dyn Fn(&str) -> Option<(usize, String)>;

fn settings(before: &[&str], after: &str, check: Check<'_>) -> Option<(usize, String)> {
    let known = before.iter().any(|text| check(text).is_some());
    check(after).filter(|_| !known)
}

fn code(path: &str, before: &[&str], after: &str) -> Option<(usize, String)> {
    let grammar = Grammar::of(path)?;
    let mut known = BTreeSet::new();
    for text in before {
        let lines: Vec<&str> = text.lines().collect();
        let broken = errors(&grammar.parse(text)?);
        known.extend(broken.iter().filter_map(|(line, _)| lines.get(line - 1)).map(|line| line.trim()));
    }
    let lines: Vec<&str> = after.lines().collect();
    let new = |line: usize| !lines.get(line - 1).is_some_and(|text| known.contains(text.trim()));
    errors(&grammar.parse(after)?).into_iter().find(|(line, _)| new(*line))
}

/// The places that do not parse, in order.
fn errors(tree: &Tree) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        if node.is_missing() {
            found.push((node.start_position().row + 1, format!("`{}` is missing", node.kind())));
        } else if node.is_error() {
            found.push((node.start_position().row + 1, "this does not parse".to_owned()));
        }
        if node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_change_breaks_is_named_and_what_was_broken_is_not() {
        let line = |path: &str, before: &[&str], after: &str| broken(path, before, after).map(|(line, _)| line);
        assert_eq!(line("a.py", &["x = 1\n"], "x = 1\ndef f(:\n    pass\n"), Some(2));
        assert_eq!(line("a.rs", &[], "fn main() {\n    let x = (1;\n}\n"), Some(2));
        let old = "x = ?\ny = 1\n";
        assert_eq!(line("a.py", &[old], "x = ?\ny = 2\n"), None, "it was broken before");
        assert_eq!(line("a.py", &[old], "x = ?\ny = 1\n\n\ndef f(:\n"), Some(5), "the new one is named, not the old");
        assert_eq!(line("a.ts", &[], "export const x: number = 1\n"), None);
        assert_eq!(line("a.json", &[], "{\n  \"a\": 1,\n}\n"), Some(3));
        assert_eq!(line("a.toml", &["a = 1\n"], "a = 1\nb = \n"), Some(2));
        assert_eq!(line("tsconfig.json", &[], "{ // why\n}"), None, "comments are fine there");
        assert_eq!(line("notes.txt", &[], "((("), None, "nobody can tell");
    }
}
