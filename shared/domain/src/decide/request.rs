//! What people's requests lead to.

use crate::artifact::{ArtifactRef, DecisionRecord, Verdict};
use crate::decide::draft::Draft;
use crate::decide::{Decision, Notice, quorum};
use crate::error::Fault;
use crate::input::{FixWhat, Request};
use crate::principal::{Member, Principal};
use crate::refusal::{Refusal, Why};
use crate::state::{Awaited, PauseReason, Stage, State};
use crate::ticket::Target;

pub(super) fn decide(draft: Draft<'_>, by: &Principal, request: &Request) -> Result<Decision, Refusal> {
    let Principal::Member(member) = by else {
        return Err(Refusal::new(Why::Role, "Only people can ask for this."));
    };
    if member.role < request.least_role() {
        return Err(Refusal::role(request.verb(), member.role, request.least_role()));
    }
    if draft.ticket().state.is_end() {
        return Err(draft.refuse(request.verb()));
    }
    match request {
        Request::Trigger => trigger(draft),
        Request::Untrigger => cancel(draft, "the trigger label was removed"),
        Request::Cancel => cancel(draft, "cancelled on request"),
        Request::Analyze => analyze(draft),
        Request::Repo { target } => repo(draft, target),
        Request::Answer { answers } => answer(draft, "answer", answers, "questions answered"),
        Request::Skip { answers } => answer(draft, "skip", answers, "the defaults are taken"),
        Request::Plan { answers } => plan(draft, answers.as_ref()),
        Request::Replan { instruction } => replan(draft, instruction),
        Request::EditRefinement { refinement } => edit(draft, refinement),
        Request::Approve { hash, note } => approve(draft, member, hash.as_ref(), note),
        Request::Reject { reason } => reject(draft, member, reason),
        Request::Implement => implement(draft),
        Request::Close => close(draft),
        Request::Fix { what: FixWhat::Conflicts, instruction, .. } => fix_conflicts(draft, instruction),
        Request::Fix { what: FixWhat::Ci | FixWhat::Review, batch, instruction } => {
            fix_review(draft, batch.clone(), instruction)
        }
        Request::Autofix { on } => {
            let mut draft = draft;
            draft.next().autofix = Some(*on);
            Ok(draft.finish(if *on {
                "repair of failing checks switched on"
            } else {
                "repair of failing checks switched off"
            }))
        }
        Request::Retry => retry(draft),
        Request::Pause => pause(draft),
        Request::Resume => resume(draft),
        Request::Budget { add } => Ok(budget(draft, *add)),
        Request::Model { name } => {
            let mut draft = draft;
            draft.next().model = Some(name.clone());
            Ok(draft.finish(&format!("model {name} is used from the next run on")))
        }
    }
}

fn trigger(draft: Draft<'_>) -> Result<Decision, Refusal> {
    match &draft.ticket().state {
        State::Failed { .. } => retry(draft),
        State::Paused { .. } => resume(draft),
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
        | State::InReview
        | State::Revising
        | State::Cancelling { .. }
        | State::Completed
        | State::Closed
        | State::Cancelled => Err(draft.refuse("trigger")),
    }
}

fn cancel(draft: Draft<'_>, what: &str) -> Result<Decision, Refusal> {
    if matches!(draft.ticket().state, State::Cancelling { .. }) {
        return Err(draft.refuse("cancel"));
    }
    Ok(draft.cancel(what))
}

/// Says whether nobody has approved anything yet, so that the work may start over.
fn before_any_approval(state: &State) -> bool {
    match state {
        State::Snapshotting { then } => matches!(then, Stage::Analyze),
        State::Analyzing | State::AwaitingAnswers | State::Refining | State::AwaitingRefinementApproval => true,
        State::Paused { from, .. } | State::Failed { from, .. } => before_any_approval(from),
        State::Planning
        | State::AwaitingPlanApproval
        | State::PlanApproved
        | State::Implementing
        | State::Reviewing
        | State::AwaitingDiffApproval { .. }
        | State::Publishing
        | State::InReview
        | State::Revising
        | State::Cancelling { .. }
        | State::Completed
        | State::Closed
        | State::Cancelled => false,
    }
}

fn analyze(mut draft: Draft<'_>) -> Result<Decision, Refusal> {
    if draft.ticket().asking.is_some() || !before_any_approval(&draft.ticket().state) {
        return Err(draft.refuse("analyze"));
    }
    draft.next().questions = None;
    draft.next().answers = None;
    Ok(draft.snapshot_then(Stage::Analyze, "analysis starts over"))
}

fn repo(mut draft: Draft<'_>, target: &Target) -> Result<Decision, Refusal> {
    if draft.ticket().asking.is_some() || !before_any_approval(&draft.ticket().state) {
        return Err(draft.refuse("repo"));
    }
    if !draft.policy().allows(&target.repo) {
        return Err(Refusal::new(
            Why::NotAllowed,
            format!("`{}` is not among the repositories this tenant allows.", target.repo),
        ));
    }
    // What one repository says of itself is nothing to the next.
    let next = draft.next();
    next.targets = vec![target.clone()];
    next.overrides = None;
    next.budget.limit += next.budget.lowered;
    next.budget.lowered = crate::money::Usd::ZERO;
    let what = format!("repository {} on {}", target.repo, target.base);
    Ok(draft.snapshot_then(Stage::Analyze, &what))
}

fn answer(mut draft: Draft<'_>, verb: &str, answers: &ArtifactRef, what: &str) -> Result<Decision, Refusal> {
    if draft.ticket().state != State::AwaitingAnswers {
        return Err(draft.refuse(verb));
    }
    draft.next().answers = Some(answers.clone());
    Ok(match draft.ticket().asking {
        Some(stage) => draft.go_on(stage, what),
        None => draft.run(Stage::Refine, what),
    })
}

fn plan(draft: Draft<'_>, answers: Option<&ArtifactRef>) -> Result<Decision, Refusal> {
    match answers {
        Some(answers) => answer(draft, "plan", answers, "the defaults are taken; on to planning"),
        None => Err(draft.refuse("plan")),
    }
}

/// Sends the plan back unless its revisions are used up.
fn revise_plan(mut draft: Draft<'_>, feedback: &str, what: &str) -> Result<Decision, Refusal> {
    let max = draft.policy().max_plan_revisions;
    if draft.ticket().plans.len() > max as usize {
        return Err(Refusal::new(
            Why::Limit,
            format!(
                "This plan was revised {max} times, the most this tenant allows. `approve` it, `cancel`, or write a clearer ticket."
            ),
        ));
    }
    draft.next().feedback = Some(feedback.to_owned());
    draft.next().approved_plan = None;
    Ok(draft.run(Stage::Plan, what))
}

fn replan(draft: Draft<'_>, instruction: &str) -> Result<Decision, Refusal> {
    match &draft.ticket().state {
        State::AwaitingPlanApproval | State::PlanApproved => {
            revise_plan(draft, instruction, &format!("replan: {instruction}"))
        }
        State::Snapshotting { .. }
        | State::Analyzing
        | State::AwaitingAnswers
        | State::Refining
        | State::AwaitingRefinementApproval
        | State::Planning
        | State::Implementing
        | State::Reviewing
        | State::AwaitingDiffApproval { .. }
        | State::Publishing
        | State::InReview
        | State::Revising
        | State::Paused { .. }
        | State::Cancelling { .. }
        | State::Failed { .. }
        | State::Completed
        | State::Closed
        | State::Cancelled => Err(draft.refuse("replan")),
    }
}

fn edit(mut draft: Draft<'_>, refinement: &ArtifactRef) -> Result<Decision, Refusal> {
    if draft.ticket().state != State::AwaitingRefinementApproval {
        return Err(draft.refuse("edit"));
    }
    draft.next().refinement = Some(refinement.clone());
    let what = format!("refined ticket edited to v{}", refinement.version);
    Ok(draft
        .notify(Notice::Refinement { refinement: refinement.clone() })
        .wait(State::AwaitingRefinementApproval, &what))
}

fn approve(
    mut draft: Draft<'_>,
    member: &Member,
    hash: Option<&crate::hash::HashPrefix>,
    note: &str,
) -> Result<Decision, Refusal> {
    let reached = quorum::approve(&mut draft, member, hash, note)?;
    let (Some(artifact), Some(awaited)) = (draft.ticket().awaiting().cloned(), draft.ticket().state.awaited()) else {
        return Err(draft.refuse("approve"));
    };
    if !reached {
        let what = format!("{} approved; {} needed", artifact.hash.short(), quorum::needed(&draft));
        return Ok(draft.finish(&what));
    }
    if !note.is_empty() {
        draft.next().feedback = Some(note.to_owned());
    }
    let records = draft.next().decisions.clone();
    let what = format!("{} approved", artifact.hash.short());
    let mut decision = match awaited {
        Awaited::Refinement => draft.run(Stage::Plan, &what),
        Awaited::Plan => {
            draft.next().approved_plan = Some(artifact.hash);
            draft.next().approved_at = Some(draft.now());
            if draft.policy().implement_on_approval {
                draft.snapshot_then(Stage::Implement, &what)
            } else {
                draft.wait(State::PlanApproved, &what)
            }
        }
        Awaited::Diff => {
            draft.next().approved_diff = Some(artifact.hash);
            draft.run(Stage::Publish, &what)
        }
    };
    decision.next.decisions = records;
    Ok(decision)
}

fn reject(mut draft: Draft<'_>, member: &Member, reason: &str) -> Result<Decision, Refusal> {
    let (Some(artifact), Some(awaited)) = (draft.ticket().awaiting().cloned(), draft.ticket().state.awaited()) else {
        return Err(draft.refuse("reject"));
    };
    let record = DecisionRecord {
        artifact: artifact.hash.clone(),
        member: Some(member.id.clone()),
        name: member.name.clone(),
        role: Some(member.role),
        via: Some(member.via),
        verdict: Verdict::Rejected,
        note: reason.to_owned(),
        at: draft.now(),
    };
    let what = format!("{} rejected: {reason}", artifact.hash.short());
    draft.next().feedback = Some(reason.to_owned());
    let mut decision = match awaited {
        Awaited::Refinement => draft.run(Stage::Refine, &what),
        Awaited::Plan => revise_plan(draft, reason, &what)?,
        Awaited::Diff => {
            draft.next().review_rounds = 0;
            draft.run(Stage::Implement, &what)
        }
    };
    decision.next.decisions.push(record);
    Ok(decision)
}

fn implement(draft: Draft<'_>) -> Result<Decision, Refusal> {
    if draft.ticket().state != State::PlanApproved {
        return Err(draft.refuse("implement"));
    }
    Ok(draft.snapshot_then(Stage::Implement, "implementation starts"))
}

fn close(draft: Draft<'_>) -> Result<Decision, Refusal> {
    if draft.ticket().state != State::PlanApproved {
        return Err(draft.refuse("close"));
    }
    Ok(draft.end(State::Closed, "closed; the plan was the product"))
}

fn fix_review(
    mut draft: Draft<'_>,
    batch: Option<crate::hash::ContentHash>,
    instruction: &str,
) -> Result<Decision, Refusal> {
    if draft.ticket().state != State::InReview {
        return Err(draft.refuse("fix"));
    }
    draft.next().review_batch = batch;
    draft.next().review_rounds = 0;
    if !instruction.is_empty() {
        draft.next().feedback = Some(instruction.to_owned());
    }
    Ok(draft.run(Stage::Revise, "asked to work through the review"))
}

/// The plan is carried out anew on the base branch as it is now; the commit will have both as its parents.
fn fix_conflicts(mut draft: Draft<'_>, instruction: &str) -> Result<Decision, Refusal> {
    if draft.ticket().state != State::InReview {
        return Err(draft.refuse("fix"));
    }
    draft.next().review_rounds = 0;
    let said = if instruction.is_empty() { String::new() } else { format!(" {instruction}") };
    let why = format!(
        "The base branch moved on and the change conflicts with it; make the change on what is there now.{said}"
    );
    draft.next().feedback = Some(why);
    Ok(draft.snapshot_then(Stage::Implement, "asked to resolve conflicts with the base branch"))
}

fn retry(mut draft: Draft<'_>) -> Result<Decision, Refusal> {
    let State::Failed { from, error } = draft.ticket().state.clone() else {
        return Err(draft.refuse("retry"));
    };
    draft.next().retries += 1;
    if matches!(error.fault, Fault::Invalid | Fault::Bug) {
        // What led here is in the transcript; going on from it would lead here again.
        draft.next().checkpoint = None;
        draft.next().answer = None;
    }
    Ok(draft.resume(*from, "retried"))
}

fn pause(draft: Draft<'_>) -> Result<Decision, Refusal> {
    match &draft.ticket().state {
        State::Paused { .. } | State::Failed { .. } | State::Cancelling { .. } => Err(draft.refuse("pause")),
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
        | State::InReview
        | State::Revising
        | State::Completed
        | State::Closed
        | State::Cancelled => Ok(draft.pause(PauseReason::Person, "paused on request")),
    }
}

fn resume(draft: Draft<'_>) -> Result<Decision, Refusal> {
    let State::Paused { from, why } = draft.ticket().state.clone() else {
        return Err(draft.refuse("resume"));
    };
    if why == PauseReason::Budget {
        let limit = draft.ticket().budget.limit;
        let say =
            format!("All of this ticket's budget of {limit} is used up or reserved. An approver can say `budget +2`.");
        return Err(Refusal::new(Why::State, say));
    }
    Ok(draft.resume(*from, "resumed"))
}

fn budget(mut draft: Draft<'_>, add: crate::money::Usd) -> Decision {
    let limit = draft.ticket().budget.limit + add;
    draft.next().budget.limit = limit;
    let what = format!("budget raised by {add} to {limit}");
    if let State::Paused { from, why: PauseReason::Budget | PauseReason::Limit } = draft.ticket().state.clone() {
        return draft.resume(*from, &what);
    }
    draft.finish(&what)
}
