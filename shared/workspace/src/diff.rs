//! A change set as people read it.

use std::fmt::Write as _;

use domain::change_set::{ChangeSet, FileChange};
use engine::port::SourceTree;
use similar::TextDiff;

/// Renders a change set as a unified diff against its base.
pub fn diff(base: &dyn SourceTree, change_set: &ChangeSet) -> String {
    let mut text = String::new();
    for (path, change) in &change_set.files {
        let before = before(base, path);
        let (old, new, after) = match change {
            FileChange::Write { text: after, .. } if before.is_none() => {
                ("/dev/null".to_owned(), format!("b/{path}"), after.as_str())
            }
            FileChange::Write { text: after, .. } => (format!("a/{path}"), format!("b/{path}"), after.as_str()),
            FileChange::Delete => (format!("a/{path}"), "/dev/null".to_owned(), ""),
        };
        let before = before.unwrap_or_default();
        let lines = TextDiff::from_lines(before.as_str(), after);
        let _ = write!(text, "{}", lines.unified_diff().context_radius(3).header(&old, &new));
    }
    text
}

fn before(base: &dyn SourceTree, path: &domain::path::RepoPath) -> Option<String> {
    base.read(path).ok().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
