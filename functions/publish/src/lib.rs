//! Pushes the approved change to the ticket's own branch and opens or updates its pull request.

mod template;
mod text;

use std::sync::Arc;

use agent::brief;
use async_trait::async_trait;
use domain::artifact::{DecisionRecord, Verdict};
use domain::change_set::ChangeSet;
use domain::error::{Failure, Fault};
use domain::id::MemberId;
use domain::input::Outcome;
use domain::name::CommitSha;
use domain::policy::Policy;
use domain::principal::Role;
use domain::state::Stage;
use domain::ticket::{Target, Ticket};
use engine::port::{CommitMeta, Commits, Forge, Permit, PullRequestState, SourceTree, Workspace, Write};
use engine::stage::{Holder, Turn, TurnInput, Work, handle as run};
use engine::standing::Standing;
use engine::tenancy::TenantCtx;
use engine::{Disposition, Engine, artifact, directory};

/// What the function needs.
#[derive(Clone)]
pub struct Publish {
    /// The engine's ports.
    pub engine: Engine,
    /// Opens the snapshot.
    pub workspace: Arc<dyn Workspace>,
    /// Writes commits.
    pub commits: Arc<dyn Commits>,
    /// Opens pull requests.
    pub forge: Arc<dyn Forge>,
}

/// Handles one message of the queue.
pub async fn handle(function: &Publish, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Publish {
    fn stage(&self) -> Stage {
        Stage::Publish
    }

    async fn turn(&self, holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let ticket = &input.ticket;
        let target = target_of(ticket)?;
        let bug = |what: &str| Failure::new(Fault::Bug, what);
        let change = ticket.change_set.as_ref().ok_or_else(|| bug("there is no change"))?;
        if ticket.approved_plan.is_none() {
            return Err(bug("nothing is pushed without an approved plan"));
        }
        let change_set: ChangeSet = artifact::load(&self.engine, &input.ctx, &change.hash).await?;
        let facts = brief(&self.engine, &input.ctx, ticket).await?;
        let mut decisions = Vec::new();
        for hash in ticket.approved_plan.iter().chain(&ticket.approved_diff) {
            decisions.extend(artifact::decisions(&self.engine, &input.ctx, &ticket.id, hash).await?);
        }
        let checks = match self.allowed(&input, &decisions).await? {
            Ok(checks) => checks,
            Err((names, _)) if ticket.intent.is_some() => {
                let names = names.join(", ");
                let what =
                    format!("the push was under way when {names} lost the right to approve; restore it, or cancel");
                return Err(Failure::new(Fault::Permission, what));
            }
            Err((names, least)) => return Ok(Turn::done(Outcome::ApprovalLapsed { names, least }, Vec::new())),
        };
        let tree = input.open(self.workspace.as_ref()).await?;
        let told = text::Told {
            ticket,
            facts: &facts,
            policy: &input.policy,
            change_set: &change_set,
            decisions: &decisions,
            whole: self.may_say(&input.ctx, &input.policy, ticket).await?,
        };
        let text = told.pull_request(template::of(tree.as_ref())?.as_deref());
        let meta = self.meta(&input.ctx, &input.policy, ticket, &change_set).await?;
        let intent = format!("publish {}", change.hash);
        let permit = holder.intend(&intent, checks.clone()).await?;
        let head = self.pushed(&input, target, tree.as_ref(), (&change_set, &meta), &permit).await?;
        let permit = holder.intend(&intent, checks).await?;
        let opened = match &ticket.pull_request {
            Some(pull) => self.forge.update(&input.ctx, target, pull.number, &head, &text, &permit).await?,
            None => self.forge.open(&input.ctx, target, &head, &text, &permit).await?,
        };
        let number = opened.reference.number;
        let row = directory::pull_request_write(&input.ctx, &target.repo, number, &ticket.id);
        Ok(Turn::done(Outcome::Published { pull_request: opened.reference }, vec![row]))
    }

    async fn read_back(&self, ctx: &TenantCtx, ticket: &Ticket) -> Result<String, Failure> {
        let target = target_of(ticket)?;
        if ticket.pull_request.is_some() {
            return Ok(format!("branch `{}` and its pull request were there before and stay", target.branch));
        }
        if let Some(opened) = self.forge.find(ctx, target).await?
            && opened.state == PullRequestState::Open
        {
            self.forge.close(ctx, target, opened.reference.number).await?;
        }
        let (Some(change), Some(snapshot)) = (&ticket.change_set, &target.snapshot) else {
            return Ok("nothing had been written".to_owned());
        };
        let change_set: ChangeSet = artifact::load(&self.engine, ctx, &change.hash).await?;
        let tree = self.workspace.open(ctx, snapshot).await?;
        let policy = directory::policy_of(&self.engine, ctx, Some(ticket)).await?;
        let meta = self.meta(ctx, &policy, ticket, &change_set).await?;
        if self.commits.undo(ctx, target, tree.as_ref(), (&change_set, &meta)).await? {
            return Ok(format!("branch `{}` was removed again", target.branch));
        }
        Ok("nothing of ours is left outside".to_owned())
    }
}

impl Publish {
    /// Whether enough of those who approved what is pushed still may; if so, what has to stay true until it is.
    async fn allowed(
        &self,
        input: &TurnInput,
        decisions: &[DecisionRecord],
    ) -> Result<Result<Vec<Write>, (Vec<String>, Role)>, Failure> {
        let ticket = &input.ticket;
        let change = ticket.change_set.as_ref().map(|change| &change.hash);
        let diff = ticket.approved_diff.as_ref().filter(|hash| change == Some(hash));
        let hash = diff.or(ticket.approved_plan.as_ref());
        let approved = decisions.iter().filter(|d| d.verdict == Verdict::Approved && Some(&d.artifact) == hash);
        let (mut checks, mut lapsed, mut least) = (Vec::new(), Vec::new(), Role::Approver);
        for decision in approved {
            let Some(member) = &decision.member else {
                // By policy: nobody's word that could lapse.
                return Ok(Ok(Vec::new()));
            };
            // A diff may have needed the very role it was approved with; a plan needs an approver.
            let role = if diff.is_some() { decision.role.unwrap_or(Role::Admin) } else { Role::Approver };
            let here = self.may_still(input, member, role).await?;
            if let Some(check) = directory::still(&self.engine, &input.ctx, member, role).await?.filter(|_| here) {
                checks.push(check);
            } else {
                lapsed.push(decision.name.clone());
                least = least.max(role);
            }
        }
        let enough = checks.len() >= input.policy.required_approvals as usize;
        Ok(if enough || lapsed.is_empty() { Ok(checks) } else { Err((lapsed, least)) })
    }

    /// Pushes unless the pull request shows this very change already.
    async fn pushed(
        &self,
        input: &TurnInput,
        target: &Target,
        tree: &dyn SourceTree,
        change: (&ChangeSet, &CommitMeta),
        permit: &Permit,
    ) -> Result<CommitSha, Failure> {
        let ticket = &input.ticket;
        let hash = change.0.hash();
        if let (Some(pull), true) = (&ticket.pull_request, ticket.published.as_ref() == Some(&hash)) {
            return Ok(pull.head.clone());
        }
        let before = ticket.pull_request.as_ref().map(|pull| &pull.head);
        self.commits.push(&input.ctx, target, tree, change, before, permit).await
    }

    /// Whether a member still has a role by what the forge itself says at this moment.
    async fn may_still(&self, input: &TurnInput, member: &MemberId, role: Role) -> Result<bool, Failure> {
        let row = directory::member_row(&self.engine, &input.ctx, member).await?;
        let Some((row, person)) = row.and_then(|row| row.github.clone().map(|person| (row, person))) else {
            return Ok(true);
        };
        let repo = &target_of(&input.ticket)?.repo;
        let standing = Standing::of(self.forge.as_ref(), &input.ctx, repo, &input.policy, &person).await?;
        Ok(standing.is_none_or(|standing| standing.hold(row.role) >= Some(role)))
    }

    /// Whether the pull request may repeat what the ticket says: not where more people can read it than the ticket.
    async fn may_say(&self, ctx: &TenantCtx, policy: &Policy, ticket: &Ticket) -> Result<bool, Failure> {
        let repo = &target_of(ticket)?.repo;
        let Some(row) = directory::repository(&self.engine, ctx, repo).await? else {
            return Ok(false);
        };
        let Some(installation) = row.github.as_ref().map(|github| github.installation) else {
            return Ok(true);
        };
        // Asked, not remembered: it may have been opened to everybody a moment ago.
        let row = match self.forge.about(ctx, repo).await? {
            Some(named) => directory::known_as(&self.engine, ctx, installation, &named).await?.unwrap_or(row),
            None => row,
        };
        Ok(row.may_tell(&ticket.key, policy))
    }

    /// Everything of the commit that is not the change itself; the same ticket always gives the same.
    async fn meta(
        &self,
        ctx: &TenantCtx,
        policy: &Policy,
        ticket: &Ticket,
        change_set: &ChangeSet,
    ) -> Result<CommitMeta, Failure> {
        let requester = match &ticket.requester {
            Some(member) => directory::member_row(&self.engine, ctx, member).await?.and_then(|row| row.github),
            None => None,
        };
        let target = target_of(ticket)?;
        let whole = self.may_say(ctx, policy, ticket).await?;
        let sign_off = if policy.sign_off { self.forge.signature(ctx, target).await? } else { None };
        let message = text::commit_message(ticket, &change_set.hash(), whole, requester.as_ref(), sign_off.as_deref());
        let mut parents = vec![ticket.pull_request.as_ref().map_or(&change_set.base, |pull| &pull.head).clone()];
        // A change that was made anew on a later base brings that base along: only then nothing conflicts any more.
        if ticket.published_base.as_ref().is_some_and(|base| *base != change_set.base) {
            parents.push(change_set.base.clone());
        }
        Ok(CommitMeta { message, at: ticket.approved_at.unwrap_or(ticket.created_at), parents })
    }
}

fn target_of(ticket: &Ticket) -> Result<&Target, Failure> {
    ticket.target().ok_or_else(|| Failure::new(Fault::Bug, "the ticket has no target"))
}
