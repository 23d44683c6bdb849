//! Which ticket a pull request belongs to.

use domain::error::Failure;
use domain::name::RepoName;
use serde::Deserialize;
use serde_json::json;

use super::row;
use crate::Engine;
use crate::key::Key;
use crate::port::{Item, Write};
use crate::tenancy::TenantCtx;

/// Remembers which ticket a pull request belongs to; committed with the ticket.
pub fn pull_request_write(ctx: &TenantCtx, repo: &RepoName, number: u64, ticket: &domain::id::TicketId) -> Write {
    let key = Key::of(ctx, &format!("PULL#{repo}"), format!("{number:010}"));
    Write::Put { item: Item::new(key, json!({ "ticket": ticket })), when: Vec::new() }
}

/// Finds the ticket a pull request belongs to.
pub async fn ticket_of_pull_request(
    engine: &Engine,
    ctx: &TenantCtx,
    repo: &RepoName,
    number: u64,
) -> Result<Option<domain::id::TicketId>, Failure> {
    #[derive(Deserialize)]
    struct Pull {
        ticket: domain::id::TicketId,
    }
    let key = Key::of(ctx, &format!("PULL#{repo}"), format!("{number:010}"));
    Ok(row::<Pull>(engine, &key).await?.map(|pull| pull.ticket))
}
