//! Source code: fetched once, read as a snapshot, written back as a commit without a work tree.

use std::sync::Arc;

use async_trait::async_trait;
use domain::Timestamp;
use domain::change_set::ChangeSet;
use domain::error::Failure;
use domain::hash::ContentHash;
use domain::name::{BranchName, CommitSha};
use domain::path::RepoPath;
use domain::ticket::Target;
use serde::{Deserialize, Serialize};

use crate::port::Permit;
use crate::tenancy::TenantCtx;

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// `100644`.
    Regular,
    /// `100755`.
    Executable,
    /// `120000`: kept, never followed, never written.
    Symlink,
    /// `160000`: kept, never fetched, never written.
    Submodule,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Where it is.
    pub path: RepoPath,
    /// What it is.
    pub kind: EntryKind,
    /// Its git object, 40 hex digits.
    pub oid: String,
    /// Its size in bytes; 0 for a submodule.
    pub size: u64,
}

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The commit it was taken at.
    pub commit: CommitSha,
    /// Where it is stored.
    pub blob: ContentHash,
}

/// A snapshot opened for reading.
pub trait SourceTree: Send + Sync {
    /// The commit it was taken at.
    fn commit(&self) -> &CommitSha;

    /// Every entry, by path.
    fn entries(&self) -> &[TreeEntry];

    /// The content of a regular or executable file; `None` when there is no such file.
    fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, Failure>;
}

/// Fetches base commits; the only reader of repositories.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// The commit a branch points at now.
    async fn head(&self, ctx: &TenantCtx, target: &Target, branch: &BranchName) -> Result<Option<CommitSha>, Failure>;

    /// Fetches the head of the target's base branch and stores it.
    async fn fetch(&self, ctx: &TenantCtx, target: &Target) -> Result<StoredSnapshot, Failure>;
}

/// Restores snapshots into ephemeral storage.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// Opens a stored snapshot; its directory goes away with the last reference.
    async fn open(&self, ctx: &TenantCtx, snapshot: &ContentHash) -> Result<Arc<dyn SourceTree>, Failure>;
}

/// Everything that, with base and change set, fixes a commit's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitMeta {
    /// The whole message, trailers included.
    pub message: String,
    /// The author's and committer's date.
    pub at: Timestamp,
    /// The parents, first parent first.
    pub parents: Vec<CommitSha>,
}

/// Writes commits and refs.
#[async_trait]
pub trait Commits: Send + Sync {
    /// Builds the commit of a change set and moves the target's branch to it, expecting the old value.
    ///
    /// Doing it again with the same arguments finds the branch where it should be and changes nothing. The permit is
    /// asked right before the branch is moved.
    async fn push(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        tree: &dyn SourceTree,
        change: (&ChangeSet, &CommitMeta),
        expected: Option<&CommitSha>,
        permit: &Permit,
    ) -> Result<CommitSha, Failure>;

    /// Removes the target's branch if it points at the very commit that [`Commits::push`] makes of these arguments.
    ///
    /// Says whether it was there; a branch with anybody else's commit stays.
    async fn undo(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        tree: &dyn SourceTree,
        change: (&ChangeSet, &CommitMeta),
    ) -> Result<bool, Failure>;
}
