//! Makes a bare repository with a history, for the demo and for tests.

use std::collections::BTreeMap;
use std::path::Path;

use domain::Timestamp;
use domain::change_set::{ChangeSet, FileChange, FileMode};
use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use domain::path::RepoPath;
use engine::port::CommitMeta;

use crate::git::{local, object};
use crate::store::MemoryTree;

/// One commit: what it says, when it was made, and the files it writes.
#[derive(Debug, Clone)]
pub struct Revision {
    /// The commit's message.
    pub message: String,
    /// Its date.
    pub at: Timestamp,
    /// Paths with their whole new text.
    pub files: Vec<(RepoPath, String)>,
}

/// Makes a bare repository whose branch has the given history; returns its head.
pub fn create_repository(path: &Path, branch: &BranchName, history: &[Revision]) -> Result<CommitSha, Failure> {
    local::init(path, branch)?;
    let mut files: BTreeMap<RepoPath, Vec<u8>> = BTreeMap::new();
    let mut head: Option<CommitSha> = None;
    let nothing = CommitSha::parse(&"0".repeat(40)).map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
    for revision in history {
        let base = head.clone().unwrap_or_else(|| nothing.clone());
        let tree = MemoryTree::new(base.clone(), files.clone());
        let mut changes = BTreeMap::new();
        for (path, text) in &revision.files {
            changes.insert(path.clone(), FileChange::Write { mode: FileMode::Regular, text: text.clone() });
            files.insert(path.clone(), text.clone().into_bytes());
        }
        let change_set = ChangeSet { base, files: changes };
        let meta = CommitMeta {
            message: revision.message.clone(),
            at: revision.at,
            parents: head.clone().into_iter().collect(),
        };
        let built = object::build(&tree, &change_set, &meta)?;
        local::write(path, branch, &built.objects, &built.commit, head.as_ref())?;
        head = Some(built.commit);
    }
    head.ok_or_else(|| Failure::new(Fault::Invalid, "a history has at least one commit"))
}
