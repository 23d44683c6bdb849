//! Carries a change over to a later base: three-way, file by file; what does not fit is marked.

use std::collections::BTreeMap;

use domain::change_set::{ChangeSet, FileChange};
use domain::error::Failure;
use domain::path::RepoPath;
use engine::port::SourceTree;

/// A change on another base than it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// What is left of it there.
    pub files: BTreeMap<RepoPath, FileChange>,
    /// What could not be decided line by line, one sentence each.
    pub open: Vec<String>,
}

/// Lines of a file, all three versions together, up to which it is merged; more would take a while.
const MAX_LINES: usize = 30_000;
/// How marked lines begin and end.
const MARKS: [&str; 3] = ["<<<<<<< ours", "||||||| original", ">>>>>>> theirs"];

/// Lays a change that was made for `old` over `new`.
///
/// A file that only one side changed is as that side has it. Where both did, lines are merged; lines that both changed
/// stand between markers. A file that one side deleted and the other changed stays as it was changed.
pub fn carry(change: &ChangeSet, old: &dyn SourceTree, new: &dyn SourceTree) -> Result<Carried, Failure> {
    let mut carried = Carried::default();
    for (path, change) in &change.files {
        let (before, after) = (old.read(path)?, new.read(path)?);
        match (change, after) {
            (change, after) if after == before => {
                carried.files.insert(path.clone(), change.clone());
            }
            (FileChange::Delete, None) => {}
            (FileChange::Delete, Some(_)) => {
                carried.open.push(format!(
                    "`{path}` was deleted by this change, and the base branch changed it: it stays for now."
                ));
            }
            (FileChange::Write { .. }, None) => {
                carried.open.push(format!(
                    "`{path}` was changed by this change, and the base branch deleted it: it stays for now."
                ));
                carried.files.insert(path.clone(), change.clone());
            }
            (FileChange::Write { text, .. }, Some(after)) if text.as_bytes() == after => {}
            (FileChange::Write { mode, text }, Some(after)) => match merged(before, text, after) {
                Some(Ok(text)) => {
                    carried.files.insert(path.clone(), FileChange::Write { mode: *mode, text });
                }
                Some(Err(text)) => {
                    let [ours, _, theirs] = MARKS;
                    carried
                        .open
                        .push(format!("`{path}` has lines that both changed, between `{ours}` and `{theirs}`."));
                    carried.files.insert(path.clone(), FileChange::Write { mode: *mode, text });
                }
                None => carried.open.push(format!("`{path}` could not be merged: it is as the base branch has it.")),
            },
        }
    }
    Ok(carried)
}

/// Merges texts; an error is the text with its markers, nothing means that they are no texts or too long.
fn merged(before: Option<Vec<u8>>, ours: &str, theirs: Vec<u8>) -> Option<Result<String, String>> {
    let (before, theirs) = (String::from_utf8(before.unwrap_or_default()).ok()?, String::from_utf8(theirs).ok()?);
    let lines: usize = [before.as_str(), ours, &theirs].iter().map(|text| text.lines().count()).sum();
    (lines <= MAX_LINES).then(|| diffy::merge(&before, ours, &theirs))
}

/// Whether lines of a text still stand between the markers of [`carry`].
pub fn is_marked(text: &str) -> bool {
    text.lines().any(|line| MARKS.contains(&line))
}

#[cfg(test)]
mod tests {
    use domain::change_set::FileMode;
    use domain::name::CommitSha;

    use super::*;
    use crate::MemoryTree;

    fn tree(files: &[(&str, &[u8])]) -> MemoryTree {
        let files = files.iter().map(|(path, bytes)| (RepoPath::parse(path).unwrap(), bytes.to_vec()));
        MemoryTree::new(CommitSha::parse(&"a".repeat(40)).unwrap(), files.collect())
    }

    fn change(files: &[(&str, Option<&str>)]) -> ChangeSet {
        let files = files.iter().map(|(path, text)| {
            let write = |text: &str| FileChange::Write { mode: FileMode::Regular, text: text.to_owned() };
            (RepoPath::parse(path).unwrap(), text.map_or(FileChange::Delete, write))
        });
        ChangeSet { base: CommitSha::parse(&"a".repeat(40)).unwrap(), files: files.collect() }
    }

    #[test]
    fn what_both_sides_changed_is_merged_and_nothing_is_lost() {
        let old = tree(&[
            ("alone", b"1\n2\n"),
            ("apart", b"1\n2\n3\n4\n5\n6\n7\n"),
            ("clash", b"1\n2\n3\n"),
            ("gone-here", b"old\n"),
            ("gone-both", b"old\n"),
            ("gone-there", b"old\n"),
            ("same", b"old\n"),
            ("binary", b"old\n"),
        ]);
        let new = tree(&[
            ("alone", b"1\n2\n"),
            ("apart", b"one\n2\n3\n4\n5\n6\n7\n"),
            ("clash", b"1\ntheirs\n3\n"),
            ("gone-here", b"changed\n"),
            ("same", b"new\n"),
            ("binary", b"\xff\x00"),
            ("new-both", b"theirs\n"),
        ]);
        let change = change(&[
            ("alone", Some("1\nours\n")),
            ("apart", Some("1\n2\n3\n4\n5\n6\nseven\n")),
            ("clash", Some("1\nours\n3\n")),
            ("gone-here", None),
            ("gone-both", None),
            ("gone-there", Some("changed\n")),
            ("same", Some("new\n")),
            ("binary", Some("ours\n")),
            ("new-both", Some("ours\n")),
            ("new-here", Some("ours\n")),
        ]);
        let carried = carry(&change, &old, &new).unwrap();
        let text = |path: &str| match carried.files.get(&RepoPath::parse(path).unwrap()) {
            Some(FileChange::Write { text, .. }) => Some(text.as_str()),
            Some(FileChange::Delete) => Some("(deleted)"),
            None => None,
        };
        assert_eq!(text("alone"), Some("1\nours\n"));
        assert_eq!(text("apart"), Some("one\n2\n3\n4\n5\n6\nseven\n"));
        let clash = "1\n<<<<<<< ours\nours\n||||||| original\n2\n=======\ntheirs\n>>>>>>> theirs\n3\n";
        assert_eq!(text("clash"), Some(clash));
        assert!(is_marked(clash) && !is_marked("1\n=======\n2\n"));
        assert_eq!([text("gone-here"), text("gone-both"), text("same"), text("binary")], [None; 4]);
        assert_eq!([text("gone-there"), text("new-here")], [Some("changed\n"), Some("ours\n")]);
        assert!(is_marked(text("new-both").unwrap()));
        let open: Vec<&str> = carried.open.iter().map(|open| open.split('`').nth(1).unwrap()).collect();
        assert_eq!(open, ["binary", "clash", "gone-here", "gone-there", "new-both"]);
    }

    #[test]
    fn a_file_too_long_to_merge_is_left_to_whoever_makes_the_change() {
        let long = |first: &str| format!("{first}\n{}", "line\n".repeat(MAX_LINES / 2));
        let (old, new) = (tree(&[("long", long("1").as_bytes())]), tree(&[("long", long("2").as_bytes())]));
        let carried = carry(&change(&[("long", Some(&long("3")))]), &old, &new).unwrap();
        assert_eq!((carried.files.len(), carried.open.len()), (0, 1));
    }
}
