//! Which forge a repository lives on: the GitHub App where it is connected through that, else plain git.

use std::sync::Arc;

use async_trait::async_trait;
use domain::change_set::ChangeSet;
use domain::error::{Failure, Fault};
use domain::name::{CommitSha, RepoName};
use domain::ticket::Target;
use engine::inbound::{Named, Thread};
use engine::port::{
    Access, Capabilities, Checks, CommitMeta, Commits, Forge, Opened, Permit, Person, PullRequestText, SourceTree,
};
use engine::tenancy::TenantCtx;
use engine::{Engine, directory};

use crate::{Github, LocalForge};

/// Every forge of an installation.
#[derive(Clone)]
pub struct Forges {
    engine: Engine,
    local: LocalForge,
    github: Option<Github>,
}

/// Every way to write commits.
#[derive(Clone)]
pub struct Writers {
    engine: Engine,
    git: Arc<dyn Commits>,
    github: Option<Github>,
}

/// Where a repository is, if it is on GitHub.
async fn on<'a>(
    engine: &Engine,
    github: Option<&'a Github>,
    ctx: &TenantCtx,
    repo: &RepoName,
) -> Result<Option<&'a Github>, Failure> {
    let row = directory::repository(engine, ctx, repo).await?;
    if row.is_none_or(|row| row.github.is_none()) {
        return Ok(None);
    }
    let missing = || Failure::new(Fault::Auth, "the GitHub App is not set up: its number and private key are missing");
    github.map(Some).ok_or_else(missing)
}

impl Forges {
    /// Plain git, and GitHub where the App is set up.
    pub fn new(engine: Engine, github: Option<Github>) -> Self {
        Self { local: LocalForge::new(engine.clone()), engine, github }
    }

    async fn of(&self, ctx: &TenantCtx, repo: &RepoName) -> Result<&dyn Forge, Failure> {
        let github = on(&self.engine, self.github.as_ref(), ctx, repo).await?;
        Ok(github.map_or(&self.local as &dyn Forge, |github| github as &dyn Forge))
    }
}

impl Writers {
    /// Plain git, and GitHub's own API where the App is set up.
    pub fn new(engine: Engine, git: Arc<dyn Commits>, github: Option<Github>) -> Self {
        Self { engine, git, github }
    }

    async fn of(&self, ctx: &TenantCtx, repo: &RepoName) -> Result<&dyn Commits, Failure> {
        let github = on(&self.engine, self.github.as_ref(), ctx, repo).await?;
        Ok(github.map_or(self.git.as_ref(), |github| github as &dyn Commits))
    }
}

#[async_trait]
impl Forge for Forges {
    /// What all of them together can do.
    fn capabilities(&self) -> Capabilities {
        self.github.as_ref().map_or_else(|| self.local.capabilities(), Forge::capabilities)
    }

    fn app(&self) -> Option<u64> {
        self.github.as_ref().and_then(Forge::app)
    }

    async fn find(&self, ctx: &TenantCtx, target: &Target) -> Result<Option<Opened>, Failure> {
        self.of(ctx, &target.repo).await?.find(ctx, target).await
    }

    async fn open(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure> {
        self.of(ctx, &target.repo).await?.open(ctx, target, head, text, permit).await
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        number: u64,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure> {
        self.of(ctx, &target.repo).await?.update(ctx, target, number, head, text, permit).await
    }

    async fn ready(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<(), Failure> {
        self.of(ctx, &target.repo).await?.ready(ctx, target, number).await
    }

    async fn mergeable(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<Option<bool>, Failure> {
        self.of(ctx, &target.repo).await?.mergeable(ctx, target, number).await
    }

    async fn checks(&self, ctx: &TenantCtx, repo: &RepoName, head: &CommitSha) -> Result<Option<Checks>, Failure> {
        self.of(ctx, repo).await?.checks(ctx, repo, head).await
    }

    async fn about(&self, ctx: &TenantCtx, repo: &RepoName) -> Result<Option<Named>, Failure> {
        self.of(ctx, repo).await?.about(ctx, repo).await
    }

    async fn remarks(
        &self,
        ctx: &TenantCtx,
        repo: &RepoName,
        number: u64,
        review: &str,
    ) -> Result<Option<Vec<Thread>>, Failure> {
        self.of(ctx, repo).await?.remarks(ctx, repo, number, review).await
    }

    async fn access(&self, ctx: &TenantCtx, repo: &RepoName, who: &Person) -> Result<Option<Access>, Failure> {
        self.of(ctx, repo).await?.access(ctx, repo, who).await
    }

    async fn in_team(&self, ctx: &TenantCtx, repo: &RepoName, team: &str, who: &Person) -> Result<bool, Failure> {
        self.of(ctx, repo).await?.in_team(ctx, repo, team, who).await
    }

    async fn signature(&self, ctx: &TenantCtx, target: &Target) -> Result<Option<String>, Failure> {
        self.of(ctx, &target.repo).await?.signature(ctx, target).await
    }

    async fn close(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<(), Failure> {
        self.of(ctx, &target.repo).await?.close(ctx, target, number).await
    }
}

#[async_trait]
impl Commits for Writers {
    async fn push(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        tree: &dyn SourceTree,
        change: (&ChangeSet, &CommitMeta),
        expected: Option<&CommitSha>,
        permit: &Permit,
    ) -> Result<CommitSha, Failure> {
        self.of(ctx, &target.repo).await?.push(ctx, target, tree, change, expected, permit).await
    }

    async fn undo(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        tree: &dyn SourceTree,
        change: (&ChangeSet, &CommitMeta),
    ) -> Result<bool, Failure> {
        self.of(ctx, &target.repo).await?.undo(ctx, target, tree, change).await
    }
}
