//! The machine: a pure, total function from a ticket and an input to what follows.

mod draft;
mod news;
mod outcome;
mod quorum;
mod request;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::artifact::ArtifactRef;
use crate::hash::ContentHash;
use crate::input::{Happening, Input};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::{PauseReason, Stage, State};
use crate::ticket::{PendingCall, Ticket};
use draft::Draft;

pub(crate) use draft::MAX_ATTEMPTS;

/// What follows from an input; the engine commits all of it or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The ticket afterwards, its version one higher.
    pub next: Ticket,
    /// What the history gains.
    pub events: Vec<Event>,
    /// What has to happen once this is committed.
    pub effects: Vec<Effect>,
}

/// One line of a ticket's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What happened, in a sentence.
    pub what: String,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
}

/// What has to happen after a commit, each through an outbox row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A stage takes its next turn.
    Run {
        /// The stage.
        stage: Stage,
        /// Not before this time, if given.
        not_before: Option<Timestamp>,
    },
    /// The model is called.
    CallModel {
        /// The call.
        call: PendingCall,
    },
    /// A write that was under way is read back.
    ReadBack {
        /// The write.
        intent: String,
    },
    /// People are told something.
    Notify(Notice),
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// The one status comment is brought up to date.
    Status,
    /// Questions wait.
    Questions {
        /// Which.
        questions: ArtifactRef,
    },
    /// A refined ticket waits.
    Refinement {
        /// Which.
        refinement: ArtifactRef,
    },
    /// A plan waits, or is the product.
    Plan {
        /// Which.
        plan: ArtifactRef,
    },
    /// A diff waits.
    Diff {
        /// Which.
        change_set: ArtifactRef,
    },
    /// A pull request was opened or brought up to date.
    Published,
    /// Each thread of a review was dealt with.
    Answered {
        /// The stored answers.
        answer: ContentHash,
    },
    /// The checks are green: the draft may be reviewed.
    Ready,
    /// Something people should know, and nothing else follows from it.
    Told {
        /// What, as a sentence.
        what: String,
        /// The ticket's version since then.
        version: u64,
    },
    /// It failed.
    Failed,
    /// Somebody asked for something that moved nothing on: it is said that it was done.
    Done {
        /// What.
        what: String,
        /// The ticket's version since then.
        version: u64,
    },
}

/// Decides what follows from an input; refuses with words for the person who asked.
pub fn decide(ticket: &Ticket, input: &Input, policy: &Policy, now: Timestamp) -> Result<Decision, Refusal> {
    let draft = Draft::new(ticket, &input.by, policy, now);
    match &input.what {
        Happening::Request(request) => {
            request::decide(draft, &input.by, request).map(|decision| acknowledged(ticket, decision))
        }
        Happening::Outcome(outcome) => outcome::decide(draft, outcome),
        Happening::News(news) => news::decide(draft, news),
        Happening::DeadlinePassed => deadline_passed(draft),
    }
}

/// Whoever asks must see that it worked, also where the state stays as it was.
fn acknowledged(before: &Ticket, mut decision: Decision) -> Decision {
    if decision.next.state == before.state
        && let Some(event) = decision.events.last()
    {
        let done = Notice::Done { what: event.what.clone(), version: decision.next.version };
        decision.effects.push(Effect::Notify(done));
        if !decision.effects.contains(&Effect::Notify(Notice::Status)) {
            decision.effects.push(Effect::Notify(Notice::Status));
        }
    }
    decision
}

fn deadline_passed(draft: Draft<'_>) -> Result<Decision, Refusal> {
    let due = draft.ticket().deadline.is_some_and(|deadline| deadline <= draft.now());
    match &draft.ticket().state {
        State::AwaitingAnswers
        | State::AwaitingRefinementApproval
        | State::AwaitingPlanApproval
        | State::AwaitingDiffApproval { .. }
            if due =>
        {
            Ok(draft.pause(PauseReason::Deadline, "nobody answered or decided in time"))
        }
        State::AwaitingAnswers
        | State::AwaitingRefinementApproval
        | State::AwaitingPlanApproval
        | State::AwaitingDiffApproval { .. }
        | State::Snapshotting { .. }
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
        | State::Cancelled => Err(Refusal::outdated(&draft.ticket().state)),
    }
}
