//! The one way an agent touches code: an overlay over a snapshot that knows no file system.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::change_set::{ChangeSet, FileChange, FileMode};
use domain::error::Failure;
use domain::path::{PathError, RepoPath};
use engine::port::{EntryKind, SourceTree};
use thiserror::Error;

/// Why a tool call did not work; the model reads this and tries again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JailError {
    /// The path breaks the policy.
    #[error(transparent)]
    Path(#[from] PathError),
    /// No such file.
    #[error("there is no file `{0}`")]
    Missing(RepoPath),
    /// A file or directory of that name is there.
    #[error("`{0}` is in the way: {1}")]
    InTheWay(RepoPath, &'static str),
    /// Links and submodules cannot be read or changed.
    #[error("`{0}` is a symbolic link or submodule; it can neither be read nor changed")]
    NotAFile(RepoPath),
    /// Not text.
    #[error("`{0}` is not UTF-8 text")]
    Binary(RepoPath),
    /// The old text is not there.
    #[error("`{path}` does not contain that text. The nearest lines are {from} to {to}:\n{nearest}")]
    NoMatch {
        /// The file.
        path: RepoPath,
        /// First of the nearest lines, counted from 1.
        from: usize,
        /// Last of them.
        to: usize,
        /// Those lines.
        nearest: String,
    },
    /// The old text is there more than once.
    #[error("`{path}` contains that text {count} times, first at lines {lines:?}; give more of its surroundings")]
    Ambiguous {
        /// The file.
        path: RepoPath,
        /// How often.
        count: usize,
        /// Where, at most five.
        lines: Vec<usize>,
    },
    /// Nothing would change.
    #[error("old and new text are the same, or the old text is empty")]
    NoChange,
    /// The file would be too large.
    #[error("`{0}` would be larger than 1 MiB")]
    TooLarge(RepoPath),
    /// Reading failed.
    #[error("{0}")]
    Read(String),
}

impl From<Failure> for JailError {
    fn from(failure: Failure) -> Self {
        Self::Read(failure.message)
    }
}

/// Largest file that may be written.
const MAX_WRITE: usize = 1024 * 1024;

/// A snapshot with changes laid over it; nothing of it touches a disk.
#[derive(Clone)]
pub struct Jail {
    base: Arc<dyn SourceTree>,
    changes: BTreeMap<RepoPath, FileChange>,
}

impl Jail {
    /// Lays changes over a snapshot; empty to begin with, a checkpoint's to go on.
    pub fn new(base: Arc<dyn SourceTree>, changes: BTreeMap<RepoPath, FileChange>) -> Self {
        Self { base, changes }
    }

    /// The snapshot below.
    pub fn base(&self) -> &Arc<dyn SourceTree> {
        &self.base
    }

    /// The changes so far.
    pub fn changes(&self) -> &BTreeMap<RepoPath, FileChange> {
        &self.changes
    }

    /// The changes as a change set; what ended up as it was is left out.
    pub fn change_set(&self) -> Result<ChangeSet, JailError> {
        let mut files = BTreeMap::new();
        for (path, change) in &self.changes {
            let before = self.base_kind(path);
            let same = match change {
                FileChange::Delete => before.is_none(),
                FileChange::Write { text, mode } => {
                    before == Some(kind_of(*mode))
                        && self.base.read(path).ok().flatten().is_some_and(|bytes| bytes == text.as_bytes())
                }
            };
            if !same {
                files.insert(path.clone(), change.clone());
            }
        }
        Ok(ChangeSet { base: self.base.commit().clone(), files })
    }

    /// Every readable file, in path order.
    pub fn files(&self) -> Vec<RepoPath> {
        let base = self.base.entries().iter().filter(|entry| is_file(entry.kind)).map(|entry| &entry.path);
        let mut paths: Vec<RepoPath> =
            base.filter(|path| self.changes.get(path) != Some(&FileChange::Delete)).cloned().collect();
        let written = self.changes.iter().filter(|(_, change)| **change != FileChange::Delete).map(|(path, _)| path);
        paths.extend(written.cloned());
        paths.sort();
        paths.dedup();
        paths
    }

    fn base_kind(&self, path: &RepoPath) -> Option<EntryKind> {
        let entries = self.base.entries();
        let at = entries.binary_search_by(|entry| entry.path.cmp(path)).ok()?;
        entries.get(at).map(|entry| entry.kind)
    }

    /// The text of a file as it is now.
    pub fn read(&self, path: &RepoPath) -> Result<String, JailError> {
        match self.changes.get(path) {
            Some(FileChange::Write { text, .. }) => return Ok(text.clone()),
            Some(FileChange::Delete) => return Err(JailError::Missing(path.clone())),
            None => {}
        }
        match self.base_kind(path) {
            None => Err(JailError::Missing(path.clone())),
            Some(EntryKind::Symlink | EntryKind::Submodule) => Err(JailError::NotAFile(path.clone())),
            Some(EntryKind::Regular | EntryKind::Executable) => {
                let bytes = self.base.read(path)?.ok_or_else(|| JailError::Missing(path.clone()))?;
                String::from_utf8(bytes).map_err(|_| JailError::Binary(path.clone()))
            }
        }
    }

    /// Replaces a text that occurs exactly once; returns the line it starts at.
    pub fn edit(&mut self, path: &RepoPath, old: &str, new: &str) -> Result<usize, JailError> {
        let text = self.read(path)?;
        if old.is_empty() || old == new {
            return Err(JailError::NoChange);
        }
        let places: Vec<usize> = text.match_indices(old).map(|(at, _)| at).collect();
        let line_of = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        match places.as_slice() {
            [] => Err(nearest(path, &text, old)),
            [at] => {
                let line = line_of(*at);
                self.write(path, &text.replacen(old, new, 1))?;
                Ok(line)
            }
            many => Err(JailError::Ambiguous {
                path: path.clone(),
                count: many.len(),
                lines: many.iter().take(5).map(|at| line_of(*at)).collect(),
            }),
        }
    }

    /// Makes a new file.
    pub fn create(&mut self, path: &RepoPath, text: &str) -> Result<(), JailError> {
        self.check_free(path)?;
        self.write(path, text)
    }

    /// Removes a file.
    pub fn delete(&mut self, path: &RepoPath) -> Result<(), JailError> {
        if let Err(error) = self.read(path)
            && !matches!(error, JailError::Binary(_))
        {
            return Err(error);
        }
        self.changes.insert(path.clone(), FileChange::Delete);
        Ok(())
    }

    /// Gives a file another path.
    pub fn rename(&mut self, from: &RepoPath, to: &RepoPath) -> Result<(), JailError> {
        let text = self.read(from)?;
        let mode = self.mode(from);
        self.check_free(to)?;
        self.changes.insert(from.clone(), FileChange::Delete);
        self.changes.insert(to.clone(), FileChange::Write { mode, text });
        Ok(())
    }

    fn write(&mut self, path: &RepoPath, text: &str) -> Result<(), JailError> {
        if text.len() > MAX_WRITE {
            return Err(JailError::TooLarge(path.clone()));
        }
        let mode = self.mode(path);
        self.changes.insert(path.clone(), FileChange::Write { mode, text: text.to_owned() });
        Ok(())
    }

    /// The mode a file has, or gets; tools never change it.
    fn mode(&self, path: &RepoPath) -> FileMode {
        match (self.changes.get(path), self.base_kind(path)) {
            (Some(FileChange::Write { mode, .. }), _) => *mode,
            (_, Some(EntryKind::Executable)) => FileMode::Executable,
            _ => FileMode::Regular,
        }
    }

    /// A new path must not meet a file, a directory, or one that is the same to a case-insensitive file system.
    pub(crate) fn check_free(&self, path: &RepoPath) -> Result<(), JailError> {
        let folded = path.case_folded();
        let base = self.base.entries().iter().map(|entry| &entry.path);
        let gone = |other: &RepoPath| self.changes.get(other) == Some(&FileChange::Delete);
        let written = self.changes.iter().filter(|(_, change)| **change != FileChange::Delete).map(|(other, _)| other);
        for other in base.filter(|other| !gone(other)).chain(written) {
            let taken = other.case_folded();
            let below = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
            if taken == folded {
                return Err(JailError::InTheWay(other.clone(), "a file of that name exists"));
            }
            if below(&folded, &taken) || below(&taken, &folded) {
                return Err(JailError::InTheWay(other.clone(), "a file cannot be a directory as well"));
            }
        }
        Ok(())
    }
}

fn is_file(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Regular | EntryKind::Executable)
}

fn kind_of(mode: FileMode) -> EntryKind {
    match mode {
        FileMode::Regular => EntryKind::Regular,
        FileMode::Executable => EntryKind::Executable,
    }
}

/// Most lines that are compared, and most characters of each: the text may be anything at all.
const NEAREST_LINES: usize = 2_000;
const NEAREST_CHARS: usize = 200;

/// Finds the lines most like the first line of what was looked for.
fn nearest(path: &RepoPath, text: &str, old: &str) -> JailError {
    let short = |line: &str| line.trim().chars().take(NEAREST_CHARS).collect::<String>();
    let wanted = old.lines().count().min(40);
    let first = old.lines().find(|line| !line.trim().is_empty()).map(short).unwrap_or_default();
    let lines: Vec<&str> = text.lines().take(NEAREST_LINES).collect();
    let mut best = (0, 0.0);
    for (at, line) in lines.iter().enumerate() {
        let score = similar::TextDiff::from_chars(short(line).as_str(), first.as_str()).ratio();
        if score > best.1 {
            best = (at, score);
        }
    }
    let from = best.0.saturating_sub(2);
    let to = (best.0 + wanted + 2).min(lines.len());
    let shown: String = lines.get(from..to).unwrap_or_default().join("\n").chars().take(2_000).collect();
    JailError::NoMatch { path: path.clone(), from: from + 1, to, nearest: shown }
}
