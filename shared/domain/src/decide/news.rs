//! What the forge's reports lead to.

use crate::decide::draft::Draft;
use crate::decide::{Decision, Notice};
use crate::hash::ContentHash;
use crate::input::News;
use crate::name::CommitSha;
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
            | News::ChecksPassed
            | News::Pushed { .. }
            | News::Conflicted
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
            News::ReviewSubmitted { .. }
            | News::ChecksFailed { .. }
            | News::ChecksPassed
            | News::Pushed { .. }
            | News::Conflicted => Err(draft.outdated()),
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
            News::ChecksFailed { .. }
            | News::ChecksPassed
            | News::Pushed { .. }
            | News::Conflicted
            | News::PullRequestLinked { .. } => Err(draft.outdated()),
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
        News::ChecksFailed { batch } => checks_failed(draft, batch),
        News::ChecksPassed => checks_passed(draft),
        News::Pushed { head } => pushed(draft, head),
        News::Conflicted => {
            let shown = draft.ticket().pull_request.as_ref().map(|pull| pull.head.clone());
            if draft.ticket().conflicted == shown {
                return Err(draft.outdated());
            }
            draft.next().conflicted = shown;
            let what = "The pull request conflicts with its base branch. I do nothing about it unless a writer says `fix conflicts`.";
            Ok(tell(draft, what, "the pull request conflicts with its base branch"))
        }
        News::PullRequestLinked { .. } => Err(draft.outdated()),
        News::Uninstalled => Ok(draft.cancel("the connection to the repository was removed")),
    }
}

/// Repairs failing checks, once for each failure, as long as that was wished and not too often.
fn checks_failed(mut draft: Draft<'_>, batch: &ContentHash) -> Result<Decision, Refusal> {
    let on = draft.ticket().autofix.unwrap_or(draft.policy().autofix_checks);
    if !on || draft.ticket().checks.as_ref() == Some(batch) {
        return Err(draft.outdated());
    }
    draft.next().checks = Some(batch.clone());
    let most = draft.policy().autofix_attempts;
    if draft.ticket().repairs >= most {
        let what = format!(
            "Checks failed again after {most} repair(s), the most this tenant allows. I leave them to you; `fix ci` makes me try once more."
        );
        return Ok(tell(draft, &what, "checks failed again, and the repairs are used up"));
    }
    draft.next().repairs += 1;
    draft.next().review_rounds = 0;
    draft.next().review_batch = Some(batch.clone());
    Ok(draft.run(Stage::Revise, "checks failed"))
}

/// A draft whose checks are green is ready for people, once for each commit.
fn checks_passed(mut draft: Draft<'_>) -> Result<Decision, Refusal> {
    let shown = draft.ticket().pull_request.as_ref().map(|pull| ContentHash::of(pull.head.as_str().as_bytes()));
    if draft.ticket().checks == shown {
        return Err(draft.outdated());
    }
    draft.next().checks = shown;
    let draft = if draft.policy().draft_pull_requests { draft.notify(Notice::Ready) } else { draft };
    Ok(draft.finish("all checks passed"))
}

/// Whoever pushes takes over: nothing is repaired by itself any more.
fn pushed(mut draft: Draft<'_>, head: &CommitSha) -> Result<Decision, Refusal> {
    let shown = draft.ticket().pull_request.as_ref().map(|pull| &pull.head);
    let on = draft.ticket().autofix.unwrap_or(draft.policy().autofix_checks);
    if shown == Some(head) || !on {
        return Err(draft.outdated());
    }
    draft.next().autofix = Some(false);
    let what = "Somebody pushed to this pull request, so that I no longer repair failing checks by myself. `autofix on` switches that on again.";
    Ok(tell(draft, what, "a person pushed; repair of failing checks is switched off"))
}

/// Says something to people and stays where it is.
fn tell(draft: Draft<'_>, what: &str, event: &str) -> Decision {
    let version = draft.ticket().version + 1;
    draft.notify(Notice::Told { what: what.to_owned(), version }).finish(event)
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
