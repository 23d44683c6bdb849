//! Which tracker a place belongs to: GitHub, the tenant's Jira, or the table of this installation.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::error::Failure;
use domain::name::{RepoName, TrackerKey};
use engine::port::{Permit, Place, Posted, Progress, Reaction, Reread, Said, TicketView, Tracker, Words};
use engine::tenancy::TenantCtx;
use engine::{Engine, directory};

use crate::LocalTracker;

/// Every tracker of an installation.
#[derive(Clone)]
pub struct Trackers {
    engine: Engine,
    local: LocalTracker,
    github: Option<Arc<dyn Tracker>>,
    jira: Option<Arc<dyn Tracker>>,
}

impl Trackers {
    /// The table, and what else is set up.
    pub fn new(engine: Engine, github: Option<Arc<dyn Tracker>>, jira: Option<Arc<dyn Tracker>>) -> Self {
        Self { local: LocalTracker::new(engine.clone()), engine, github, jira }
    }

    async fn of(&self, ctx: &TenantCtx, place: &Place) -> Result<&dyn Tracker, Failure> {
        let repo = match place {
            Place::Machine(_) => return Ok(&self.local),
            Place::PullRequest(repo, _) | Place::Thread(repo, ..) | Place::Checks(repo, _) => Some(repo.clone()),
            Place::Ticket(key) => key.as_str().split_once('#').and_then(|(repo, _)| RepoName::parse(repo).ok()),
        };
        let found = if let Some(repo) = repo {
            let row = directory::repository(&self.engine, ctx, &repo).await?;
            self.github.as_ref().filter(|_| row.is_some_and(|row| row.github.is_some()))
        } else {
            let site = directory::jira(&self.engine, ctx).await?;
            self.jira.as_ref().filter(|_| site.is_some())
        };
        Ok(found.map_or(&self.local as &dyn Tracker, AsRef::as_ref))
    }
}

#[async_trait]
impl Tracker for Trackers {
    async fn lag(&self, ctx: &TenantCtx, place: &Place) -> Result<Duration, Failure> {
        self.of(ctx, place).await?.lag(ctx, place).await
    }

    fn room(&self) -> usize {
        let others = self.github.iter().chain(&self.jira).map(|tracker| tracker.room());
        others.min().unwrap_or_else(|| self.local.room())
    }

    async fn find(&self, ctx: &TenantCtx, place: &Place, marker: &str) -> Result<Vec<Posted>, Failure> {
        self.of(ctx, place).await?.find(ctx, place, marker).await
    }

    async fn create(&self, ctx: &TenantCtx, place: &Place, words: &Words<'_>) -> Result<Posted, Failure> {
        self.of(ctx, place).await?.create(ctx, place, words).await
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        place: &Place,
        id: &str,
        words: &Words<'_>,
    ) -> Result<Option<Posted>, Failure> {
        self.of(ctx, place).await?.update(ctx, place, id, words).await
    }

    async fn delete(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        self.of(ctx, place).await?.delete(ctx, place, id).await
    }

    async fn fold(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        self.of(ctx, place).await?.fold(ctx, place, id).await
    }

    async fn resolve(&self, ctx: &TenantCtx, place: &Place) -> Result<(), Failure> {
        self.of(ctx, place).await?.resolve(ctx, place).await
    }

    async fn react(&self, ctx: &TenantCtx, said: &Said, reaction: Reaction) -> Result<(), Failure> {
        self.of(ctx, &said.place).await?.react(ctx, said, reaction).await
    }

    async fn reread(&self, ctx: &TenantCtx, said: &Said) -> Result<Reread, Failure> {
        self.of(ctx, &said.place).await?.reread(ctx, said).await
    }

    async fn read(&self, ctx: &TenantCtx, key: &TrackerKey) -> Result<Option<TicketView>, Failure> {
        self.of(ctx, &Place::Ticket(key.clone())).await?.read(ctx, key).await
    }

    async fn advance(
        &self,
        ctx: &TenantCtx,
        key: &TrackerKey,
        to: &Progress,
        permit: &Permit,
    ) -> Result<Vec<String>, Failure> {
        self.of(ctx, &Place::Ticket(key.clone())).await?.advance(ctx, key, to, permit).await
    }
}
