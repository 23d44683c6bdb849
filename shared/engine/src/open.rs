//! Which tickets work in a repository: a row each, from the time it has a target until its end.

use domain::error::{Failure, Fault};
use domain::id::TicketId;
use domain::name::{BranchName, RepoName};
use domain::ticket::Ticket;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::key::Key;
use crate::port::{Index, Item, Write};
use crate::tenancy::TenantCtx;

/// A ticket that works in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The ticket.
    pub ticket: TicketId,
    /// The branch it writes.
    pub branch: BranchName,
    /// The branch it is based on.
    pub base: BranchName,
}

fn under(repo: &RepoName) -> String {
    format!("OPEN#{repo}")
}

fn row(ctx: &TenantCtx, ticket: &Ticket) -> Option<(Key, Open)> {
    let target = ticket.target().filter(|_| !ticket.state.is_end())?;
    let open = Open { ticket: ticket.id.clone(), branch: target.branch.clone(), base: target.base.clone() };
    Some((Key::of(ctx, &under(&target.repo), ticket.id.to_string()), open))
}

/// What is written with a step of a ticket so that its row is there as long as it should be.
pub(crate) fn writes(ctx: &TenantCtx, before: Option<&Ticket>, after: &Ticket) -> Vec<Write> {
    let (was, is) = (before.and_then(|ticket| row(ctx, ticket)), row(ctx, after));
    if was == is {
        return Vec::new();
    }
    let elsewhere = was.filter(|(key, _)| is.as_ref().is_none_or(|(now, _)| now != key));
    let gone = elsewhere.map(|(key, _)| Write::Delete { key, when: Vec::new() });
    let put = is.map(|(key, open)| Write::Put { item: Item::new(key, json!(open)), when: Vec::new() });
    gone.into_iter().chain(put).collect()
}

/// Every ticket that works in a repository, the oldest first.
pub async fn in_repository(engine: &Engine, ctx: &TenantCtx, repo: &RepoName) -> Result<Vec<Open>, Failure> {
    let all = engine.table.all(Index::Primary, &Key::partition_of(ctx, &under(repo)), "").await?;
    let read = |item: Item| {
        let bug = |error| Failure::new(Fault::Bug, format!("a stored row of an open ticket cannot be read: {error}"));
        serde_json::from_value(item.body).map_err(bug)
    };
    all.into_iter().map(read).collect()
}
