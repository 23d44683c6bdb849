//! Paths inside a repository, and the policy every path must pass on its way in or out.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A path relative to the root of a repository that passed the path policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("path {path:?} is refused: {rule}")]
pub struct PathError {
    /// The path, shortened.
    pub path: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// Longest path in bytes; git hosts and file systems stop at 4,096.
pub const MAX_PATH_BYTES: usize = 4_000;
/// Deepest nesting; real repositories stay far below.
pub const MAX_DEPTH: usize = 100;

impl RepoPath {
    /// Reads a path and checks it against the whole policy.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(rule) => Err(PathError { path: text.chars().take(120).collect(), rule }),
        }
    }

    /// The path with `/` between components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path in the form in which two paths collide on a case-insensitive file system.
    pub fn case_folded(&self) -> String {
        visible(&self.0).to_lowercase()
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RepoPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<RepoPath> for String {
    fn from(path: RepoPath) -> Self {
        path.0
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_PATH_BYTES {
        return Some("it is longer than 4,000 bytes");
    }
    if text.starts_with('/') || text.contains('\\') || text.as_bytes().get(1) == Some(&b':') {
        return Some("it must be relative and use forward slashes");
    }
    if text.chars().any(char::is_control) {
        return Some("it contains a control character");
    }
    let mut depth = 0;
    for part in text.split('/') {
        depth += 1;
        if part.is_empty() || part == "." || part == ".." {
            return Some("it has an empty, `.` or `..` component");
        }
        if part.len() > 255 {
            return Some("a component is longer than 255 bytes");
        }
        if is_git_directory(part) {
            return Some("a component is `.git` or looks like it to some file system");
        }
    }
    (depth > MAX_DEPTH).then_some("it is nested deeper than 100 directories")
}

/// `.git` after what HFS+, NTFS and Windows do to names: ignorable characters, case, trailing dots
/// and spaces, alternate streams, and 8.3 short names.
fn is_git_directory(part: &str) -> bool {
    let name = visible(part).to_lowercase();
    let name = name.split(':').next().unwrap_or("").trim_end_matches(['.', ' ']);
    name == ".git" || (name.strip_prefix("git~").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())))
}

/// Drops the characters that HFS+ ignores when it compares names.
fn visible(text: &str) -> String {
    let ignored =
        |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    text.chars().filter(|c| !ignored(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_look_alikes_are_refused() {
        for bad in [
            ".git",
            ".GIT/config",
            "a/.git/hooks/x",
            ".git ",
            ".git.",
            ".git . .",
            "git~1",
            "GIT~2/x",
            ".g\u{200c}it",
            ".git\u{feff}",
            ".git::$INDEX_ALLOCATION",
            "..",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "",
            "a\\b",
            "C:x",
            "a\nb",
            "a\rb",
            "a\0b",
            "./a",
        ] {
            assert!(RepoPath::parse(bad).is_err(), "{bad:?}");
        }
        for good in [".gitignore", ".github/workflows/ci.yml", "git", "a/git~x", "src/main.rs", "x.git/y", "ü/é"] {
            assert!(RepoPath::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn paths_that_are_one_to_some_file_system_fold_to_the_same() -> Result<(), PathError> {
        let folded = |text| RepoPath::parse(text).map(|path| path.case_folded());
        assert_eq!(folded("a/README.md")?, folded("A/read\u{200d}me.MD")?);
        assert_ne!(folded("a/README.md")?, folded("b")?);
        Ok(())
    }

    #[test]
    fn too_deep_and_too_long_paths_are_refused() {
        assert!(RepoPath::parse(&"a/".repeat(101)).is_err());
        assert!(RepoPath::parse(&"a".repeat(256)).is_err());
        assert!(RepoPath::parse(&"ab/".repeat(2_000)).is_err());
    }

    #[test]
    fn the_longest_and_deepest_paths_pass_and_no_longer_or_deeper_ones() {
        let part = "x".repeat(255);
        let longest = format!("{}/{}", [part.as_str(); 15].join("/"), "x".repeat(160));
        assert_eq!(longest.len(), MAX_PATH_BYTES);
        let deepest = vec!["a"; MAX_DEPTH].join("/");
        for good in [&part, &longest, &deepest] {
            assert!(RepoPath::parse(good).is_ok(), "{good}");
        }
        for (bad, rule) in [
            (format!("{part}x"), "a component is longer than 255 bytes"),
            (format!("{longest}x"), "it is longer than 4,000 bytes"),
            (format!("{longest}xx"), "it is longer than 4,000 bytes"),
            (format!("{deepest}/a"), "it is nested deeper than 100 directories"),
            (format!("{deepest}/a/a"), "it is nested deeper than 100 directories"),
        ] {
            assert_eq!(RepoPath::parse(&bad).map_err(|error| error.rule), Err(rule), "{bad}");
        }
    }

    #[test]
    fn a_path_is_shown_as_written_and_ends_in_its_file() -> Result<(), PathError> {
        for (text, file) in [("src/Main.rs", "Main.rs"), ("README", "README"), ("ü/é", "é")] {
            let path = RepoPath::parse(text)?;
            assert_eq!((path.as_str(), path.to_string().as_str(), path.file_name()), (text, text, file));
            assert_eq!(String::from(path), text);
        }
        Ok(())
    }
}
