//! Where a ticket stands: the one status comment on each surface, the checks of its commit, the ticket's own fields.

use std::fmt::Write as _;
use std::sync::Arc;

use domain::decide::Notice;
use domain::error::Failure;
use domain::name::{CommitSha, RepoName};
use domain::state::{Stage, State};
use domain::ticket::Ticket;
use engine::directory;
use engine::key::Key;
use engine::port::{Conclusion, Condition, Item, Permit, Phase, Place, Progress, TableError, Write};
use engine::tenancy::TenantCtx;
use engine::ticket::SKEW;
use jiff::SignedDuration;
use serde_json::json;

use crate::write::post;
use crate::{Notify, Say, place_of, rocket};

/// The pull request of a ticket, where people can be spoken to on it.
pub(crate) struct Pull {
    repo: RepoName,
    number: u64,
    head: CommitSha,
    /// Whether it may repeat what was said of the ticket: not where more people can read it.
    pub(crate) tells: bool,
}

impl Pull {
    /// The pull request itself.
    pub(crate) fn place(&self) -> Place {
        Place::PullRequest(self.repo.clone(), self.number)
    }

    /// A thread of it.
    pub(crate) fn thread(&self, id: &str) -> Place {
        Place::Thread(self.repo.clone(), self.number, id.to_owned())
    }
}

/// Finds the pull request of a ticket on a forge that has comments.
pub(crate) async fn pull_request(function: &Notify, ctx: &TenantCtx, ticket: &Ticket) -> Result<Option<Pull>, Failure> {
    let (Some(target), Some(pull)) = (ticket.target(), &ticket.pull_request) else {
        return Ok(None);
    };
    let Some(row) = directory::repository(&function.engine, ctx, &target.repo).await? else {
        return Ok(None);
    };
    if row.github.is_none() {
        return Ok(None);
    }
    let policy = directory::policy_of(&function.engine, ctx, Some(ticket)).await?;
    let tells = row.may_tell(&ticket.key, &policy);
    Ok(Some(Pull { repo: target.repo.clone(), number: pull.number, head: pull.head.clone(), tells }))
}

/// The status comment on each surface, and the checks of the pull request's commit.
pub(crate) async fn says(function: &Notify, ctx: &TenantCtx, ticket: &Ticket) -> Result<Vec<Say>, Failure> {
    let text = status(ticket, &function.handle);
    let mut says = vec![Say::new("status", text.clone())];
    if let Some(pull) = pull_request(function, ctx, ticket).await? {
        says.push(Say { place: Some(pull.place()), ..Say::new("status", text) });
        let checks = Place::Checks(pull.repo.clone(), pull.head.clone());
        for (name, conclusion, text) in checks_of(ticket) {
            let place = Some(checks.clone());
            says.push(Say { place, conclusion: Some(conclusion), ..Say::new(name, text) });
        }
    }
    Ok(says)
}

/// What the two checks say: never red, since declining is no failure of the code.
fn checks_of(ticket: &Ticket) -> [(&'static str, Conclusion, String); 2] {
    let (is, next) = ticket.state.explained();
    let plan = match &ticket.approved_plan {
        Some(hash) => (Conclusion::Success, format!("Plan {} approved\n\nThe change was made from it.", hash.short())),
        None => (Conclusion::ActionRequired, format!("No plan is approved\n\nNext: {next}.")),
    };
    let waits = matches!(&ticket.state, State::AwaitingDiffApproval { .. } | State::AwaitingPlanApproval)
        || matches!(&ticket.state, State::AwaitingAnswers);
    let conclusion = match &ticket.state {
        _ if waits => Conclusion::ActionRequired,
        State::InReview | State::Completed => Conclusion::Success,
        State::Snapshotting { .. }
        | State::Analyzing
        | State::AwaitingAnswers
        | State::Refining
        | State::AwaitingRefinementApproval
        | State::Planning
        | State::AwaitingPlanApproval
        | State::PlanApproved
        | State::Implementing
        | State::Reviewing
        | State::AwaitingDiffApproval { .. }
        | State::Publishing
        | State::Revising
        | State::Paused { .. }
        | State::Cancelling { .. }
        | State::Failed { .. }
        | State::Closed
        | State::Cancelled => Conclusion::Neutral,
    };
    let work = (conclusion, format!("{}\n\nTicket {}. Next: {next}.", capital(is), ticket.key));
    [("prfactory/plan", plan.0, plan.1), ("prfactory/implementation", work.0, work.1)]
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What goes with a notice beside words: the ticket's own fields, the draft that is ready, the rocket.
pub(crate) async fn beside(
    function: &Notify,
    ctx: &TenantCtx,
    ticket: &Ticket,
    notice: &Notice,
) -> Result<Option<u32>, Failure> {
    match notice {
        Notice::Status => advance(function, ctx, ticket).await,
        Notice::Published => {
            rocket(function, ctx, ticket).await;
            Ok(None)
        }
        Notice::Ready => {
            if let (Some(target), Some(pull)) = (ticket.target(), &ticket.pull_request) {
                function.forge.ready(ctx, target, pull.number).await?;
            }
            Ok(None)
        }
        Notice::Questions { .. }
        | Notice::Refinement { .. }
        | Notice::Plan { .. }
        | Notice::Diff { .. }
        | Notice::Answered { .. }
        | Notice::Told { .. }
        | Notice::Failed
        | Notice::Done { .. } => Ok(None),
    }
}

/// Where the work stands, for the ticket's own fields.
fn phase(state: &State) -> Phase {
    match state {
        State::InReview | State::Revising => Phase::InReview,
        State::Completed => Phase::Done,
        State::Closed | State::Cancelled => Phase::Ended,
        State::Paused { from, .. } | State::Failed { from, .. } => phase(from),
        State::Snapshotting { .. }
        | State::Analyzing
        | State::AwaitingAnswers
        | State::Refining
        | State::AwaitingRefinementApproval
        | State::Planning
        | State::AwaitingPlanApproval
        | State::PlanApproved
        | State::Implementing
        | State::Reviewing
        | State::AwaitingDiffApproval { .. }
        | State::Publishing
        | State::Cancelling { .. } => Phase::InProgress,
    }
}

/// How long one writer of a ticket's fields keeps others out.
const LEASE: SignedDuration = SignedDuration::from_secs(120);

/// Brings the ticket's own fields up to date; what is not allowed is said once.
///
/// One writer at a time, and one that was begun and not heard of again is done again: fields never go back.
async fn advance(function: &Notify, ctx: &TenantCtx, ticket: &Ticket) -> Result<Option<u32>, Failure> {
    let home = place_of(ticket);
    if let Place::Machine(_) = home {
        return Ok(None);
    }
    let engine = &function.engine;
    let row = Key::of(ctx, &format!("SAID#{home}"), format!("{}-phase", ticket.id));
    let before = engine.table.get(&row).await?;
    let now = engine.clock.now();
    let until = before.as_ref().and_then(|item| item.lease_until);
    // A lease that seems longer than any was taken before the clock was set back.
    if until.is_some_and(|until| until > now && until <= now + LEASE + SKEW) {
        return Ok(Some(2));
    }
    let Some(fresh) = engine::ticket::load(engine, ctx, &ticket.id).await? else {
        return Ok(None);
    };
    let to = progress(&fresh.ticket);
    let shown = json!({ "phase": to.phase, "pull_request": to.pull_request });
    if before.as_ref().is_some_and(|item| item.body == shown) {
        // Shown once: whoever changes the fields afterwards means it.
        return Ok(None);
    }
    let mut when = vec![Condition::NotBefore(until.map_or(now, |until| until.max(now)))];
    when.push(before.as_ref().map_or(Condition::NotExists { now }, |item| Condition::VersionIs(item.version)));
    let mut item = before.unwrap_or_else(|| Item::new(row, json!({})));
    (item.version, item.fence) = (item.version + 1, item.fence + 1);
    item.lease_until = Some(now + LEASE);
    item.body = json!({ "begun": now });
    if !put(function, item.clone(), when).await? {
        return Ok(Some(1));
    }
    let permit = Permit::new(Arc::clone(&engine.clock), now + LEASE);
    let refused = match function.tracker.advance(ctx, &ticket.key, &to, &permit).await {
        Ok(refused) => refused,
        Err(failure) => {
            // What may still be carried out is waited for; anything else is over, and the next one need not wait.
            if !failure.fault.is_open() {
                let fence = vec![Condition::FenceIs(item.fence)];
                (item.version, item.lease_until) = (item.version + 1, None);
                put(function, item, fence).await?;
            }
            return Err(failure);
        }
    };
    let mut wait = None;
    for (number, text) in refused.into_iter().enumerate() {
        let say = Say::new(format!("{}-cannot-{:?}-{number}", ticket.id, to.phase).to_lowercase(), text);
        wait = wait.max(post(function, ctx, &home, 0, &say).await?);
    }
    let fence = vec![Condition::FenceIs(item.fence)];
    item.version += 1;
    item.lease_until = None;
    // What could not be said yet is done again, words included.
    if wait.is_none() {
        item.body = shown;
    }
    Ok(if put(function, item, fence).await? { wait } else { Some(1) })
}

/// Writes the row of a ticket's fields; says whether nobody else did.
async fn put(function: &Notify, item: Item, when: Vec<Condition>) -> Result<bool, Failure> {
    match function.engine.table.transact(vec![Write::Put { item, when }]).await {
        Ok(()) => Ok(true),
        Err(TableError::Condition { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What the fields of a ticket shall show.
fn progress(ticket: &Ticket) -> Progress {
    let pull_request =
        ticket.pull_request.as_ref().map(|pull| (pull.url.clone(), format!("Pull request #{}", pull.number)));
    let phase = phase(&ticket.state);
    // A ticket that has a pull request was never less far, whatever is done to it again.
    let phase = if phase == Phase::InProgress && pull_request.is_some() { Phase::InReview } else { phase };
    Progress { phase, pull_request }
}

/// The phases people see.
const PHASES: [&str; 5] =
    ["Read the repository", "Refine the ticket", "Plan", "Implement and review", "Open the pull request"];

/// How many phases are behind a ticket.
fn done(state: &State) -> usize {
    match state {
        State::Snapshotting { then: Stage::Plan } | State::Planning | State::AwaitingPlanApproval => 2,
        State::AwaitingAnswers | State::Refining | State::AwaitingRefinementApproval => 1,
        State::Snapshotting { then: Stage::Implement }
        | State::PlanApproved
        | State::Implementing
        | State::Reviewing
        | State::AwaitingDiffApproval { .. }
        | State::Revising => 3,
        State::Publishing => 4,
        State::InReview | State::Completed => 5,
        State::Paused { from, .. } | State::Failed { from, .. } => done(from),
        State::Snapshotting { .. } | State::Analyzing | State::Cancelling { .. } | State::Closed | State::Cancelled => {
            0
        }
    }
}

fn status(ticket: &Ticket, handle: &str) -> String {
    let (is, next) = ticket.state.explained();
    let mut text = format!("**PRFactory** · {} · **{is}**\n\n", ticket.key);
    let behind = done(&ticket.state);
    for (at, phase) in PHASES.iter().enumerate() {
        let _ = writeln!(text, "- [{}] {phase}", if at < behind { 'x' } else { ' ' });
    }
    let at_least = if ticket.budget.incomplete { "at least " } else { "" };
    let minutes = ticket.updated_at.duration_since(ticket.created_at).as_secs() / 60;
    let _ =
        writeln!(text, "\nCost so far: {at_least}{} of {} · {minutes} min", ticket.budget.spent, ticket.budget.limit);
    if let Some(pull) = &ticket.pull_request {
        let _ = writeln!(text, "Pull request: #{} {}", pull.number, pull.url);
    }
    if ticket.state.awaits_decision() && !ticket.decisions.is_empty() {
        let _ = writeln!(
            text,
            "Approved so far by {}.",
            ticket.decisions.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", ")
        );
    }
    let _ = write!(text, "Next: {next}, after `@{handle}`");
    text
}
