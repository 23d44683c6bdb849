//! The whole difference between a base commit and the result, independent of any working directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hash::ContentHash;
use crate::name::CommitSha;
use crate::path::RepoPath;

/// Kinds of files a change may write; symbolic links and submodules are never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileMode {
    /// `100644`.
    Regular,
    /// `100755`.
    Executable,
}

/// What one path becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum FileChange {
    /// The whole new content, UTF-8: the tools write text only.
    Write {
        /// Kind of file.
        mode: FileMode,
        /// The content.
        text: String,
    },
    /// The file is gone.
    Delete,
}

/// Everything a ticket changes in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// The commit the changes apply to.
    pub base: CommitSha,
    /// One entry a path, in path order. A rename is a delete and a write.
    pub files: BTreeMap<RepoPath, FileChange>,
}

impl ChangeSet {
    /// The hash that reviews and diff approvals name.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of_json(self)
    }

    /// Bytes that would be written.
    pub fn written_bytes(&self) -> usize {
        self.files
            .values()
            .map(|change| match change {
                FileChange::Write { text, .. } => text.len(),
                FileChange::Delete => 0,
            })
            .sum()
    }
}
