//! Carries a change over to a later base: three-way, file by file; what does not fit is marked or named.

use std::collections::BTreeMap;
use std::sync::Arc;

use diffy::{IncompleteHunkStyle, MergeOptions};
use domain::change_set::{ChangeSet, FileChange, FileMode};
use domain::path::RepoPath;
use engine::port::{EntryKind, SourceTree};

use crate::Jail;

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
/// A path that only one side changed is as that side has it, its mode included. Where both did, lines are merged; lines
/// that both changed stand between markers. A file that one side deleted and the other changed stays as it was changed.
/// What became a link, or would have to be a file and a directory, is the base branch's.
pub fn carry(change: &ChangeSet, old: &dyn SourceTree, new: &Arc<dyn SourceTree>) -> Carried {
    let mut carried = Carried::default();
    let (before, after) = (Paths::of(old), Paths::of(new.as_ref()));
    // What goes makes room for what comes.
    let deletes = change.files.iter().filter(|(_, change)| **change == FileChange::Delete);
    let writes = change.files.iter().filter(|(_, change)| **change != FileChange::Delete);
    for (path, change) in deletes.chain(writes) {
        let (was, is) = (before.entry(path), after.entry(path));
        match change {
            FileChange::Delete if is.is_none() => {}
            FileChange::Delete if is == was => {
                carried.files.insert(path.clone(), FileChange::Delete);
            }
            FileChange::Delete => carried.open.push(format!(
                "`{path}` was deleted by this change, and the base branch changed it: it stays for now."
            )),
            FileChange::Write { mode, text } => {
                let sides = Sides { path, was, is, mode: *mode, text };
                carried.write(&sides, old, new);
            }
        }
    }
    carried
}

/// Whether lines of a text still stand between the markers of [`carry`], or beside a part of them.
pub fn is_marked(text: &str) -> bool {
    text.lines().any(|line| MARKS.iter().any(|mark| line.starts_with(mark) || line.ends_with(mark)))
}

/// What a tree has at a path.
type Entry<'a> = (EntryKind, &'a str);

/// The paths of a tree.
struct Paths<'a>(BTreeMap<&'a RepoPath, Entry<'a>>);

impl<'a> Paths<'a> {
    fn of(tree: &'a dyn SourceTree) -> Self {
        Self(tree.entries().iter().map(|entry| (&entry.path, (entry.kind, entry.oid.as_str()))).collect())
    }

    fn entry(&self, path: &RepoPath) -> Option<Entry<'a>> {
        self.0.get(path).copied()
    }
}

/// A file that the change writes, with what was and is at its path.
struct Sides<'a> {
    path: &'a RepoPath,
    was: Option<Entry<'a>>,
    is: Option<Entry<'a>>,
    mode: FileMode,
    text: &'a str,
}

impl Carried {
    fn write(&mut self, sides: &Sides<'_>, old: &dyn SourceTree, new: &Arc<dyn SourceTree>) {
        let Sides { path, was, is, text, .. } = *sides;
        let Some((kind, _)) = is else {
            if was.is_some() {
                self.open.push(format!(
                    "`{path}` was changed by this change, and the base branch deleted it: it stays for now."
                ));
            }
            return self.create(sides, new);
        };
        let Some(there) = mode_of(kind) else {
            self.open.push(format!("`{path}` is a link or a submodule on the base branch: it stays as it is there."));
            return;
        };
        let mode = match was.and_then(|(kind, _)| mode_of(kind)) {
            Some(before) if before == sides.mode => there,
            Some(_) | None => sides.mode,
        };
        let merged = if is.map(|(_, oid)| oid) == was.map(|(_, oid)| oid) {
            Some(Ok(text.to_owned()))
        } else {
            merged(read(old, path), text, read(new.as_ref(), path))
        };
        match merged {
            Some(Ok(text)) => {
                let same = there == mode && read(new.as_ref(), path).as_deref() == Some(text.as_bytes());
                if !same {
                    self.files.insert(path.clone(), FileChange::Write { mode, text });
                }
            }
            Some(Err(text)) => {
                let [ours, _, theirs] = MARKS;
                self.open.push(format!("`{path}` has lines that both changed, between `{ours}` and `{theirs}`."));
                self.files.insert(path.clone(), FileChange::Write { mode, text });
            }
            None => self.open.push(format!("`{path}` could not be merged: it is as the base branch has it.")),
        }
    }

    /// A file that the base branch does not have, if there is room for it.
    fn create(&mut self, sides: &Sides<'_>, new: &Arc<dyn SourceTree>) {
        let path = sides.path;
        match Jail::new(Arc::clone(new), self.files.clone()).check_free(path) {
            Ok(()) => {
                let write = FileChange::Write { mode: sides.mode, text: sides.text.to_owned() };
                self.files.insert(path.clone(), write);
            }
            Err(error) => self.open.push(format!("`{path}` has no place on the base branch any more: {error}.")),
        }
    }
}

fn mode_of(kind: EntryKind) -> Option<FileMode> {
    match kind {
        EntryKind::Regular => Some(FileMode::Regular),
        EntryKind::Executable => Some(FileMode::Executable),
        EntryKind::Symlink | EntryKind::Submodule => None,
    }
}

/// The bytes of a file; none where there is no such file, or none that can be read.
fn read(tree: &dyn SourceTree, path: &RepoPath) -> Option<Vec<u8>> {
    tree.read(path).ok().flatten()
}

/// Merges texts; an error is the text with its markers, nothing means that they are no texts or too long.
fn merged(before: Option<Vec<u8>>, ours: &str, theirs: Option<Vec<u8>>) -> Option<Result<String, String>> {
    let (before, theirs) = (String::from_utf8(before.unwrap_or_default()).ok()?, String::from_utf8(theirs?).ok()?);
    let lines: usize = [before.as_str(), ours, &theirs].iter().map(|text| text.lines().count()).sum();
    let mut options = MergeOptions::new();
    options.set_incomplete_hunk_style(IncompleteHunkStyle::Git);
    (lines <= MAX_LINES).then(|| options.merge(&before, ours, &theirs))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use domain::error::Failure;
    use domain::name::CommitSha;
    use engine::port::TreeEntry;

    use super::*;
    use crate::MemoryTree;

    fn tree(files: &[(&str, &[u8])]) -> Arc<dyn SourceTree> {
        let files = files.iter().map(|(path, bytes)| (RepoPath::parse(path).unwrap(), bytes.to_vec()));
        Arc::new(MemoryTree::new(CommitSha::parse(&"a".repeat(40)).unwrap(), files.collect()))
    }

    /// A tree of which some paths are no plain files.
    struct Odd(Arc<dyn SourceTree>, Vec<TreeEntry>);

    impl Odd {
        fn with(tree: Arc<dyn SourceTree>, odd: &[(&str, EntryKind)]) -> Arc<dyn SourceTree> {
            let mut entries = tree.entries().to_vec();
            for entry in &mut entries {
                let kind = odd.iter().find(|(path, _)| *path == entry.path.as_str()).map(|(_, kind)| *kind);
                entry.kind = kind.unwrap_or(entry.kind);
            }
            Arc::new(Self(tree, entries))
        }
    }

    impl SourceTree for Odd {
        fn commit(&self) -> &CommitSha {
            self.0.commit()
        }

        fn entries(&self) -> &[TreeEntry] {
            &self.1
        }

        fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, Failure> {
            let file = self.1.iter().any(|entry| entry.path == *path && mode_of(entry.kind).is_some());
            if file { self.0.read(path) } else { Ok(None) }
        }
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
        let carried = carry(&change, old.as_ref(), &new);
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
        let mut open: Vec<&str> = carried.open.iter().map(|open| open.split('`').nth(1).unwrap()).collect();
        open.sort_unstable();
        assert_eq!(open, ["binary", "clash", "gone-here", "gone-there", "new-both"]);
    }

    #[test]
    fn a_file_too_long_to_merge_is_left_to_whoever_makes_the_change() {
        let long = |first: &str| format!("{first}\n{}", "line\n".repeat(MAX_LINES / 2));
        let (old, new) = (tree(&[("long", long("1").as_bytes())]), tree(&[("long", long("2").as_bytes())]));
        let carried = carry(&change(&[("long", Some(&long("3")))]), old.as_ref(), &new);
        assert_eq!((carried.files.len(), carried.open.len()), (0, 1));
    }

    #[test]
    fn modes_links_and_places_are_the_bases_where_the_change_did_not_touch_them() {
        let old = tree(&[("run.sh", b"1\n2\n3\n4\n"), ("was-file", b"old\n"), ("moved/a", b"old\n")]);
        let new = tree(&[
            ("run.sh", b"one\n2\n3\n4\n"),
            ("was-file", b"target"),
            ("link", b"target"),
            ("docs", b"a file\n"),
            ("README.md", b"theirs\n"),
        ]);
        let odd = [("run.sh", EntryKind::Executable), ("was-file", EntryKind::Symlink), ("link", EntryKind::Symlink)];
        let new = Odd::with(new, &odd);
        let files = change(&[
            ("run.sh", Some("1\n2\n3\nfour\n")),
            ("was-file", Some("new\n")),
            ("link", Some("new\n")),
            ("docs/a.md", Some("new\n")),
            ("readme.md", Some("new\n")),
            ("moved/a", Some("new\n")),
        ]);
        let carried = carry(&files, old.as_ref(), &new);
        let kept: Vec<&str> = carried.files.keys().map(RepoPath::as_str).collect();
        assert_eq!(kept, ["moved/a", "run.sh"], "{:?}", carried.open);
        let merged = FileChange::Write { mode: FileMode::Executable, text: "one\n2\n3\nfour\n".to_owned() };
        assert_eq!(carried.files.get(&RepoPath::parse("run.sh").unwrap()), Some(&merged));
        let mut open: Vec<&str> = carried.open.iter().map(|open| open.split('`').nth(1).unwrap()).collect();
        open.sort_unstable();
        assert_eq!(open, ["docs/a.md", "link", "moved/a", "readme.md", "was-file"]);
    }

    #[test]
    fn a_mode_alone_that_the_base_changed_is_kept() {
        let old = tree(&[("run.sh", b"1\n")]);
        let new = Odd::with(tree(&[("run.sh", b"1\n")]), &[("run.sh", EntryKind::Executable)]);
        let carried = carry(&change(&[("run.sh", Some("2\n"))]), old.as_ref(), &new);
        let write = FileChange::Write { mode: FileMode::Executable, text: "2\n".to_owned() };
        assert_eq!((carried.files.into_values().collect::<Vec<_>>(), carried.open), (vec![write], Vec::new()));
    }

    #[test]
    fn a_last_line_without_an_end_and_lines_of_another_system_are_merged_as_git_merges_them() {
        let folder = std::env::temp_dir().join(format!("prfactory-carry-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (before, ours, theirs) in [
            ("a\nb", "a\nours", "a\ntheirs"),
            ("1\r\n2\r\n3\r\n4\r\n5\r\n", "1\r\n2\r\n3\r\n4\r\nfive\r\n", "one\r\n2\r\n3\r\n4\r\n5\r\n"),
            ("1\n2\n3\n4\n5", "1\n2\n3\n4\n5\n6", "one\n2\n3\n4\n5"),
        ] {
            let names = ["ours", "original", "theirs"];
            for (name, text) in names.iter().zip([ours, before, theirs]) {
                std::fs::write(folder.join(name), text).unwrap();
            }
            let mut git = Command::new("git");
            git.args(["merge-file", "-p", "--diff3"]).args(names).current_dir(&folder);
            let git = String::from_utf8(git.output().unwrap().stdout).unwrap();
            let (Ok(merged) | Err(merged)) = merged(Some(before.into()), ours, Some(theirs.into())).unwrap();
            assert_eq!(merged, git);
            assert_eq!(is_marked(&merged), git.contains("<<<<<<<"));
        }
        assert!(is_marked("text>>>>>>> theirs\n"), "a part of a marker is one, too");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
