//! Git repositories in memory: read as snapshots, written by compare-and-swap, now and then by people.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::change_set::{ChangeSet, FileChange};
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TenantId;
use domain::name::{BranchName, CommitSha};
use domain::path::RepoPath;
use domain::ticket::Target;
use engine::port::{Blobs, CommitMeta, Commits, Permit, Snapshots, SourceTree, StoredSnapshot, Workspace};
use engine::tenancy::TenantCtx;
use serde::{Deserialize, Serialize};
use workspace::MemoryTree;

use crate::clockwork::{Clockwork, Op};
use crate::port::{SimBlobs, failure, held};
use crate::watch::Watch;

/// Files by path.
type Files = BTreeMap<RepoPath, String>;

/// One commit.
#[derive(Debug, Clone, Serialize)]
pub struct Commit {
    /// Every file.
    pub files: BTreeMap<RepoPath, String>,
    /// What it came from.
    pub parents: Vec<CommitSha>,
    /// What it says.
    pub message: String,
    at: String,
}

#[derive(Default)]
struct Repo {
    branches: BTreeMap<String, CommitSha>,
    commits: BTreeMap<CommitSha, Commit>,
    /// Why nobody of ours may write, while that is so.
    refuses: Option<Fault>,
    /// Why nobody of ours is even let in, while that is so.
    shut: Option<Fault>,
}

impl Repo {
    /// Lets somebody with our token read, or says why not.
    fn open(&self) -> Result<(), Failure> {
        match &self.shut {
            Some(fault) => Err(Failure::new(fault.clone(), "the repository does not know the name or the token")),
            None => Ok(()),
        }
    }
}

type Place = (TenantId, String);

/// The repositories of one run.
pub struct SimSource {
    clockwork: Clockwork,
    watch: Arc<Watch>,
    blobs: Arc<SimBlobs>,
    repos: Mutex<BTreeMap<Place, Repo>>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    commit: CommitSha,
    files: Files,
}

fn place(ctx: &TenantCtx, target: &Target) -> Place {
    (ctx.tenant().clone(), target.repo.to_string())
}

fn sha(commit: &Commit) -> Result<CommitSha, Failure> {
    let hex: String = ContentHash::of_json(commit).as_str().chars().take(40).collect();
    CommitSha::parse(&hex).map_err(|error| Failure::new(Fault::Bug, error.to_string()))
}

fn moved(branch: &BranchName) -> Failure {
    Failure::new(Fault::Conflict, format!("branch `{branch}` is not where it was left"))
}

impl SimSource {
    /// No repository yet.
    pub fn new(clockwork: Clockwork, watch: Arc<Watch>, blobs: Arc<SimBlobs>) -> Self {
        Self { clockwork, watch, blobs, repos: Mutex::default() }
    }

    /// What a person or another tool pushes to a branch; makes repository and branch where absent.
    pub fn commit(
        &self,
        tenant: &TenantId,
        repo: &str,
        branch: &str,
        change: impl FnOnce(&mut BTreeMap<RepoPath, String>),
    ) {
        let mut repos = held(&self.repos);
        let repo = repos.entry((tenant.clone(), repo.to_owned())).or_default();
        let head = repo.branches.get(branch).cloned();
        let mut files =
            head.as_ref().and_then(|head| repo.commits.get(head)).map(|c| c.files.clone()).unwrap_or_default();
        change(&mut files);
        let at = self.clockwork.at().to_string();
        let commit = Commit { files, parents: head.into_iter().collect(), message: "by a person".to_owned(), at };
        if let Ok(sha) = sha(&commit) {
            repo.commits.insert(sha.clone(), commit);
            repo.branches.insert(branch.to_owned(), sha);
        }
    }

    /// What a person removes.
    pub fn remove_branch(&self, tenant: &TenantId, repo: &str, branch: &str) {
        if let Some(repo) = held(&self.repos).get_mut(&(tenant.clone(), repo.to_owned())) {
            repo.branches.remove(branch);
        }
    }

    /// Has a repository refuse our writes, or take them again.
    pub fn refuse(&self, tenant: &TenantId, repo: &str, why: Option<Fault>) {
        if let Some(repo) = held(&self.repos).get_mut(&(tenant.clone(), repo.to_owned())) {
            repo.refuses = why;
        }
    }

    /// Has a repository let nobody of ours in, or open again: it was renamed, or the token expired.
    pub fn shut(&self, tenant: &TenantId, repo: &str, why: Option<Fault>) {
        if let Some(repo) = held(&self.repos).get_mut(&(tenant.clone(), repo.to_owned())) {
            repo.shut = why;
        }
    }

    /// The commit a branch points at.
    pub fn head_of(&self, tenant: &TenantId, repo: &str, branch: &str) -> Option<(CommitSha, Commit)> {
        let repos = held(&self.repos);
        let repo = repos.get(&(tenant.clone(), repo.to_owned()))?;
        let sha = repo.branches.get(branch)?;
        Some((sha.clone(), repo.commits.get(sha)?.clone()))
    }

    /// Every branch of ours.
    pub fn branches(&self) -> Vec<(TenantId, String, String)> {
        let repos = held(&self.repos);
        let all = repos.iter().flat_map(|((tenant, name), repo)| {
            repo.branches.keys().map(move |branch| (tenant.clone(), name.clone(), branch.clone()))
        });
        all.filter(|(_, _, branch)| branch.starts_with("prfactory/")).collect()
    }

    fn built(tree: &dyn SourceTree, change_set: &ChangeSet, meta: &CommitMeta) -> Result<(CommitSha, Commit), Failure> {
        let mut files = Files::new();
        for entry in tree.entries() {
            if let Some(bytes) = tree.read(&entry.path)? {
                files.insert(entry.path.clone(), String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        for (path, change) in &change_set.files {
            match change {
                FileChange::Write { text, .. } => files.insert(path.clone(), text.clone()),
                FileChange::Delete => files.remove(path),
            };
        }
        let (message, at) = (meta.message.clone(), meta.at.to_string());
        let commit = Commit { files, parents: meta.parents.clone(), message, at };
        Ok((sha(&commit)?, commit))
    }

    /// Moves a branch from one commit to another, as a git server does it.
    fn swap(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        expected: Option<&CommitSha>,
        to: Option<(&CommitSha, &Commit)>,
    ) -> Result<(), Failure> {
        let mut repos = held(&self.repos);
        let repo = repos
            .get_mut(&place(ctx, target))
            .ok_or_else(|| Failure::new(Fault::Permission, "there is no such repository"))?;
        repo.open()?;
        if let Some(fault) = &repo.refuses {
            return Err(Failure::new(fault.clone(), "the repository refuses the push"));
        }
        let branch = target.branch.as_str();
        if repo.branches.get(branch) != expected {
            return Err(moved(&target.branch));
        }
        match to {
            Some((sha, commit)) => {
                repo.commits.insert(sha.clone(), commit.clone());
                repo.branches.insert(branch.to_owned(), sha.clone());
            }
            None => {
                repo.branches.remove(branch);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Snapshots for SimSource {
    async fn head(&self, ctx: &TenantCtx, target: &Target, branch: &BranchName) -> Result<Option<CommitSha>, Failure> {
        self.watch.acts_for("a repository", ctx.tenant());
        let look = || match held(&self.repos).get(&place(ctx, target)) {
            Some(repo) => repo.open().map(|()| repo.branches.get(branch.as_str()).cloned()),
            None => Ok(None),
        };
        let head = self.clockwork.call(Op::read("git.head"), look).await;
        head.map_err(|harm| failure(&self.clockwork, "asking for a branch", harm, false))?
    }

    async fn fetch(&self, ctx: &TenantCtx, target: &Target) -> Result<StoredSnapshot, Failure> {
        self.watch.acts_for("a repository", ctx.tenant());
        let look = || {
            let repos = held(&self.repos);
            let absent = || Failure::new(Fault::Invalid, "there is no such branch");
            let repo = repos.get(&place(ctx, target)).ok_or_else(absent)?;
            repo.open()?;
            let sha = repo.branches.get(target.base.as_str()).ok_or_else(absent)?;
            let commit = repo.commits.get(sha).ok_or_else(absent)?;
            Ok::<_, Failure>(Stored { commit: sha.clone(), files: commit.files.clone() })
        };
        let read = self.clockwork.call(Op::read("git.fetch"), look).await;
        let stored = read.map_err(|harm| failure(&self.clockwork, "fetching", harm, false))??;
        let bytes = serde_json::to_vec(&stored).map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
        let blob = self.blobs.put(ctx, &bytes).await?;
        Ok(StoredSnapshot { commit: stored.commit, blob })
    }
}

#[async_trait]
impl Workspace for SimSource {
    async fn open(&self, ctx: &TenantCtx, snapshot: &ContentHash) -> Result<Arc<dyn SourceTree>, Failure> {
        let bytes = self.blobs.load(ctx, snapshot).await?;
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
        let files = stored.files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
        Ok(Arc::new(MemoryTree::new(stored.commit, files)))
    }
}

#[async_trait]
impl Commits for SimSource {
    async fn push(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        tree: &dyn SourceTree,
        (change_set, meta): (&ChangeSet, &CommitMeta),
        expected: Option<&CommitSha>,
        permit: &Permit,
    ) -> Result<CommitSha, Failure> {
        if !target.branch.is_ours() {
            return Err(Failure::new(Fault::Bug, "only a branch of ours is ever written"));
        }
        self.watch.acts_for("a repository", ctx.tenant());
        let (sha, commit) = Self::built(tree, change_set, meta)?;
        self.watch.write_starts("a push", ctx, target);
        let now = self.head(ctx, target, &target.branch).await?;
        if now.as_ref() == Some(&sha) {
            return Ok(sha);
        }
        if now.as_ref() != expected {
            return Err(moved(&target.branch));
        }
        permit.holds()?;
        let write = || {
            let done = self.swap(ctx, target, expected, Some((&sha, &commit)));
            if done.is_ok() {
                self.watch.pushed(ctx, target, &sha, change_set);
            }
            done
        };
        match self.clockwork.call(Op::effect("git.push"), write).await {
            Ok(done) => done.map(|()| sha),
            Err(harm) => Err(failure(&self.clockwork, "pushing", harm, true)),
        }
    }

    async fn undo(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        tree: &dyn SourceTree,
        (change_set, meta): (&ChangeSet, &CommitMeta),
    ) -> Result<bool, Failure> {
        let (ours, _) = Self::built(tree, change_set, meta)?;
        if self.head(ctx, target, &target.branch).await?.as_ref() != Some(&ours) {
            return Ok(false);
        }
        match self.clockwork.call(Op::effect("git.undo"), || self.swap(ctx, target, Some(&ours), None)).await {
            Ok(done) => done.map(|()| true),
            Err(harm) => Err(failure(&self.clockwork, "removing a branch", harm, true)),
        }
    }
}
