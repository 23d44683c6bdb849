//! What the outcome of a stage leads to.

use crate::artifact::{ArtifactRef, DecisionRecord, Verdict};
use crate::decide::draft::Draft;
use crate::decide::{Decision, Effect, Notice};
use crate::gate::GateReason;
use crate::hash::ContentHash;
use crate::input::Outcome;
use crate::money::Usd;
use crate::policy::PolicyChange;
use crate::principal::Role;
use crate::refusal::Refusal;
use crate::state::{PauseReason, Stage, State};
use crate::ticket::PendingCall;

pub(super) fn decide(draft: Draft<'_>, outcome: &Outcome) -> Result<Decision, Refusal> {
    match (&draft.ticket().state.clone(), outcome) {
        (State::Cancelling { .. }, Outcome::CancelSettled { left }) => {
            let what = format!("cancelled; {left}");
            Ok(draft.end(State::Cancelled, &what))
        }
        (State::Cancelling { .. }, Outcome::Failed { failure }) => {
            let what = format!("cancelled; what was being written could not be read back: {}", failure.message);
            Ok(draft.end(State::Cancelled, &what))
        }
        (state, outcome) if state.stage().is_some() => running(draft, outcome),
        (
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
            | State::Paused { .. }
            | State::Cancelling { .. }
            | State::Failed { .. }
            | State::Completed
            | State::Closed
            | State::Cancelled,
            _,
        ) => Err(draft.outdated()),
    }
}

/// What is the same in every running state comes first; the rest belongs to one state each.
fn running(mut draft: Draft<'_>, outcome: &Outcome) -> Result<Decision, Refusal> {
    match outcome {
        Outcome::Asked { call, checkpoint } => Ok(asked(draft, call, checkpoint)),
        Outcome::OverMonthlyBudget { checkpoint } => {
            draft.next().checkpoint = Some(checkpoint.clone());
            draft.next().answer = None;
            Ok(draft.pause(PauseReason::MonthlyBudget, "this month's budget does not cover the next model call"))
        }
        Outcome::OverLimit { what, checkpoint } => {
            draft.next().checkpoint = Some(checkpoint.clone());
            draft.next().answer = None;
            Ok(draft.pause(PauseReason::Limit, what))
        }
        Outcome::Answered { request, .. } => {
            if draft.ticket().pending.as_ref().is_none_or(|call| call.request != *request) {
                return Err(draft.outdated());
            }
            draft.settle(outcome);
            Ok(next_turn(draft))
        }
        Outcome::Continue { checkpoint } => {
            draft.next().checkpoint = Some(checkpoint.clone());
            draft.next().answer = None;
            draft.next().turn += 1;
            Ok(next_turn(draft))
        }
        Outcome::IntentStarted { intent } if draft.ticket().state == State::Publishing => {
            draft.next().intent = Some(intent.clone());
            Ok(draft.quiet())
        }
        Outcome::Failed { failure } => Ok(draft.retry_or_fail(failure)),
        Outcome::CancelSettled { .. } | Outcome::IntentStarted { .. } => Err(draft.outdated()),
        Outcome::Snapshotted { .. }
        | Outcome::Analyzed { .. }
        | Outcome::FollowUp { .. }
        | Outcome::Refined { .. }
        | Outcome::Planned { .. }
        | Outcome::BaseMoved { .. }
        | Outcome::Implemented { .. }
        | Outcome::Reviewed { .. }
        | Outcome::Published { .. }
        | Outcome::ApprovalLapsed { .. }
        | Outcome::Revised { .. } => finished(draft, outcome),
    }
}

fn finished(mut draft: Draft<'_>, outcome: &Outcome) -> Result<Decision, Refusal> {
    match (&draft.ticket().state, outcome) {
        (State::Snapshotting { then }, Outcome::Snapshotted { commit, snapshot, overrides }) => {
            let then = *then;
            lower_budget(&mut draft, overrides.as_ref());
            draft.next().overrides.clone_from(overrides);
            if let Some(target) = draft.next().targets.first_mut() {
                target.commit = Some(commit.clone());
                target.snapshot = Some(snapshot.clone());
            }
            let what = format!("repository read at {}", commit.short());
            Ok(draft.run(then, &what))
        }
        (State::Analyzing, Outcome::Analyzed { analysis, questions }) => {
            draft.next().analysis = Some(analysis.clone());
            match questions {
                Some(questions) => Ok(ask(draft, questions)),
                None => Ok(draft.run(Stage::Refine, "analysed; nothing has to be asked")),
            }
        }
        (
            State::Refining | State::Planning | State::Implementing | State::Revising,
            Outcome::FollowUp { questions, checkpoint },
        ) => {
            draft.next().asking = draft.ticket().state.stage();
            let mut decision = ask(draft, questions);
            decision.next.checkpoint = Some(checkpoint.clone());
            Ok(decision)
        }
        (State::Refining, Outcome::Refined { refinement }) => Ok(refined(draft, refinement)),
        (State::Planning, Outcome::Planned { plan }) => Ok(planned(draft, plan)),
        (State::Snapshotting { then: Stage::Implement }, Outcome::BaseMoved { changed }) => {
            Ok(base_moved(draft, changed))
        }
        (State::Implementing, Outcome::Implemented { change_set }) => Ok(changed(draft, change_set)),
        (State::Revising, Outcome::Revised { change_set, answer }) => {
            draft.next().review_answer.clone_from(answer);
            Ok(changed(draft, change_set))
        }
        (State::Reviewing, Outcome::Reviewed { review, critical, gates }) => {
            Ok(reviewed(draft, review, *critical, gates))
        }
        (State::Publishing, Outcome::ApprovalLapsed { names, least }) => Ok(lapsed(draft, names, *least)),
        (State::Publishing, Outcome::Published { pull_request }) => {
            draft.next().pull_request = Some(pull_request.clone());
            draft.next().intent = None;
            draft.next().review_batch = None;
            draft.next().published = draft.ticket().change_set.as_ref().map(|change_set| change_set.hash.clone());
            let target = draft.ticket().target().cloned();
            let (base, snapshot) = target.map(|target| (target.commit, target.snapshot)).unwrap_or_default();
            (draft.next().published_base, draft.next().published_snapshot) = (base, snapshot);
            let what = format!("pull request #{} is open at {}", pull_request.number, pull_request.head.short());
            let answer = draft.next().review_answer.take();
            let draft = match answer {
                Some(answer) => draft.notify(Notice::Answered { answer }),
                None => draft,
            };
            Ok(draft.notify(Notice::Published).in_review(&what))
        }
        _ => Err(draft.outdated()),
    }
}

fn changed(mut draft: Draft<'_>, change_set: &ArtifactRef) -> Decision {
    draft.next().change_set = Some(change_set.clone());
    draft.next().feedback = None;
    let what = format!("change {} made", change_set.hash.short());
    draft.run(Stage::Review, &what)
}

/// The change is there and nobody who may has approved it: somebody who may has to look at it, whole.
fn lapsed(mut draft: Draft<'_>, names: &[String], least: Role) -> Decision {
    draft.next().approved_diff = None;
    let reason = GateReason::ApprovalLapsed { names: names.to_vec(), least };
    let what = format!("the change {reason}");
    let draft = match draft.ticket().change_set.clone() {
        Some(change_set) => draft.notify(Notice::Diff { change_set }),
        None => draft,
    };
    draft.wait(State::AwaitingDiffApproval { reasons: vec![reason] }, &what)
}

/// A repository's smaller budget counts from the first look at it; what people add later stands.
fn lower_budget(draft: &mut Draft<'_>, overrides: Option<&PolicyChange>) {
    let ticket = draft.ticket();
    let first = ticket.overrides.is_none() && ticket.target().is_some_and(|target| target.snapshot.is_none());
    if let (true, Some(change)) = (first, overrides)
        && let Ok(policy) = draft.policy().clone().tightened(change)
    {
        let less = draft.policy().budget_usd - policy.budget_usd;
        let limit = draft.ticket().budget.limit - less;
        draft.next().budget.limit = limit;
        draft.next().budget.lowered = less;
    }
}

fn next_turn(draft: Draft<'_>) -> Decision {
    match draft.ticket().state.stage() {
        Some(stage) => draft.effect(Effect::Run { stage, not_before: None }).quiet(),
        None => draft.quiet(),
    }
}

/// Reserves the cost of a call, or pauses before it is made.
fn asked(mut draft: Draft<'_>, call: &PendingCall, checkpoint: &ContentHash) -> Decision {
    draft.next().checkpoint = Some(checkpoint.clone());
    draft.next().answer = None;
    let budget = draft.ticket().budget;
    if budget.spent + call.reserved > budget.limit {
        let what = format!(
            "the next model call may cost {}, and {} of {} are spent",
            call.reserved, budget.spent, budget.limit
        );
        return draft.pause(PauseReason::Budget, &what);
    }
    draft.next().pending = Some(call.clone());
    draft.next().turn += 1;
    draft.effect(Effect::CallModel { call: call.clone() }).quiet()
}

fn ask(mut draft: Draft<'_>, questions: &ArtifactRef) -> Decision {
    draft.next().questions = Some(questions.clone());
    draft.next().rounds = draft.ticket().rounds.max(questions.version);
    draft
        .notify(Notice::Questions { questions: questions.clone() })
        .wait(State::AwaitingAnswers, "questions have to be answered first")
}

fn refined(mut draft: Draft<'_>, refinement: &ArtifactRef) -> Decision {
    draft.next().refinement = Some(refinement.clone());
    draft.next().feedback = None;
    let draft = draft.notify(Notice::Refinement { refinement: refinement.clone() });
    if draft.policy().skip_refinement_approval {
        return draft.run(Stage::Plan, "refined; approved by policy (skip_refinement_approval)");
    }
    let what = format!("refined ticket v{} written", refinement.version);
    draft.wait(State::AwaitingRefinementApproval, &what)
}

fn planned(mut draft: Draft<'_>, plan: &ArtifactRef) -> Decision {
    draft.next().plans.push(plan.clone());
    draft.next().feedback = None;
    let by_policy = draft.policy().skip_plan_approval;
    let draft = draft.notify(Notice::Plan { plan: plan.clone() });
    if by_policy {
        return approved_by_policy(draft, plan);
    }
    let what = format!("plan v{} {} written", plan.version, plan.hash.short());
    draft.wait(State::AwaitingPlanApproval, &what)
}

fn approved_by_policy(mut draft: Draft<'_>, plan: &ArtifactRef) -> Decision {
    draft.next().approved_plan = Some(plan.hash.clone());
    draft.next().approved_at = Some(draft.now());
    let record = DecisionRecord {
        artifact: plan.hash.clone(),
        member: None,
        name: "policy: skip_plan_approval".to_owned(),
        role: None,
        via: None,
        verdict: Verdict::Approved,
        note: String::new(),
        at: draft.now(),
    };
    let what = format!("plan v{} {}: approved by policy (skip_plan_approval)", plan.version, plan.hash.short());
    let go = draft.policy().implement_on_approval;
    let mut decision =
        if go { draft.snapshot_then(Stage::Implement, &what) } else { draft.wait(State::PlanApproved, &what) };
    decision.next.decisions.push(record);
    decision
}

/// The approval was for another base: the plan is written anew and has to be approved anew.
fn base_moved(mut draft: Draft<'_>, changed: &str) -> Decision {
    draft.next().approved_plan = None;
    let said = draft.ticket().feedback.clone().map(|said| format!(" {said}")).unwrap_or_default();
    draft.next().feedback = Some(format!("The base branch moved: {changed}. Bring the plan up to date with it.{said}"));
    let what = format!("the base branch moved inside the plan's scope ({changed}); the plan is stale");
    draft.snapshot_then(Stage::Plan, &what)
}

fn reviewed(mut draft: Draft<'_>, review: &ArtifactRef, critical: usize, gates: &[GateReason]) -> Decision {
    draft.next().review = Some(review.clone());
    let rounds = draft.ticket().review_rounds + 1;
    draft.next().review_rounds = rounds;
    if critical > 0 && rounds < draft.policy().max_review_rounds {
        let what = format!("review round {rounds}: {critical} critical finding(s)");
        return draft.run(Stage::Implement, &what);
    }
    let mut reasons = gates.to_vec();
    if critical > 0 {
        reasons.push(GateReason::UnresolvedFindings { count: critical });
    }
    let change_set = draft.ticket().change_set.clone();
    let let_through = change_set.as_ref().is_some_and(|c| draft.ticket().approved_diff.as_ref() == Some(&c.hash));
    match change_set {
        Some(change_set) if !reasons.is_empty() && !let_through => {
            let what = format!(
                "the change needs a look: {}",
                reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            );
            draft.notify(Notice::Diff { change_set }).wait(State::AwaitingDiffApproval { reasons }, &what)
        }
        Some(_) | None => {
            let spent: Usd = draft.ticket().budget.spent;
            let what = format!("reviewed in {rounds} round(s); {spent} spent so far");
            draft.run(Stage::Publish, &what)
        }
    }
}
