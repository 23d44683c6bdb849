//! Everything the engine remembers about one run of the workflow.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::artifact::{ArtifactRef, DecisionRecord};
use crate::hash::ContentHash;
use crate::id::{MemberId, TenantId, TicketId};
use crate::money::Usd;
use crate::name::{BranchName, CommitSha, ModelName, RepoName, TrackerKey};
use crate::policy::PolicyChange;
use crate::principal::Via;
use crate::state::{Awaited, Stage, State};

/// One repository that a ticket changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The repository.
    pub repo: RepoName,
    /// The branch the work starts from and is merged into.
    pub base: BranchName,
    /// The branch of this ticket, the only one that is written.
    pub branch: BranchName,
    /// The commit that was read; set by the snapshot.
    pub commit: Option<CommitSha>,
    /// The stored snapshot of that commit.
    pub snapshot: Option<ContentHash>,
}

/// The words of the ticket, frozen when it was triggered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketText {
    /// One line.
    pub title: String,
    /// Markdown; may be empty.
    pub body: String,
}

impl TicketText {
    /// Longest title in characters.
    pub const MAX_TITLE: usize = 256;
    /// Longest body in bytes.
    pub const MAX_BODY: usize = 32 * 1024;
}

/// A model call that was asked for and has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCall {
    /// Hash of the request's exact bytes.
    pub request: ContentHash,
    /// Counts from 1 for the same request.
    pub attempt: u32,
    /// What it may cost at most; counted as spent until the answer says otherwise.
    pub reserved: Usd,
}

/// What a ticket may spend and has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Most it may spend.
    pub limit: Usd,
    /// How much less that is because the repository says so; goes back when the ticket goes to another.
    #[serde(default)]
    pub lowered: Usd,
    /// What the answered calls cost.
    pub spent: Usd,
    /// Whether a call may have cost something that no usage record tells of.
    pub incomplete: bool,
}

/// The pull request of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestRef {
    /// The number people know it by.
    pub number: u64,
    /// Where to look at it.
    pub url: String,
    /// The commit that was pushed last.
    pub head: CommitSha,
}

/// One run of the workflow for one tracker ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Our identifier.
    pub id: TicketId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The tracker's key.
    pub key: TrackerKey,
    /// The surface the ticket lives on.
    pub via: Via,
    /// The connection it came through, if it can be removed: fences off every write when it is.
    pub connection: Option<String>,
    /// The words, frozen at the trigger.
    pub text: TicketText,
    /// What people had said and attached when it was triggered, stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContentHash>,
    /// Images that were attached to it, stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ContentHash>,
    /// Who started it; absent when a policy of the tenant did.
    pub requester: Option<MemberId>,
    /// The name people know the requester by.
    pub requester_name: String,
    /// What is changed; one entry for now.
    pub targets: Vec<Target>,
    /// Where it stands.
    pub state: State,
    /// Grows by one with every commit.
    pub version: u64,
    /// Grows by one whenever a stage begins or is taken away from whoever holds it.
    pub run: u64,
    /// Grows by one with every turn of a run.
    pub turn: u64,
    /// Failed tries of this run.
    pub attempt: u32,
    /// When the next try may start, after one that failed.
    pub not_before: Option<Timestamp>,
    /// How often a person said `retry`; each gives the same model request a new answer.
    #[serde(default)]
    pub retries: u32,
    /// The model call the run waits for.
    pub pending: Option<PendingCall>,
    /// The answer of the last model call that the run has not worked on yet.
    pub answer: Option<ContentHash>,
    /// Where the run's transcript and overlay stand, if it has begun.
    pub checkpoint: Option<ContentHash>,
    /// The latest analysis notes.
    pub analysis: Option<ArtifactRef>,
    /// The latest questions.
    pub questions: Option<ArtifactRef>,
    /// The latest answers.
    pub answers: Option<ArtifactRef>,
    /// The stage that asked the latest questions in the middle of its work and goes on with the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asking: Option<Stage>,
    /// How many rounds of questions there were, forgotten ones included.
    #[serde(default)]
    pub rounds: u32,
    /// The latest refined ticket.
    pub refinement: Option<ArtifactRef>,
    /// All plans so far, oldest first.
    pub plans: Vec<ArtifactRef>,
    /// The latest change.
    pub change_set: Option<ArtifactRef>,
    /// The latest review of the change.
    pub review: Option<ArtifactRef>,
    /// The review by people that is being worked through.
    pub review_batch: Option<ContentHash>,
    /// What was answered to each thread of the review that was worked through last, until people have been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_answer: Option<ContentHash>,
    /// Reviews by people that came while another was worked through, oldest first.
    #[serde(default)]
    pub waiting_reviews: Vec<ContentHash>,
    /// What people decided on the artifact that waits now.
    pub decisions: Vec<DecisionRecord>,
    /// The plan that was approved.
    pub approved_plan: Option<ContentHash>,
    /// When it was approved; every commit of the ticket carries this date, so that it can be made again.
    pub approved_at: Option<Timestamp>,
    /// The change that the pull request shows.
    pub published: Option<ContentHash>,
    /// The base commit of the change that the pull request shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_base: Option<CommitSha>,
    /// The snapshot of that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_snapshot: Option<ContentHash>,
    /// The diff that a person let through a gate.
    pub approved_diff: Option<ContentHash>,
    /// What a person said that the next run has to heed.
    pub feedback: Option<String>,
    /// Rounds of self-review used for this change.
    pub review_rounds: u32,
    /// What the repository's own `.prfactory.toml` tightens.
    pub overrides: Option<PolicyChange>,
    /// Money.
    pub budget: Budget,
    /// When the wait ends; expiry pauses.
    pub deadline: Option<Timestamp>,
    /// The pull request once there is one.
    pub pull_request: Option<PullRequestRef>,
    /// A model chosen for this ticket alone.
    pub model: Option<ModelName>,
    /// Whether failing checks are repaired on this ticket; absent means the policy's word.
    pub autofix: Option<bool>,
    /// Repairs of failing checks since a person last had a say.
    #[serde(default)]
    pub repairs: u32,
    /// The head whose conflicts with the base branch people were told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicted: Option<CommitSha>,
    /// How the checks stood that were dealt with last, so that each is dealt with once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<ContentHash>,
    /// The write to the outside that is under way.
    pub intent: Option<String>,
    /// How many events its history has.
    pub events: u64,
    /// When it started.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// What a new ticket is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// Our identifier.
    pub id: TicketId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The tracker's key.
    pub key: TrackerKey,
    /// The surface it lives on.
    pub via: Via,
    /// The connection it came through.
    pub connection: Option<String>,
    /// The words.
    pub text: TicketText,
    /// Who started it.
    pub requester: Option<MemberId>,
    /// The name people know the requester by.
    pub requester_name: String,
    /// What is changed.
    pub target: Target,
    /// What it may spend.
    pub budget: Usd,
    /// When it started.
    pub at: Timestamp,
}

impl Ticket {
    /// The number of the next round of questions; no round has that of another.
    pub fn next_questions(&self) -> u32 {
        self.rounds.max(self.questions.as_ref().map_or(0, |before| before.version)) + 1
    }

    /// Makes a ticket that is about to fetch its repository.
    pub fn new(new: NewTicket) -> Self {
        Self {
            id: new.id,
            tenant: new.tenant,
            key: new.key,
            via: new.via,
            connection: new.connection,
            text: new.text,
            context: None,
            images: Vec::new(),
            requester: new.requester,
            requester_name: new.requester_name,
            targets: vec![new.target],
            state: State::Snapshotting { then: crate::state::Stage::Analyze },
            version: 0,
            run: 1,
            turn: 1,
            attempt: 0,
            not_before: None,
            retries: 0,
            pending: None,
            answer: None,
            checkpoint: None,
            analysis: None,
            questions: None,
            answers: None,
            asking: None,
            rounds: 0,
            refinement: None,
            plans: Vec::new(),
            change_set: None,
            review: None,
            review_batch: None,
            review_answer: None,
            waiting_reviews: Vec::new(),
            decisions: Vec::new(),
            approved_plan: None,
            approved_at: None,
            published: None,
            published_base: None,
            published_snapshot: None,
            approved_diff: None,
            feedback: None,
            review_rounds: 0,
            overrides: None,
            budget: Budget { limit: new.budget, lowered: Usd::ZERO, spent: Usd::ZERO, incomplete: false },
            deadline: None,
            pull_request: None,
            model: None,
            autofix: None,
            repairs: 0,
            conflicted: None,
            checks: None,
            intent: None,
            events: 0,
            created_at: new.at,
            updated_at: new.at,
        }
    }

    /// The number of the next try of a model request; the answer of an earlier one is never asked for again.
    pub fn next_call(&self) -> u32 {
        self.retries * crate::decide::MAX_ATTEMPTS + self.attempt + 1
    }

    /// The one target a ticket has for now.
    pub fn target(&self) -> Option<&Target> {
        self.targets.first()
    }

    /// The latest plan.
    pub fn plan(&self) -> Option<&ArtifactRef> {
        self.plans.last()
    }

    /// What people are asked to decide on now.
    pub fn awaiting(&self) -> Option<&ArtifactRef> {
        match self.state.awaited()? {
            Awaited::Refinement => self.refinement.as_ref(),
            Awaited::Plan => self.plan(),
            Awaited::Diff => self.change_set.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_has_the_room_that_its_author_is_told() {
        assert_eq!((TicketText::MAX_TITLE, TicketText::MAX_BODY), (256, 32_768), "256 characters and 32 KiB");
    }
}
