//! Comments in memory: lists that lag, people who edit and delete.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::error::Failure;
use domain::id::TenantId;
use domain::name::TrackerKey;
use engine::port::{Permit, Phase, Place, Posted, Progress, Reaction, Said, Tracker, Words};
use engine::tenancy::TenantCtx;

use crate::clockwork::{Clockwork, Micros, Op, SECOND};
use crate::port::{failure, held};
use crate::watch::Watch;

/// One comment of ours.
#[derive(Debug, Clone)]
pub struct Comment {
    /// Whose.
    pub tenant: TenantId,
    /// On which ticket.
    pub key: TrackerKey,
    /// What it says.
    pub posted: Posted,
    listed: Micros,
    gone: bool,
}

/// The tracker of one run.
pub struct SimTracker {
    clockwork: Clockwork,
    watch: Arc<Watch>,
    comments: Mutex<Vec<Comment>>,
    fields: Mutex<BTreeMap<(TenantId, TrackerKey), Phase>>,
}

impl SimTracker {
    /// No comment yet.
    pub fn new(clockwork: Clockwork, watch: Arc<Watch>) -> Self {
        Self { clockwork, watch, comments: Mutex::default(), fields: Mutex::default() }
    }

    /// What a ticket's own fields show.
    pub fn shows(&self, tenant: &TenantId, key: &TrackerKey) -> Option<Phase> {
        held(&self.fields).get(&(tenant.clone(), key.clone())).copied()
    }

    /// An effect that leaves nothing to look at.
    async fn does(&self, ctx: &TenantCtx, what: &'static str) -> Result<(), Failure> {
        self.watch.acts_for("a tracker", ctx.tenant());
        let done = self.clockwork.call(Op::effect(what), || ()).await;
        done.map_err(|harm| failure(&self.clockwork, what, harm, true))
    }

    /// Every comment that is there.
    pub fn comments(&self) -> Vec<Comment> {
        held(&self.comments).iter().filter(|comment| !comment.gone).cloned().collect()
    }

    /// A person deletes a comment of ours.
    pub fn deletes(&self, tenant: &TenantId, id: &str) {
        let mut comments = held(&self.comments);
        for comment in comments.iter_mut().filter(|c| c.tenant == *tenant && c.posted.id == id) {
            comment.gone = true;
            self.watch.comment_deleted(&comment.tenant, &comment.key, &comment.posted.text);
        }
    }

    /// A person edits a comment of ours.
    pub fn edits(&self, tenant: &TenantId, id: &str, text: &str) {
        let mut comments = held(&self.comments);
        for comment in comments.iter_mut().filter(|c| c.tenant == *tenant && c.posted.id == id) {
            self.watch.comment_deleted(&comment.tenant, &comment.key, &comment.posted.text);
            text.clone_into(&mut comment.posted.text);
        }
    }
}

/// The key under which a place is kept; every place has one of its own.
fn named(place: &Place) -> TrackerKey {
    TrackerKey::parse(&place.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

#[async_trait]
impl Tracker for SimTracker {
    async fn lag(&self, _ctx: &TenantCtx, _place: &Place) -> Result<Duration, Failure> {
        Ok(Duration::from_mins(1))
    }

    async fn find(&self, ctx: &TenantCtx, place: &Place, marker: &str) -> Result<Vec<Posted>, Failure> {
        self.watch.acts_for("a tracker", ctx.tenant());
        let (key, mark) = (named(place), Words::comment(marker));
        let look = || {
            let now = self.clockwork.now();
            let comments = held(&self.comments);
            let ours = comments.iter().filter(|c| !c.gone && c.tenant == *ctx.tenant() && c.key == key);
            ours.filter(|c| c.listed <= now && c.posted.text.contains(&mark)).map(|c| c.posted.clone()).collect()
        };
        let found = self.clockwork.call(Op::read("tracker.find"), look).await;
        found.map_err(|harm| failure(&self.clockwork, "listing comments", harm, false))
    }

    async fn create(&self, ctx: &TenantCtx, place: &Place, words: &Words<'_>) -> Result<Posted, Failure> {
        let (key, text) = (named(place), words.marked());
        let text = text.as_str();
        self.watch.acts_for("a tracker", ctx.tenant());
        self.watch.shows("a comment", text.as_bytes());
        let ticket = self.watch.comment_starts(ctx.tenant(), &key, text);
        let add = || {
            let late = self.clockwork.wild() && self.clockwork.chance(300);
            let listed = self.clockwork.now() + if late { self.clockwork.between(0, 20 * SECOND) } else { 0 };
            let mut comments = held(&self.comments);
            let posted = Posted { id: format!("c{}", comments.len() + 1), text: text.to_owned() };
            let (tenant, key) = (ctx.tenant().clone(), key.clone());
            comments.push(Comment { tenant, key, posted: posted.clone(), listed, gone: false });
            drop(comments);
            self.watch.comment_made(&ticket);
            posted
        };
        match self.clockwork.call(Op::effect("tracker.create"), add).await {
            Ok(posted) => Ok(posted),
            Err(harm) => {
                self.watch.comment_fails(&ticket);
                Err(failure(&self.clockwork, "writing a comment", harm, true))
            }
        }
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        place: &Place,
        id: &str,
        words: &Words<'_>,
    ) -> Result<Option<Posted>, Failure> {
        let (key, text) = (named(place), words.marked());
        let text = text.as_str();
        self.watch.acts_for("a tracker", ctx.tenant());
        self.watch.shows("a comment", text.as_bytes());
        let change = || {
            let mut comments = held(&self.comments);
            let mut ours = comments.iter_mut().filter(|c| !c.gone && c.tenant == *ctx.tenant() && c.key == key);
            let comment = ours.find(|c| c.posted.id == id)?;
            text.clone_into(&mut comment.posted.text);
            Some(comment.posted.clone())
        };
        let changed = self.clockwork.call(Op::effect("tracker.update"), change).await;
        changed.map_err(|harm| failure(&self.clockwork, "changing a comment", harm, true))
    }

    async fn delete(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        let key = named(place);
        self.watch.acts_for("a tracker", ctx.tenant());
        let remove = || {
            let mut comments = held(&self.comments);
            let ours = comments.iter_mut().filter(|c| c.tenant == *ctx.tenant() && c.key == key);
            for comment in ours.filter(|c| c.posted.id == id) {
                comment.gone = true;
            }
        };
        let removed = self.clockwork.call(Op::effect("tracker.delete"), remove).await;
        removed.map_err(|harm| failure(&self.clockwork, "removing a comment", harm, true))
    }

    async fn fold(&self, ctx: &TenantCtx, _place: &Place, _id: &str) -> Result<(), Failure> {
        self.does(ctx, "tracker.fold").await
    }

    async fn resolve(&self, ctx: &TenantCtx, _place: &Place) -> Result<(), Failure> {
        self.does(ctx, "tracker.resolve").await
    }

    async fn react(&self, ctx: &TenantCtx, _said: &Said, _reaction: Reaction) -> Result<(), Failure> {
        self.does(ctx, "tracker.react").await
    }

    async fn advance(
        &self,
        ctx: &TenantCtx,
        key: &TrackerKey,
        to: &Progress,
        permit: &Permit,
    ) -> Result<Vec<String>, Failure> {
        self.watch.acts_for("a tracker", ctx.tenant());
        let looked = self.clockwork.call(Op::read("tracker.look"), || ()).await;
        looked.map_err(|harm| failure(&self.clockwork, "reading a ticket's fields", harm, false))?;
        permit.holds()?;
        let advance = || held(&self.fields).insert((ctx.tenant().clone(), key.clone()), to.phase);
        let advanced = self.clockwork.call(Op::effect("tracker.advance"), advance).await;
        advanced.map_err(|harm| failure(&self.clockwork, "bringing a ticket's fields up to date", harm, true))?;
        // Now and then the tracker allows less than was asked for.
        Ok(self.clockwork.chance(100).then(|| "The status stays.".to_owned()).into_iter().collect())
    }
}
