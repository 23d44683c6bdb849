//! The few sentences of a ticket that the scripted model understands.

use std::sync::LazyLock;

use regex::Regex;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// ``Replace `old` with `new` [in `path`]``.
    Replace { old: String, new: String, path: Option<String> },
    /// ``Rename `old` to `new` ``: whole words only.
    Rename { old: String, new: String },
    /// ``Create `path` with:`` and a fenced block.
    Create { path: String, text: String },
    /// ``Append to `path`:`` and a fenced block.
    Append { path: String, text: String },
    /// ``In `path` after `anchor` add:`` and a fenced block.
    After { path: String, anchor: String, text: String },
    /// ``Delete `path` ``.
    Delete { path: String },
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($text).ok());
    };
}

pattern!(REPLACE, r"(?i)\breplace `([^`\n]+)` with `([^`\n]*)`(?: in `([^`\n]+)`)?");
pattern!(RENAME, r"(?i)\brename `([^`\n]+)` to `([^`\n]+)`");
pattern!(CREATE, r"(?is)\bcreate `([^`\n]+)` with:?\s*\n```[a-z0-9]*\n(.*?)```");
pattern!(APPEND, r"(?is)\bappend to `([^`\n]+)`:?\s*\n```[a-z0-9]*\n(.*?)```");
pattern!(AFTER, r"(?is)\bin `([^`\n]+)` after `([^`\n]+)` add:?\s*\n```[a-z0-9]*\n(.*?)```");
pattern!(DELETE, r"(?i)\bdelete `([^`\n]+)`");
pattern!(LEAVE, r"(?i)\b(?:leave|do not touch|don't touch|keep) `([^`\n]+)`");

fn each(
    pattern: &LazyLock<Option<Regex>>,
    text: &str,
    mut make: impl FnMut(&dyn Fn(usize) -> String) -> Option<Instruction>,
) -> Vec<Instruction> {
    let Some(regex) = pattern.as_ref() else {
        return Vec::new();
    };
    regex
        .captures_iter(text)
        .filter_map(|found| make(&|at| found.get(at).map(|m| m.as_str().to_owned()).unwrap_or_default()))
        .collect()
}

/// Reads every instruction of a text, kind by kind.
pub(crate) fn instructions(text: &str) -> Vec<Instruction> {
    let mut all = each(&REPLACE, text, |part| {
        let path = Some(part(3)).filter(|path| !path.is_empty());
        Some(Instruction::Replace { old: part(1), new: part(2), path })
    });
    all.extend(each(&RENAME, text, |part| Some(Instruction::Rename { old: part(1), new: part(2) })));
    all.extend(each(&CREATE, text, |part| Some(Instruction::Create { path: part(1), text: part(2) })));
    all.extend(each(&APPEND, text, |part| Some(Instruction::Append { path: part(1), text: part(2) })));
    all.extend(each(&AFTER, text, |part| Some(Instruction::After { path: part(1), anchor: part(2), text: part(3) })));
    all.extend(each(&DELETE, text, |part| Some(Instruction::Delete { path: part(1) })));
    all
}

/// Paths that people asked to leave alone.
pub(crate) fn left_alone(text: &str) -> Vec<String> {
    let Some(regex) = LEAVE.as_ref() else {
        return Vec::new();
    };
    regex.captures_iter(text).filter_map(|found| found.get(1).map(|m| m.as_str().to_owned())).collect()
}

impl Instruction {
    /// What has to be searched for to find the files.
    pub(crate) fn search(&self) -> Option<&str> {
        match self {
            Self::Replace { old, path: None, .. } | Self::Rename { old, .. } => Some(old),
            Self::Replace { .. }
            | Self::Create { .. }
            | Self::Append { .. }
            | Self::After { .. }
            | Self::Delete { .. } => None,
        }
    }

    /// The one file it names, if it names one.
    pub(crate) fn path(&self) -> Option<&str> {
        match self {
            Self::Replace { path, .. } => path.as_deref(),
            Self::Rename { .. } => None,
            Self::Create { path, .. }
            | Self::Append { path, .. }
            | Self::After { path, .. }
            | Self::Delete { path } => Some(path),
        }
    }

    /// Whether a line is one that has to change.
    pub(crate) fn hits(&self, line: &str) -> bool {
        match self {
            Self::Replace { old, .. } => line.contains(old.as_str()),
            Self::Rename { old, .. } => word(old).is_some_and(|regex| regex.is_match(line)),
            Self::Create { .. } | Self::Append { .. } | Self::After { .. } | Self::Delete { .. } => false,
        }
    }

    /// The text of a file afterwards.
    pub(crate) fn applied(&self, path: &str, text: &str) -> String {
        match self {
            Self::Replace { old, new, path: only } if only.as_deref().is_none_or(|only| only == path) => {
                text.replace(old.as_str(), new)
            }
            Self::Rename { old, new } => match word(old) {
                Some(regex) => regex.replace_all(text, regex::NoExpand(new)).into_owned(),
                None => text.to_owned(),
            },
            Self::Append { path: only, text: more } if only == path => {
                let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                format!("{text}{gap}{more}")
            }
            Self::After { path: only, anchor, text: more } if only == path => {
                let line = text.find(anchor.as_str()).and_then(|at| text.get(at..)?.find('\n').map(|end| at + end + 1));
                let (head, tail) = line.and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""));
                if line.is_some() { format!("{head}{more}{tail}") } else { text.to_owned() }
            }
            Self::Replace { .. }
            | Self::Create { .. }
            | Self::Append { .. }
            | Self::After { .. }
            | Self::Delete { .. } => text.to_owned(),
        }
    }
}

fn word(text: &str) -> Option<Regex> {
    let edge = |c: Option<char>| {
        if c.is_some_and(|c| c.is_alphanumeric() || c == '_') { r"\b" } else { "" }
    };
    Regex::new(&format!("{}{}{}", edge(text.chars().next()), regex::escape(text), edge(text.chars().last()))).ok()
}
