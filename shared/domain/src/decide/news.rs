//! What the forge's reports lead to.

use crate::decide::Decision;
use crate::decide::draft::Draft;
use crate::hash::ContentHash;
use crate::input::News;
use crate::refusal::Refusal;
use crate::state::{Stage, State};

pub(super) fn decide(draft: Draft<'_>, news: &News) -> Result<Decision, Refusal> {
    match &draft.ticket().state {
        State::Completed | State::Closed | State::Cancelled => Err(draft.outdated()),
        State::Cancelling { .. } => match news {
            News::Merged => Ok(draft.end(State::Completed, "pull request merged")),
            News::PullRequestClosed
            | News::ReviewSubmitted { .. }
            | News::ChecksFailed { .. }
            | News::PullRequestLinked { .. }
            | News::Uninstalled => Err(draft.outdated()),
        },
        State::InReview => in_review(draft, news),
        State::PlanApproved => match news {
            News::PullRequestLinked { url } => {
                let what = format!("a developer opened {url}");
                Ok(draft.end(State::Closed, &what))
            }
            News::Uninstalled => Ok(draft.cancel("the connection to the repository was removed")),
            News::Merged => merged(draft),
            News::PullRequestClosed => closed(draft),
            News::ReviewSubmitted { .. } | News::ChecksFailed { .. } => Err(draft.outdated()),
        },
        State::Snapshotting { .. }
        | State::Analyzing
        | State::AwaitingAnswers
        | State::Refining
        | State::AwaitingRefinementApproval
        | State::Planning
        | State::AwaitingPlanApproval
        | State::Implementing
        | State::Reviewing
        | State::AwaitingDiffApproval { .. }
        | State::Publishing
        | State::Revising
        | State::Paused { .. }
        | State::Failed { .. } => match news {
            News::Merged => merged(draft),
            News::PullRequestClosed => closed(draft),
            News::Uninstalled => Ok(draft.cancel("the connection to the repository was removed")),
            News::ReviewSubmitted { batch } => kept(draft, batch),
            News::ChecksFailed { .. } | News::PullRequestLinked { .. } => Err(draft.outdated()),
        },
    }
}

/// A review that comes while the pull request is being worked on waits for its turn.
fn kept(mut draft: Draft<'_>, batch: &ContentHash) -> Result<Decision, Refusal> {
    if draft.ticket().pull_request.is_none() {
        return Err(draft.outdated());
    }
    draft.next().waiting_reviews.push(batch.clone());
    Ok(draft.finish("a review came in and waits for its turn"))
}

fn in_review(mut draft: Draft<'_>, news: &News) -> Result<Decision, Refusal> {
    match news {
        News::Merged => merged(draft),
        News::PullRequestClosed => closed(draft),
        News::ReviewSubmitted { batch } => {
            draft.next().review_batch = Some(batch.clone());
            draft.next().review_rounds = 0;
            draft.next().repairs = 0;
            Ok(draft.run(Stage::Revise, "a review asks for changes"))
        }
        News::ChecksFailed { batch } => {
            let on = draft.ticket().autofix.unwrap_or(draft.policy().autofix_checks);
            if !on || draft.ticket().repairs >= draft.policy().autofix_attempts {
                return Err(draft.outdated());
            }
            draft.next().repairs += 1;
            draft.next().review_rounds = 0;
            draft.next().review_batch = Some(batch.clone());
            Ok(draft.run(Stage::Revise, "checks failed"))
        }
        News::PullRequestLinked { .. } => Err(draft.outdated()),
        News::Uninstalled => Ok(draft.cancel("the connection to the repository was removed")),
    }
}

fn merged(draft: Draft<'_>) -> Result<Decision, Refusal> {
    if draft.ticket().pull_request.is_none() {
        return Err(draft.outdated());
    }
    Ok(draft.end(State::Completed, "pull request merged"))
}

fn closed(draft: Draft<'_>) -> Result<Decision, Refusal> {
    if draft.ticket().pull_request.is_none() {
        return Err(draft.outdated());
    }
    Ok(draft.end(State::Closed, "pull request closed without a merge"))
}
