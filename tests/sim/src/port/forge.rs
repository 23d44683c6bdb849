//! Pull requests in memory: one open one a branch, lists that lag, people who merge and close.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::id::TenantId;
use domain::name::{CommitSha, RepoName};
use domain::ticket::{PullRequestRef, Target};
use engine::inbound::Thread;
use engine::port::{Access, Capabilities, Checks, Forge, Opened, Permit, Person, PullRequestState, PullRequestText};
use engine::tenancy::TenantCtx;

use crate::clockwork::{Clockwork, Micros, Op, SECOND};
use crate::port::{failure, held};
use crate::scene::PEOPLE;
use crate::watch::Watch;

/// One pull request.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Whose.
    pub tenant: TenantId,
    /// Where.
    pub repo: String,
    /// From.
    pub branch: String,
    /// What is known of it.
    pub opened: Opened,
    base: String,
    listed: Micros,
}

#[derive(Default)]
struct State {
    pulls: Vec<Pull>,
    /// Why nobody of ours may write, while that is so.
    refuses: Vec<(TenantId, Fault)>,
    /// What was remarked in each review, by its number.
    remarks: BTreeMap<String, Thread>,
}

/// The forge of one run.
pub struct SimForge {
    clockwork: Clockwork,
    watch: Arc<Watch>,
    state: Mutex<State>,
    /// Whether the wire lets a branch have several open pull requests; only wrong adapters meet that.
    careless: bool,
}

impl SimForge {
    /// No pull request yet.
    pub fn new(clockwork: Clockwork, watch: Arc<Watch>, careless: bool) -> Self {
        Self { clockwork, watch, state: Mutex::default(), careless }
    }

    /// Every pull request.
    pub fn pulls(&self) -> Vec<Pull> {
        held(&self.state).pulls.clone()
    }

    /// What a person does to an open pull request; says whether it was open.
    pub fn end(&self, tenant: &TenantId, repo: &str, number: u64, state: PullRequestState) -> bool {
        let mut all = held(&self.state);
        let pull = all
            .pulls
            .iter_mut()
            .find(|pull| (&pull.tenant, pull.repo.as_str(), pull.opened.reference.number) == (tenant, repo, number));
        match pull {
            Some(pull) if pull.opened.state == PullRequestState::Open => {
                pull.opened.state = state;
                true
            }
            Some(_) | None => false,
        }
    }

    /// A person remarked something in a review.
    pub fn remarked(&self, review: &str, thread: Thread) {
        held(&self.state).remarks.insert(review.to_owned(), thread);
    }

    /// Has the forge refuse our writes for a tenant, or take them again.
    pub fn refuse(&self, tenant: &TenantId, why: Option<Fault>) {
        let mut state = held(&self.state);
        state.refuses.retain(|(other, _)| other != tenant);
        state.refuses.extend(why.map(|why| (tenant.clone(), why)));
    }

    fn allowed(&self, ctx: &TenantCtx) -> Result<(), Failure> {
        let state = held(&self.state);
        match state.refuses.iter().find(|(tenant, _)| tenant == ctx.tenant()) {
            Some((_, fault)) => Err(Failure::new(fault.clone(), "the forge refuses the token")),
            None => Ok(()),
        }
    }

    fn is(pull: &Pull, ctx: &TenantCtx, target: &Target) -> bool {
        pull.tenant == *ctx.tenant()
            && pull.repo == target.repo.as_str()
            && pull.branch == target.branch.as_str()
            && pull.base == target.base.as_str()
    }

    fn listed(&self, ctx: &TenantCtx, target: &Target) -> Option<Opened> {
        let now = self.clockwork.now();
        let state = held(&self.state);
        let mut found = state.pulls.iter().rev().filter(|pull| Self::is(pull, ctx, target) && pull.listed <= now);
        found.next().map(|pull| pull.opened.clone())
    }

    /// Creates on the wire; `None` when the wire says that there is one already.
    pub(crate) fn create(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        head: &CommitSha,
        text: &PullRequestText,
    ) -> Result<Option<Opened>, Failure> {
        self.allowed(ctx)?;
        let late = self.clockwork.wild() && self.clockwork.chance(300);
        let listed = self.clockwork.now() + if late { self.clockwork.between(0, 45 * SECOND) } else { 0 };
        let mut state = held(&self.state);
        let open = |pull: &&Pull| Self::is(pull, ctx, target) && pull.opened.state == PullRequestState::Open;
        if !self.careless && state.pulls.iter().any(|pull| open(&pull)) {
            return Ok(None);
        }
        let number = 1 + state.pulls.len() as u64;
        let reference = PullRequestRef {
            number,
            url: format!("https://forge.example/{}/pull/{number}", target.repo),
            head: head.clone(),
        };
        let opened = Opened { reference, state: PullRequestState::Open, text: text.clone() };
        let pull = Pull {
            tenant: ctx.tenant().clone(),
            repo: target.repo.to_string(),
            branch: target.branch.to_string(),
            base: target.base.to_string(),
            opened: opened.clone(),
            listed,
        };
        state.pulls.push(pull);
        let open = state.pulls.iter().filter(|pull| open(pull)).count();
        drop(state);
        self.watch.opened(ctx, target, number, open);
        Ok(Some(opened))
    }

    async fn list(&self, ctx: &TenantCtx, target: &Target) -> Result<Option<Opened>, Failure> {
        self.watch.acts_for("a forge", ctx.tenant());
        let found = self.clockwork.call(Op::read("forge.list"), || self.listed(ctx, target)).await;
        found.map_err(|harm| failure(&self.clockwork, "listing pull requests", harm, false))
    }
}

#[async_trait]
impl Forge for SimForge {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            drafts: true,
            reactions: false,
            resolvable_threads: false,
            check_runs: false,
            api_commits: false,
        }
    }

    async fn find(&self, ctx: &TenantCtx, target: &Target) -> Result<Option<Opened>, Failure> {
        self.list(ctx, target).await
    }

    async fn open(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure> {
        self.watch.write_starts("a pull request", ctx, target);
        self.watch.shows("a pull request", format!("{}\n{}", text.title, text.body).as_bytes());
        if !self.careless
            && let Some(opened) = self.list(ctx, target).await?
        {
            return Ok(opened);
        }
        permit.holds()?;
        let create = || self.create(ctx, target, head, text);
        match self.clockwork.call(Op::effect("forge.create"), create).await {
            Ok(Ok(Some(opened))) => Ok(opened),
            Ok(Ok(None)) => match self.list(ctx, target).await? {
                Some(opened) => Ok(opened),
                None => Err(Failure::new(Fault::Transient, "the pull request exists and is not listed yet")),
            },
            Ok(Err(failure)) => Err(failure),
            Err(harm) => Err(failure(&self.clockwork, "opening a pull request", harm, true)),
        }
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
        self.watch.write_starts("an update", ctx, target);
        self.watch.acts_for("a forge", ctx.tenant());
        self.watch.shows("a pull request", format!("{}\n{}", text.title, text.body).as_bytes());
        permit.holds()?;
        let update = || {
            self.allowed(ctx)?;
            let mut state = held(&self.state);
            let found =
                state.pulls.iter_mut().find(|p| Self::is(p, ctx, target) && p.opened.reference.number == number);
            let pull = found.ok_or_else(|| Failure::new(Fault::Invalid, "there is no such pull request"))?;
            if pull.opened.state == PullRequestState::Open {
                pull.opened.reference.head = head.clone();
                pull.opened.text = text.clone();
            }
            Ok(pull.opened.clone())
        };
        match self.clockwork.call(Op::effect("forge.update"), update).await {
            Ok(done) => done,
            Err(harm) => Err(failure(&self.clockwork, "updating a pull request", harm, true)),
        }
    }

    async fn ready(&self, ctx: &TenantCtx, _target: &Target, _number: u64) -> Result<(), Failure> {
        self.watch.acts_for("a forge", ctx.tenant());
        let done = self.clockwork.call(Op::effect("forge.ready"), || ()).await;
        done.map_err(|harm| failure(&self.clockwork, "making a draft ready", harm, true))
    }

    async fn mergeable(&self, ctx: &TenantCtx, _target: &Target, _number: u64) -> Result<Option<bool>, Failure> {
        self.watch.acts_for("a forge", ctx.tenant());
        let look = || self.clockwork.chance(500).then(|| !self.clockwork.chance(300));
        let found = self.clockwork.call(Op::read("forge.mergeable"), look).await;
        found.map_err(|harm| failure(&self.clockwork, "looking for conflicts", harm, false))
    }

    async fn checks(&self, ctx: &TenantCtx, _repo: &RepoName, head: &CommitSha) -> Result<Option<Checks>, Failure> {
        self.watch.acts_for("a forge", ctx.tenant());
        let look = || match self.clockwork.below(3) {
            0 => Checks { total: 2, running: 1, passed: 1, failed: Vec::new() },
            1 => Checks { total: 1, running: 0, passed: 1, failed: Vec::new() },
            _ => Checks { total: 1, running: 0, passed: 0, failed: vec![("ci".to_owned(), head.to_string())] },
        };
        let found = self.clockwork.call(Op::read("forge.checks"), look).await;
        found.map(Some).map_err(|harm| failure(&self.clockwork, "reading checks", harm, false))
    }

    async fn remarks(
        &self,
        ctx: &TenantCtx,
        _repo: &RepoName,
        _number: u64,
        review: &str,
    ) -> Result<Option<Vec<Thread>>, Failure> {
        self.watch.acts_for("a forge", ctx.tenant());
        let look = || held(&self.state).remarks.get(review).cloned().into_iter().collect();
        let found = self.clockwork.call(Op::read("forge.remarks"), look).await;
        found.map(Some).map_err(|harm| failure(&self.clockwork, "reading a review", harm, false))
    }

    async fn access(&self, ctx: &TenantCtx, _repo: &RepoName, who: &Person) -> Result<Option<Access>, Failure> {
        self.watch.acts_for("a forge", ctx.tenant());
        // The last of the people is a stranger here as there.
        let look = || if who.id % 1_000 < PEOPLE.len() as u64 { Access::Admin } else { Access::None };
        let found = self.clockwork.call(Op::read("forge.access"), look).await;
        found.map(Some).map_err(|harm| failure(&self.clockwork, "asking what a person may do", harm, false))
    }

    async fn close(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<(), Failure> {
        self.watch.acts_for("a forge", ctx.tenant());
        let close = || {
            self.allowed(ctx)?;
            self.end(ctx.tenant(), target.repo.as_str(), number, PullRequestState::Closed);
            Ok(())
        };
        match self.clockwork.call(Op::effect("forge.close"), close).await {
            Ok(done) => done,
            Err(harm) => Err(failure(&self.clockwork, "closing a pull request", harm, true)),
        }
    }
}
