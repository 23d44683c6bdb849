//! Snapshots opened for reading: from a blob through ephemeral storage, or from memory.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::name::{BranchName, CommitSha};
use domain::path::RepoPath;
use engine::port::{Blobs, EntryKind, SourceTree, TreeEntry, Workspace};
use engine::tenancy::TenantCtx;

use crate::git::{default_branch, take};
use crate::scratch::Scratch;
use crate::snapshot::{Limits, io, unpack};

/// Opens stored snapshots in ephemeral storage.
#[derive(Clone)]
pub struct ScratchWorkspace {
    blobs: Arc<dyn Blobs>,
    root: PathBuf,
}

impl ScratchWorkspace {
    /// Uses a root for scratch directories.
    pub fn new(blobs: Arc<dyn Blobs>, root: impl Into<PathBuf>) -> Self {
        Self { blobs, root: root.into() }
    }
}

#[async_trait]
impl Workspace for ScratchWorkspace {
    async fn open(&self, ctx: &TenantCtx, snapshot: &ContentHash) -> Result<Arc<dyn SourceTree>, Failure> {
        let bytes = self.blobs.load(ctx, snapshot).await?;
        let (root, ctx) = (self.root.clone(), ctx.clone());
        let opened = tokio::task::spawn_blocking(move || ScratchTree::open(&root, &ctx, &bytes)).await;
        let tree = opened.map_err(|_| Failure::new(Fault::Bug, "opening a snapshot was aborted"))??;
        Ok(Arc::new(tree))
    }
}

/// One data file without a name of the repository's, and an index in memory.
struct ScratchTree {
    commit: CommitSha,
    entries: Vec<TreeEntry>,
    places: BTreeMap<RepoPath, (u64, u64)>,
    data: std::fs::File,
    _scratch: Scratch,
}

impl ScratchTree {
    fn open(root: &Path, ctx: &TenantCtx, bytes: &[u8]) -> Result<Self, Failure> {
        let scratch = Scratch::new(root, ctx).map_err(|e| io(&e))?;
        let path = scratch.path().join("data");
        let options = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let mut data = options.map_err(|e| io(&e))?;
        let index = unpack(bytes, &mut data, Limits::STANDARD)?;
        let mut entries = Vec::with_capacity(index.entries.len());
        let mut places = BTreeMap::new();
        for item in index.entries {
            if let Some(at) = item.at {
                places.insert(item.entry.path.clone(), (at, item.entry.size));
            }
            entries.push(item.entry);
        }
        Ok(Self { commit: index.commit, entries, places, data, _scratch: scratch })
    }
}

fn too_large(path: &RepoPath) -> Failure {
    Failure::new(Fault::Invalid, format!("`{path}` is larger than 1 MiB and cannot be read"))
}

impl SourceTree for ScratchTree {
    fn commit(&self) -> &CommitSha {
        &self.commit
    }

    fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, Failure> {
        let Some(&(at, size)) = self.places.get(path) else {
            let found = self.entries.binary_search_by(|entry| entry.path.cmp(path)).ok();
            let entry = found.and_then(|at| self.entries.get(at));
            return match entry.map(|entry| entry.kind) {
                Some(EntryKind::Regular | EntryKind::Executable) => Err(too_large(path)),
                Some(EntryKind::Symlink | EntryKind::Submodule) | None => Ok(None),
            };
        };
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| too_large(path))?];
        self.data.read_exact_at(&mut bytes, at).map_err(|e| io(&e))?;
        Ok(Some(bytes))
    }
}

/// A tree in memory: of a repository on this machine, or made up for tests and simulations.
#[derive(Debug, Clone)]
pub struct MemoryTree {
    commit: CommitSha,
    entries: Vec<TreeEntry>,
    files: BTreeMap<RepoPath, Vec<u8>>,
}

impl MemoryTree {
    /// Makes a tree of regular files.
    pub fn new(commit: CommitSha, files: BTreeMap<RepoPath, Vec<u8>>) -> Self {
        let entries = files.iter().map(|(path, bytes)| TreeEntry {
            path: path.clone(),
            kind: EntryKind::Regular,
            oid: crate::git::blob_id(bytes),
            size: bytes.len() as u64,
        });
        Self { commit, entries: entries.collect(), files }
    }

    /// Reads the head of a branch of a repository on this machine; of its `HEAD` where no branch is named.
    pub fn of_repository(path: &Path, branch: Option<&BranchName>) -> Result<Self, Failure> {
        let branch = branch.map_or_else(|| default_branch(path), |branch| Ok(branch.clone()))?;
        let (commit, bytes) = take(path, &branch, Limits::STANDARD)?;
        let mut data = Vec::new();
        let index = unpack(&bytes, &mut data, Limits::STANDARD)?;
        let mut files = BTreeMap::new();
        for item in &index.entries {
            let place =
                item.at.and_then(|at| Some((usize::try_from(at).ok()?, usize::try_from(item.entry.size).ok()?)));
            if let Some(content) = place.and_then(|(at, size)| data.get(at..at + size)) {
                files.insert(item.entry.path.clone(), content.to_vec());
            }
        }
        let entries = index.entries.into_iter().map(|item| item.entry).collect();
        Ok(Self { commit, entries, files })
    }
}

impl SourceTree for MemoryTree {
    fn commit(&self) -> &CommitSha {
        &self.commit
    }

    fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.files.get(path).cloned())
    }
}
