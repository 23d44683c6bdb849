//! Where a ticket stands.

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::gate::GateReason;
use crate::principal::Role;

/// The function that does the work of a running state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Fetches and stores the base commit.
    Snapshot,
    /// Reads the repository and asks what has to be asked.
    Analyze,
    /// Writes the refined ticket.
    Refine,
    /// Writes the plan.
    Plan,
    /// Changes a copy of the code.
    Implement,
    /// Judges the change against the plan.
    Review,
    /// Pushes the branch and opens the pull request.
    Publish,
    /// Works through a review of the pull request.
    Revise,
}

impl Stage {
    /// Every stage, in the order a ticket meets them.
    pub const ALL: [Self; 8] = [
        Self::Snapshot,
        Self::Analyze,
        Self::Refine,
        Self::Plan,
        Self::Implement,
        Self::Review,
        Self::Publish,
        Self::Revise,
    ];

    /// The name of the stage's queue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Analyze => "analyze",
            Self::Refine => "refine",
            Self::Plan => "plan",
            Self::Implement => "implement",
            Self::Review => "review",
            Self::Publish => "publish",
            Self::Revise => "revise",
        }
    }
}

/// What people are asked to decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The refined ticket.
    Refinement,
    /// The plan.
    Plan,
    /// A diff that hit a gate.
    Diff,
}

/// Why a ticket is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The ticket's budget is used up.
    Budget,
    /// The tenant's budget of this month is used up.
    MonthlyBudget,
    /// A person asked for it.
    Person,
    /// Nobody answered or decided in time.
    Deadline,
    /// A run took as many turns, tokens or minutes as the policy gives it.
    Limit,
}

/// Where a ticket stands; `workflow.md` names what leads out of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The base commit is being fetched; the stage to go on with comes after.
    Snapshotting {
        /// Where it leads.
        then: Stage,
    },
    /// The ticket is being understood.
    Analyzing,
    /// Questions wait for answers.
    AwaitingAnswers,
    /// The refined ticket is being written.
    Refining,
    /// The refined ticket waits for a decision.
    AwaitingRefinementApproval,
    /// The plan is being written.
    Planning,
    /// The plan waits for a decision.
    AwaitingPlanApproval,
    /// The plan is approved and nobody asked for the implementation yet.
    PlanApproved,
    /// The change is being made.
    Implementing,
    /// The change is being reviewed.
    Reviewing,
    /// The change hit a gate and waits for a decision.
    AwaitingDiffApproval {
        /// Why a person has to look.
        reasons: Vec<GateReason>,
    },
    /// The branch is being pushed and the pull request opened.
    Publishing,
    /// The pull request is with its reviewers.
    InReview,
    /// A review is being worked through.
    Revising,
    /// Nothing happens until somebody resumes.
    Paused {
        /// Where it goes on.
        from: Box<State>,
        /// Why it stopped.
        why: PauseReason,
    },
    /// A write to the outside was under way when somebody cancelled; its outcome is being read back.
    Cancelling {
        /// The write.
        intent: String,
    },
    /// It cannot go on by itself.
    Failed {
        /// Where a retry goes on.
        from: Box<State>,
        /// What went wrong.
        error: Failure,
    },
    /// The pull request was merged.
    Completed,
    /// It ended without a merge, on purpose.
    Closed,
    /// It was called off.
    Cancelled,
}

impl State {
    /// The stage that works in this state, if one does.
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Snapshotting { .. } => Some(Stage::Snapshot),
            Self::Analyzing => Some(Stage::Analyze),
            Self::Refining => Some(Stage::Refine),
            Self::Planning => Some(Stage::Plan),
            Self::Implementing => Some(Stage::Implement),
            Self::Reviewing => Some(Stage::Review),
            Self::Publishing => Some(Stage::Publish),
            Self::Revising => Some(Stage::Revise),
            Self::AwaitingAnswers
            | Self::AwaitingRefinementApproval
            | Self::AwaitingPlanApproval
            | Self::PlanApproved
            | Self::AwaitingDiffApproval { .. }
            | Self::InReview
            | Self::Paused { .. }
            | Self::Cancelling { .. }
            | Self::Failed { .. }
            | Self::Completed
            | Self::Closed
            | Self::Cancelled => None,
        }
    }

    /// The state in which a stage works; a snapshot leads to analysis.
    pub fn of_stage(stage: Stage) -> Self {
        match stage {
            Stage::Snapshot => Self::Snapshotting { then: Stage::Analyze },
            Stage::Analyze => Self::Analyzing,
            Stage::Refine => Self::Refining,
            Stage::Plan => Self::Planning,
            Stage::Implement => Self::Implementing,
            Stage::Review => Self::Reviewing,
            Stage::Publish => Self::Publishing,
            Stage::Revise => Self::Revising,
        }
    }

    /// Says whether nothing more can happen.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Completed | Self::Closed | Self::Cancelled)
    }

    /// Says whether people decide here.
    pub fn awaits_decision(&self) -> bool {
        self.awaited().is_some()
    }

    /// What people decide on here.
    pub fn awaited(&self) -> Option<Awaited> {
        match self {
            Self::AwaitingRefinementApproval => Some(Awaited::Refinement),
            Self::AwaitingPlanApproval => Some(Awaited::Plan),
            Self::AwaitingDiffApproval { .. } => Some(Awaited::Diff),
            Self::Snapshotting { .. }
            | Self::Analyzing
            | Self::AwaitingAnswers
            | Self::Refining
            | Self::Planning
            | Self::PlanApproved
            | Self::Implementing
            | Self::Reviewing
            | Self::Publishing
            | Self::InReview
            | Self::Revising
            | Self::Paused { .. }
            | Self::Cancelling { .. }
            | Self::Failed { .. }
            | Self::Completed
            | Self::Closed
            | Self::Cancelled => None,
        }
    }

    /// The least role that may approve here: an admin where a gate asks for one.
    pub fn approval_role(&self) -> Role {
        let Self::AwaitingDiffApproval { reasons } = self else {
            return Role::Approver;
        };
        reasons.iter().map(GateReason::least_role).max().unwrap_or(Role::Approver)
    }

    /// The name that lists, logs and `--json` use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Snapshotting { .. } => "snapshotting",
            Self::Analyzing => "analyzing",
            Self::AwaitingAnswers => "awaiting_answers",
            Self::Refining => "refining",
            Self::AwaitingRefinementApproval => "awaiting_refinement_approval",
            Self::Planning => "planning",
            Self::AwaitingPlanApproval => "awaiting_plan_approval",
            Self::PlanApproved => "plan_approved",
            Self::Implementing => "implementing",
            Self::Reviewing => "reviewing",
            Self::AwaitingDiffApproval { .. } => "awaiting_diff_approval",
            Self::Publishing => "publishing",
            Self::InReview => "in_review",
            Self::Revising => "revising",
            Self::Paused { .. } => "paused",
            Self::Cancelling { .. } => "cancelling",
            Self::Failed { .. } => "failed",
            Self::Completed => "completed",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }

    /// What a person is told about the state, and which command moves it on.
    pub fn explained(&self) -> (&'static str, &'static str) {
        match self {
            Self::Snapshotting { .. } => ("fetching the repository", "wait; `pause` or `cancel` stops it"),
            Self::Analyzing => ("reading the repository", "wait; `pause` or `cancel` stops it"),
            Self::AwaitingAnswers => ("waiting for answers", "`answer 1: …` or `skip`"),
            Self::Refining => ("writing the refined ticket", "wait; `pause` or `cancel` stops it"),
            Self::AwaitingRefinementApproval => {
                ("waiting for a decision on the refined ticket", "`approve` or `reject REASON`")
            }
            Self::Planning => ("writing the plan", "wait; `pause` or `cancel` stops it"),
            Self::AwaitingPlanApproval => {
                ("waiting for a decision on the plan", "`approve HASH`, `replan INSTRUCTION` or `reject REASON`")
            }
            Self::PlanApproved => ("plan approved, not started", "`implement` or `close`"),
            Self::Implementing => ("making the change", "wait; `pause` or `cancel` stops it"),
            Self::Reviewing => ("reviewing the change", "wait; `pause` or `cancel` stops it"),
            Self::AwaitingDiffApproval { .. } => {
                ("waiting for a decision on the diff", "`approve HASH` or `reject REASON`")
            }
            Self::Publishing => ("opening the pull request", "wait; `pause` or `cancel` stops it"),
            Self::InReview => ("pull request open", "review or merge it; `fix INSTRUCTION` has it changed"),
            Self::Revising => ("working through the review", "wait; `pause` or `cancel` stops it"),
            Self::Paused { why: PauseReason::Budget, .. } => ("paused: the budget is used up", "`budget +USD`"),
            Self::Paused { why: PauseReason::MonthlyBudget, .. } => {
                ("paused: this month's budget is used up", "`resume` once an admin has raised it")
            }
            Self::Paused { why: PauseReason::Limit, .. } => {
                ("paused: the work took longer than its limit", "`resume` gives it as much again")
            }
            Self::Paused { why: PauseReason::Person, .. } => ("paused", "`resume`"),
            Self::Paused { why: PauseReason::Deadline, .. } => ("paused: nobody decided in time", "`resume`"),
            Self::Cancelling { .. } => ("cancelling", "wait; `status` says when it is over"),
            Self::Failed { .. } => ("failed", "`retry` or `cancel`"),
            Self::Completed => ("done", "`analyze` or a new trigger starts again"),
            Self::Closed => ("closed", "`analyze` or a new trigger starts again"),
            Self::Cancelled => ("cancelled", "`analyze` or a new trigger starts again"),
        }
    }
}
