//! Everything that can happen to a ticket.

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::error::Failure;
use crate::gate::GateReason;
use crate::hash::{ContentHash, HashPrefix};
use crate::money::Usd;
use crate::name::{CommitSha, ModelName};
use crate::policy::PolicyChange;
use crate::principal::{Principal, Role};
use crate::ticket::{PendingCall, PullRequestRef, Target};

/// Something that happened, and who made it happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Who.
    pub by: Principal,
    /// What.
    pub what: Happening,
}

/// What happened.
#[expect(clippy::large_enum_variant, reason = "an input is made, decided on and gone")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// A person asked for something.
    Request(Request),
    /// A stage, or the model it waited for, got somewhere.
    Outcome(Outcome),
    /// The forge reports a change of the pull request or the connection.
    News(News),
    /// The deadline of a wait passed.
    DeadlinePassed,
}

/// What a failing pull request is to be fixed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FixWhat {
    /// Failing checks.
    Ci,
    /// The review's remarks.
    Review,
    /// Conflicts with the base branch.
    Conflicts,
}

/// What a person asks of a ticket; text was parsed and artifacts were stored before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// The label was set anew, the ticket assigned, or the bot mentioned without a command.
    Trigger,
    /// The label was removed.
    Untrigger,
    /// Start the analysis again.
    Analyze,
    /// Answers to the questions that wait; what was left out has its default.
    Answer {
        /// The stored answers.
        answers: ArtifactRef,
    },
    /// Take every default.
    Skip {
        /// The stored defaults.
        answers: ArtifactRef,
    },
    /// Go on to planning.
    Plan {
        /// The stored defaults, where questions wait.
        answers: Option<ArtifactRef>,
    },
    /// Revise the plan.
    Replan {
        /// What to change.
        instruction: String,
    },
    /// Put an edited refined ticket in place of the one that waits.
    EditRefinement {
        /// The stored edit.
        refinement: ArtifactRef,
    },
    /// Decide for what waits.
    Approve {
        /// The artifact meant; plans and diffs need it.
        hash: Option<HashPrefix>,
        /// What the person adds.
        note: String,
    },
    /// Decide against what waits.
    Reject {
        /// Why, for the next version.
        reason: String,
    },
    /// Start on an approved plan.
    Implement,
    /// End here: the plan was the product.
    Close,
    /// Work on the open pull request.
    Fix {
        /// What for.
        what: FixWhat,
        /// The review that is to be worked through, stored.
        batch: Option<ContentHash>,
        /// What the person adds.
        instruction: String,
    },
    /// Switch the repair of failing checks on this ticket.
    Autofix {
        /// On or off.
        on: bool,
    },
    /// Go on from the failed step.
    Retry,
    /// Call it off.
    Cancel,
    /// Stop until resumed.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Raise the budget.
    Budget {
        /// By how much.
        add: Usd,
    },
    /// Use another model for this ticket from the next run on.
    Model {
        /// Which.
        name: ModelName,
    },
    /// Work in another repository.
    Repo {
        /// Where.
        target: Target,
    },
}

impl Request {
    /// The least role that may ask for this; what waits may need a higher one.
    pub fn least_role(&self) -> Role {
        match self {
            Self::Trigger
            | Self::Untrigger
            | Self::Analyze
            | Self::Answer { .. }
            | Self::Skip { .. }
            | Self::Plan { .. }
            | Self::Replan { .. }
            | Self::EditRefinement { .. }
            | Self::Implement
            | Self::Close
            | Self::Fix { .. }
            | Self::Autofix { .. }
            | Self::Retry
            | Self::Cancel
            | Self::Pause
            | Self::Resume => Role::Writer,
            Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Budget { .. }
            | Self::Model { .. }
            | Self::Repo { .. } => Role::Approver,
        }
    }

    /// The verb people know it by.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Untrigger => "untrigger",
            Self::Analyze => "analyze",
            Self::Answer { .. } => "answer",
            Self::Skip { .. } => "skip",
            Self::Plan { .. } => "plan",
            Self::Replan { .. } => "replan",
            Self::EditRefinement { .. } => "edit",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Implement => "implement",
            Self::Close => "close",
            Self::Fix { .. } => "fix",
            Self::Autofix { .. } => "autofix",
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Budget { .. } => "budget",
            Self::Model { .. } => "model",
            Self::Repo { .. } => "repo",
        }
    }
}

/// Where a run of a stage got.
#[expect(clippy::large_enum_variant, reason = "an outcome is made, decided on and gone")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The base commit is fixed and stored.
    Snapshotted {
        /// The commit.
        commit: CommitSha,
        /// The stored snapshot.
        snapshot: ContentHash,
        /// What the repository's own settings file tightens.
        overrides: Option<PolicyChange>,
    },
    /// The ticket is understood, or questions are open.
    Analyzed {
        /// Notes for the stages after.
        analysis: ArtifactRef,
        /// What has to be asked.
        questions: Option<ArtifactRef>,
    },
    /// The work met something that has to be asked first.
    FollowUp {
        /// What has to be asked.
        questions: ArtifactRef,
        /// Where the run goes on with the answers.
        checkpoint: ContentHash,
    },
    /// The refined ticket is written.
    Refined {
        /// The refined ticket.
        refinement: ArtifactRef,
    },
    /// The plan is written.
    Planned {
        /// The plan.
        plan: ArtifactRef,
    },
    /// The base branch changed files of the approved plan's scope.
    BaseMoved {
        /// What changed, in a sentence.
        changed: String,
    },
    /// The change is made.
    Implemented {
        /// The change.
        change_set: ArtifactRef,
    },
    /// The change was judged.
    Reviewed {
        /// The review.
        review: ArtifactRef,
        /// How many findings are critical.
        critical: usize,
        /// The gates that the change hit.
        gates: Vec<GateReason>,
    },
    /// A write to the outside is about to start.
    IntentStarted {
        /// What will be written, so that it can be found again.
        intent: String,
    },
    /// Just before the push, too few of those who approved still may.
    ApprovalLapsed {
        /// Who may no longer, by the names people know.
        names: Vec<String>,
        /// The least role of the approvals that lapsed.
        least: Role,
    },
    /// Branch and pull request are there.
    Published {
        /// The pull request.
        pull_request: PullRequestRef,
    },
    /// The review of people was worked through.
    Revised {
        /// The change, whole.
        change_set: ArtifactRef,
        /// What was answered to each thread, stored; absent where there was none.
        answer: Option<ContentHash>,
    },
    /// The write that was under way when the ticket was cancelled is known and undone where possible.
    CancelSettled {
        /// What is left outside, in a sentence.
        left: String,
    },
    /// The run needs a model's answer.
    Asked {
        /// The call.
        call: PendingCall,
        /// Where the run goes on.
        checkpoint: ContentHash,
    },
    /// The tenant's budget of this month does not cover the call.
    OverMonthlyBudget {
        /// Where the run goes on.
        checkpoint: ContentHash,
    },
    /// The run took as much as the policy gives it.
    OverLimit {
        /// What it took, in a few words.
        what: String,
        /// Where the run goes on.
        checkpoint: ContentHash,
    },
    /// The model answered.
    Answered {
        /// The call it answers.
        request: ContentHash,
        /// The stored answer.
        answer: ContentHash,
        /// What the call cost.
        cost: Usd,
        /// Whether an earlier try may have cost something unknown.
        incomplete: bool,
    },
    /// The run stopped to go on in another slice.
    Continue {
        /// Where it goes on.
        checkpoint: ContentHash,
    },
    /// The run could not go on.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// What the forge reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The pull request was merged.
    Merged,
    /// The pull request was closed without a merge.
    PullRequestClosed,
    /// A writer submitted a review that asks for changes.
    ReviewSubmitted {
        /// The stored review.
        batch: ContentHash,
    },
    /// All checks of the head commit have ended, and some failed.
    ChecksFailed {
        /// The stored report; the same failure of the same commit has the same.
        batch: ContentHash,
    },
    /// All checks of the head commit have ended well.
    ChecksPassed,
    /// A person pushed to the pull request.
    Pushed {
        /// What it shows now.
        head: CommitSha,
    },
    /// The pull request cannot be merged without conflicts.
    Conflicted,
    /// A developer linked a pull request of their own.
    PullRequestLinked {
        /// Where it is.
        url: String,
    },
    /// The connection to the repository was removed.
    Uninstalled,
}
