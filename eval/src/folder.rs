//! A checked-out tree on disk as a snapshot.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domain::error::{Failure, Fault};
use domain::name::CommitSha;
use domain::path::RepoPath;
use engine::port::{EntryKind, SourceTree, TreeEntry};

/// A folder whose files are read when they are asked for.
pub(crate) struct Folder {
    root: PathBuf,
    commit: CommitSha,
    entries: Vec<TreeEntry>,
}

impl Folder {
    /// Lists a folder, without links and without `.git`.
    pub(crate) fn open(root: &Path, commit: &str) -> anyhow::Result<Self> {
        let mut entries = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
                let entry = entry?;
                let kind = entry.file_type()?;
                let path = entry.path();
                if kind.is_dir() {
                    if entry.file_name() != ".git" {
                        open.push(path);
                    }
                    continue;
                }
                let relative = path.strip_prefix(root)?.to_string_lossy().into_owned();
                if let (true, Ok(path)) = (kind.is_file(), RepoPath::parse(&relative)) {
                    let size = entry.metadata()?.len();
                    entries.push(TreeEntry { path, kind: EntryKind::Regular, oid: String::new(), size });
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root: root.to_owned(), commit: CommitSha::parse(commit)?, entries })
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).is_ok()
    }
}

impl SourceTree for Folder {
    fn commit(&self) -> &CommitSha {
        &self.commit
    }

    fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, Failure> {
        let read = std::fs::read(self.root.join(path.as_str()));
        read.map(Some).map_err(|error| Failure::new(Fault::Bug, format!("{path} cannot be read: {error}")))
    }
}
