//! Repositories reached by git, by path or by HTTP: snapshots of them, and commits to them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::change_set::ChangeSet;
use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use domain::ticket::Target;
use engine::Engine;
use engine::directory::{self, Repository};
use engine::port::{CommitMeta, Commits, Permit, RepoTokens, Secret, Snapshots, SourceTree, StoredSnapshot, Vault};
use engine::tenancy::TenantCtx;

use crate::git::fetch::Known;
use crate::git::http::{Remote, client, may_carry_token};
use crate::git::{fetch, local, object, push};
use crate::scratch::Scratch;
use crate::snapshot::{Limits, io};

/// Reads and writes the connected repositories of tenants.
#[derive(Clone)]
pub struct GitSource {
    engine: Engine,
    vault: Arc<dyn Vault>,
    tokens: Option<Arc<dyn RepoTokens>>,
    root: PathBuf,
    client: reqwest::Client,
    patience: Duration,
    known: Arc<Known>,
    limits: Limits,
}

/// Longest a fetch may take.
const FETCH: Duration = Duration::from_mins(5);
/// How many times its patience a question about a branch or a push may take: a server that drips is no better than a
/// silent one, and a stage's lease is twice as long as that.
const ANSWER: u32 = 2;
/// How long a git server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a writer finds when somebody else's commits are on the branch.
pub(crate) fn moved(branch: &BranchName) -> Failure {
    Failure::new(
        Fault::Invalid,
        format!(
            "the branch `{branch}` has commits of somebody else, which are kept. Merge or remove them, then `retry`"
        ),
    )
}

impl GitSource {
    /// Uses a root for scratch directories.
    pub fn new(engine: Engine, vault: Arc<dyn Vault>, root: impl Into<PathBuf>) -> Result<Self, Failure> {
        Ok(Self {
            engine,
            vault,
            tokens: None,
            root: root.into(),
            client: client(PATIENCE)?,
            patience: PATIENCE,
            known: Arc::default(),
            limits: Limits::STANDARD,
        })
    }

    /// Gives up sooner or later on a git server that is silent.
    pub fn with_patience(self, patience: Duration) -> Result<Self, Failure> {
        Ok(Self { client: client(patience)?, patience, ..self })
    }

    /// Reaches repositories of the GitHub App with tokens that are minted for each.
    #[must_use]
    pub fn with_tokens(self, tokens: Option<Arc<dyn RepoTokens>>) -> Self {
        Self { tokens, ..self }
    }

    async fn repository(&self, ctx: &TenantCtx, target: &Target) -> Result<(Repository, Option<Secret>), Failure> {
        let found = directory::repository(&self.engine, ctx, &target.repo).await?;
        let repository = found.ok_or_else(|| {
            Failure::new(Fault::Permission, format!("`{}` is not connected to this tenant", target.repo))
        })?;
        if let Some(github) = &repository.github {
            let missing =
                || Failure::new(Fault::Auth, "the GitHub App is not set up: its number and private key are missing");
            let tokens = self.tokens.as_ref().ok_or_else(missing)?;
            let location = tokens.address(&github.name);
            let token = tokens.to_read(ctx, &target.repo).await?;
            return Ok((Repository { location, ..repository }, token));
        }
        if repository.token.is_some() && !may_carry_token(&repository.location) {
            let say = format!("the token of `{}` would travel unencrypted; use an https address", target.repo);
            return Err(Failure::new(Fault::Invalid, say));
        }
        let token = match &repository.token {
            Some(sealed) => Some(self.vault.open(ctx, "git", sealed).await?),
            None => None,
        };
        Ok((repository, token))
    }

    /// Fetches by HTTP into a directory of ours, which goes away with the work that reads it.
    async fn fetched(
        &self,
        ctx: &TenantCtx,
        remote: &Remote<'_>,
        branch: &BranchName,
    ) -> Result<(CommitSha, Vec<u8>), Failure> {
        let scratch = Scratch::new(&self.root, ctx).map_err(|e| io(&e))?;
        let (pack, limits) = (scratch.path().join("pack"), self.limits);
        let found = within(self.patience * ANSWER, Fault::Transient, fetch::head(remote, branch)).await?;
        let missing = || Failure::new(Fault::Invalid, format!("the repository has no branch `{branch}`"));
        let head = found.ok_or_else(missing)?;
        fetch::fetch(remote, &head, &pack, limits).await?;
        let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
        let (stopped, commit) = (Arc::clone(&stop.0), head.clone());
        let bytes =
            blocking(move || local::unpack(&pack, &scratch.path().join("repository"), &commit, limits, &stopped));
        Ok((head, bytes.await?))
    }

    fn remote<'a>(&'a self, repository: &'a Repository, token: Option<&'a Secret>) -> Remote<'a> {
        Remote {
            client: &self.client,
            url: &repository.location,
            token,
            known: &self.known,
            now: self.engine.clock.now(),
        }
    }
}

/// Gives up after a while, whatever the server still sends.
async fn within<T>(
    longest: Duration,
    fault: Fault,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(longest, work).await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(fault, "the git server takes too long")),
    }
}

/// Tells work on another thread that nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn path_of(repository: &Repository) -> Option<PathBuf> {
    let location = repository.location.as_str();
    (!location.starts_with("http://") && !location.starts_with("https://")).then(|| PathBuf::from(location))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(Fault::Bug, "git work was aborted")),
    }
}

#[async_trait]
impl Snapshots for GitSource {
    async fn head(&self, ctx: &TenantCtx, target: &Target, branch: &BranchName) -> Result<Option<CommitSha>, Failure> {
        let (repository, token) = self.repository(ctx, target).await?;
        if let Some(path) = path_of(&repository) {
            let branch = branch.clone();
            blocking(move || local::head(&path, &branch)).await
        } else {
            let remote = self.remote(&repository, token.as_ref());
            within(self.patience * ANSWER, Fault::Transient, fetch::head(&remote, branch)).await
        }
    }

    async fn fetch(&self, ctx: &TenantCtx, target: &Target) -> Result<StoredSnapshot, Failure> {
        let (repository, token) = self.repository(ctx, target).await?;
        let (branch, limits) = (target.base.clone(), self.limits);
        let (commit, bytes) = if let Some(path) = path_of(&repository) {
            blocking(move || local::take(&path, &branch, limits)).await?
        } else {
            let remote = self.remote(&repository, token.as_ref());
            let fetched = within(FETCH, Fault::Transient, self.fetched(ctx, &remote, &branch)).await;
            fetched.inspect_err(|_| self.known.forget(&repository.location))?
        };
        let blob = self.engine.blobs.put(ctx, &bytes).await?;
        Ok(StoredSnapshot { commit, blob })
    }
}

#[async_trait]
impl Commits for GitSource {
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
        let built = object::build(tree, change_set, meta)?;
        let (repository, token) = self.repository(ctx, target).await?;
        let now = self.head(ctx, target, &target.branch).await?;
        if now.as_ref() == Some(&built.commit) {
            return Ok(built.commit);
        }
        if now.as_ref() != expected {
            return Err(moved(&target.branch));
        }
        permit.holds()?;
        let commit = built.commit.clone();
        if let Some(path) = path_of(&repository) {
            let (branch, expected) = (target.branch.clone(), expected.cloned());
            blocking(move || local::write(&path, &branch, &built.objects, &built.commit, expected.as_ref())).await?;
        } else {
            let remote = self.remote(&repository, token.as_ref());
            let pushed = push::push(&remote, &target.branch, expected, Some(&commit), &built.objects);
            within(self.patience * ANSWER, Fault::Unknown, pushed).await?;
        }
        Ok(commit)
    }

    async fn undo(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        tree: &dyn SourceTree,
        (change_set, meta): (&ChangeSet, &CommitMeta),
    ) -> Result<bool, Failure> {
        let ours = object::build(tree, change_set, meta)?.commit;
        let (repository, token) = self.repository(ctx, target).await?;
        if self.head(ctx, target, &target.branch).await?.as_ref() != Some(&ours) {
            return Ok(false);
        }
        if let Some(path) = path_of(&repository) {
            let branch = target.branch.clone();
            blocking(move || local::delete(&path, &branch, &ours)).await?;
        } else {
            let remote = self.remote(&repository, token.as_ref());
            let removed = push::push(&remote, &target.branch, Some(&ours), None, &[]);
            within(self.patience * ANSWER, Fault::Unknown, removed).await?;
        }
        Ok(true)
    }
}
