//! A decision in the making: the moves that several inputs share.

use jiff::SignedDuration;

use crate::Timestamp;
use crate::decide::{Decision, Effect, Event, Notice};
use crate::error::Failure;
use crate::input::Outcome;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::state::{PauseReason, Stage, State};
use crate::ticket::Ticket;

/// Most failed tries of one run before the ticket fails.
pub(crate) const MAX_ATTEMPTS: u32 = 5;

/// The ticket as it will be, with what follows from it.
pub(super) struct Draft<'a> {
    before: &'a Ticket,
    next: Ticket,
    by: &'a Principal,
    policy: &'a Policy,
    now: Timestamp,
    effects: Vec<Effect>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(ticket: &'a Ticket, by: &'a Principal, policy: &'a Policy, now: Timestamp) -> Self {
        Self { before: ticket, next: ticket.clone(), by, policy, now, effects: Vec::new() }
    }

    pub(super) fn ticket(&self) -> &Ticket {
        self.before
    }

    pub(super) fn next(&mut self) -> &mut Ticket {
        &mut self.next
    }

    pub(super) fn policy(&self) -> &Policy {
        self.policy
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Refuses a request because of where the ticket stands.
    pub(super) fn refuse(&self, verb: &str) -> Refusal {
        Refusal::state(verb, &self.before.state)
    }

    /// Refuses an outcome or news that no longer matters.
    pub(super) fn outdated(&self) -> Refusal {
        Refusal::outdated(&self.before.state)
    }

    pub(super) fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    pub(super) fn notify(self, notice: Notice) -> Self {
        self.effect(Effect::Notify(notice))
    }

    /// Starts a stage afresh: whoever held the run before is fenced off.
    pub(super) fn run(mut self, stage: Stage, what: &str) -> Decision {
        self.afresh();
        self.enter_run(State::of_stage(stage), what)
    }

    fn afresh(&mut self) {
        self.next.checkpoint = None;
        self.next.answer = None;
        self.next.asking = None;
    }

    /// Goes on with a run that asked people something, right where it asked.
    pub(super) fn go_on(mut self, stage: Stage, what: &str) -> Decision {
        self.next.asking = None;
        self.enter_run(State::of_stage(stage), what)
    }

    /// Fetches the base commit first and goes on with a stage.
    pub(super) fn snapshot_then(mut self, then: Stage, what: &str) -> Decision {
        self.afresh();
        self.enter_run(State::Snapshotting { then }, what)
    }

    /// Leaves the pull request to its reviewers, or takes up the review that waits longest.
    pub(super) fn in_review(mut self, what: &str) -> Decision {
        if self.next.waiting_reviews.is_empty() {
            return self.wait(State::InReview, what);
        }
        self.next.review_batch = Some(self.next.waiting_reviews.remove(0));
        self.next.review_rounds = 0;
        self.next.repairs = 0;
        self.run(Stage::Revise, &format!("{what}; a review waits"))
    }

    /// Goes back to where a ticket was stopped, keeping the checkpoint of a run.
    pub(super) fn resume(mut self, state: State, what: &str) -> Decision {
        if state == State::InReview {
            return self.in_review(what);
        }
        if state.stage().is_some() {
            return self.enter_run(state, what);
        }
        self.next.deadline = self.deadline_of(&state);
        self.next.state = state;
        self.finish(what)
    }

    fn enter_run(mut self, state: State, what: &str) -> Decision {
        self.leave_run();
        self.next.deadline = None;
        if state != State::Publishing {
            self.next.intent = None;
        }
        self.next.decisions.clear();
        if let Some(stage) = state.stage() {
            self.effects.push(Effect::Run { stage, not_before: None });
        }
        self.next.state = state;
        self.finish(what)
    }

    /// Stops at a state where people act, fencing off any run.
    pub(super) fn wait(mut self, state: State, what: &str) -> Decision {
        self.leave_run();
        self.next.decisions.clear();
        self.next.checkpoint = None;
        self.next.answer = None;
        self.next.deadline = self.deadline_of(&state);
        self.next.state = state;
        self.finish(what)
    }

    pub(super) fn pause(mut self, why: PauseReason, what: &str) -> Decision {
        self.leave_run();
        self.next.deadline = None;
        self.next.state = State::Paused { from: Box::new(self.before.state.clone()), why };
        self.finish(what)
    }

    pub(super) fn fail(mut self, error: Failure) -> Decision {
        if !error.fault.is_retryable() {
            // The call came to an end, and it is known which.
            self.next.pending = None;
        }
        self.leave_run();
        let what = format!("failed ({}): {}", error.fault.category(), error.message);
        self.next.state = State::Failed { from: Box::new(self.before.state.clone()), error };
        self.notify(Notice::Failed).finish(&what)
    }

    /// Ends the ticket, or reads back first what was being written to the outside.
    pub(super) fn cancel(mut self, what: &str) -> Decision {
        let intent = self.before.intent.clone();
        self.leave_run();
        self.next.deadline = None;
        match intent {
            Some(intent) => {
                self.effects.push(Effect::ReadBack { intent: intent.clone() });
                self.next.state = State::Cancelling { intent };
            }
            None => self.next.state = State::Cancelled,
        }
        self.finish(what)
    }

    pub(super) fn end(mut self, state: State, what: &str) -> Decision {
        self.leave_run();
        self.next.intent = None;
        self.next.deadline = None;
        self.next.state = state;
        self.finish(what)
    }

    /// Tries the same run again after a passing failure, or gives up after [`MAX_ATTEMPTS`].
    pub(super) fn retry_or_fail(mut self, failure: &Failure) -> Decision {
        let attempt = self.before.attempt + 1;
        let Some(stage) = self.before.state.stage().filter(|_| failure.fault.is_retryable() && attempt < MAX_ATTEMPTS)
        else {
            return self.fail(failure.clone());
        };
        let wait = SignedDuration::from_secs(1 << attempt.min(8));
        let asked = match &failure.fault {
            crate::error::Fault::RateLimited { retry_at } => *retry_at,
            crate::error::Fault::Transient
            | crate::error::Fault::Quota
            | crate::error::Fault::Auth
            | crate::error::Fault::Permission
            | crate::error::Fault::Invalid
            | crate::error::Fault::Conflict
            | crate::error::Fault::Unknown
            | crate::error::Fault::Bug => None,
        };
        let not_before = Some(asked.unwrap_or(self.now).max(self.now + wait));
        self.next.attempt = attempt;
        self.next.not_before = not_before;
        self.next.pending = None;
        self.next.turn += 1;
        let what = format!("try {attempt} failed ({}): {}; trying again", failure.fault.category(), failure.message);
        self.effect(Effect::Run { stage, not_before }).finish(&what)
    }

    /// Takes the run away from whoever holds it; a call that is under way may cost something all the same.
    fn leave_run(&mut self) {
        self.next.budget.incomplete |= self.next.pending.is_some();
        self.next.not_before = None;
        self.next.run += 1;
        self.next.turn = 1;
        self.next.attempt = 0;
        self.next.pending = None;
    }

    fn deadline_of(&self, state: &State) -> Option<Timestamp> {
        let days = match state {
            State::AwaitingAnswers => self.policy.answer_deadline_days,
            State::AwaitingRefinementApproval | State::AwaitingPlanApproval | State::AwaitingDiffApproval { .. } => {
                self.policy.approval_deadline_days
            }
            State::Snapshotting { .. }
            | State::Analyzing
            | State::Refining
            | State::Planning
            | State::PlanApproved
            | State::Implementing
            | State::Reviewing
            | State::Publishing
            | State::InReview
            | State::Revising
            | State::Paused { .. }
            | State::Cancelling { .. }
            | State::Failed { .. }
            | State::Completed
            | State::Closed
            | State::Cancelled => return None,
        };
        Some(self.now + SignedDuration::from_hours(24 * i64::from(days)))
    }

    /// Closes the decision with one event; a change of state also brings the status comment up to date.
    pub(super) fn finish(mut self, what: &str) -> Decision {
        let event = Event {
            at: self.now,
            by: self.by.name().to_owned(),
            what: what.to_owned(),
            from: self.before.state.name().to_owned(),
            to: self.next.state.name().to_owned(),
        };
        if self.next.state != self.before.state || self.next.decisions != self.before.decisions {
            self.effects.push(Effect::Notify(Notice::Status));
        }
        self.next.version += 1;
        self.next.events += 1;
        self.next.updated_at = self.now;
        Decision { next: self.next, events: vec![event], effects: self.effects }
    }

    /// Closes a turn that changes nothing people care about: no event, no status.
    pub(super) fn quiet(mut self) -> Decision {
        self.next.version += 1;
        self.next.updated_at = self.now;
        Decision { next: self.next, events: Vec::new(), effects: self.effects }
    }

    /// Records an answered or abandoned model call.
    pub(super) fn settle(&mut self, outcome: &Outcome) {
        if let Outcome::Answered { answer, cost, incomplete, .. } = outcome {
            self.next.budget.spent += *cost;
            self.next.budget.incomplete |= *incomplete;
            self.next.pending = None;
            self.next.answer = Some(answer.clone());
            self.next.attempt = 0;
            self.next.not_before = None;
            self.next.turn += 1;
        }
    }
}
