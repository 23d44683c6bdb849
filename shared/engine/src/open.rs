//! Tickets whose pull request is open or about to be: a row each, below the repository that tells of them.

use domain::error::{Failure, Fault};
use domain::id::TicketId;
use domain::name::{BranchName, CommitSha, RepoName};
use domain::state::State;
use domain::ticket::Ticket;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::key::Key;
use crate::port::{Index, Item, Write};
use crate::tenancy::TenantCtx;

/// A ticket that is in review or being published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The ticket.
    pub ticket: TicketId,
    /// The branch it writes.
    pub branch: BranchName,
    /// The branch it is based on.
    pub base: BranchName,
    /// The commit its pull request shows; absent while another may be written.
    pub head: Option<CommitSha>,
}

fn under(repo: &RepoName) -> String {
    format!("OPEN#{repo}")
}

fn row(ctx: &TenantCtx, ticket: &Ticket) -> Option<(Key, Open)> {
    let target = ticket.target()?;
    let shown = ticket.pull_request.as_ref().filter(|_| ticket.state == State::InReview);
    let head = shown.map(|pull| pull.head.clone());
    if head.is_none() && ticket.state != State::Publishing {
        return None;
    }
    let (branch, base) = (target.branch.clone(), target.base.clone());
    let open = Open { ticket: ticket.id.clone(), branch, base, head };
    Some((Key::of(ctx, &under(&target.repo), ticket.id.to_string()), open))
}

/// What is written with a step of a ticket so that its row is there as long as it should be.
pub(crate) fn write(ctx: &TenantCtx, before: &Ticket, after: &Ticket) -> Option<Write> {
    match (row(ctx, before), row(ctx, after)) {
        (was, Some(is)) if was.as_ref() != Some(&is) => {
            Some(Write::Put { item: Item::new(is.0, json!(is.1)), when: Vec::new() })
        }
        (Some((key, _)), None) => Some(Write::Delete { key, when: Vec::new() }),
        (_, Some(_)) | (None, None) => None,
    }
}

/// Every ticket of a repository that is in review or being published, the oldest first.
pub async fn in_repository(engine: &Engine, ctx: &TenantCtx, repo: &RepoName) -> Result<Vec<Open>, Failure> {
    let all = engine.table.all(Index::Primary, &Key::partition_of(ctx, &under(repo)), "").await?;
    let read = |item: Item| {
        let bug = |error| Failure::new(Fault::Bug, format!("a stored row of an open ticket cannot be read: {error}"));
        serde_json::from_value(item.body).map_err(bug)
    };
    all.into_iter().map(read).collect()
}
