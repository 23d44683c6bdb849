//! Whether a text is still one of its language: the check before a change is handed in.

use tree_sitter::Tree;

use crate::grammar::Grammar;

/// The first line that a change broke, with what is wrong; `None` where nothing is, or where nobody can tell.
///
/// `before` is the text that was there, if any: what was broken before is not held against a change, since no grammar
/// knows every dialect.
pub fn broken(path: &str, before: Option<&str>, after: &str) -> Option<(usize, String)> {
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

fn settings(before: Option<&str>, after: &str, check: Check<'_>) -> Option<(usize, String)> {
    let known = before.and_then(check).is_some();
    check(after).filter(|_| !known)
}

fn code(path: &str, before: Option<&str>, after: &str) -> Option<(usize, String)> {
    let grammar = Grammar::of(path)?;
    let after = errors(&grammar.parse(after)?);
    let before = before.and_then(|text| Some(errors(&grammar.parse(text)?).len())).unwrap_or(0);
    if after.len() <= before {
        return None;
    }
    after.into_iter().next()
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
        assert_eq!(broken("a.py", Some("x = 1\n"), "x = 1\ndef f(:\n    pass\n").map(|(line, _)| line), Some(2));
        assert_eq!(broken("a.rs", None, "fn main() {\n    let x = (1;\n}\n").map(|(line, _)| line), Some(2));
        assert_eq!(broken("a.py", Some("def f(:\n"), "def f(:\nx = 1\n"), None, "it was broken before");
        assert_eq!(broken("a.ts", None, "export const x: number = 1\n"), None);
        assert_eq!(broken("a.json", None, "{\n  \"a\": 1,\n}\n").map(|(line, _)| line), Some(3));
        assert_eq!(broken("a.toml", Some("a = 1\n"), "a = 1\nb = \n").map(|(line, _)| line), Some(2));
        assert_eq!(broken("tsconfig.json", None, "{ // why\n}"), None, "comments are fine there");
        assert_eq!(broken("notes.txt", None, "((("), None, "nobody can tell");
    }
}
