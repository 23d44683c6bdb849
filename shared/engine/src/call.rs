//! Model calls: the request's exact bytes, its answer, and what it cost, kept under (hash, attempt).

use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TicketId;
use domain::money::Usd;
use domain::state::Stage;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::key::{Key, TicketPartition};
use crate::port::{Condition, Index, Item, ModelAnswer, TableError, Usage, Write};
use crate::tenancy::TenantCtx;

/// One answered call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The stored answer.
    pub answer: ContentHash,
    /// The stage that asked.
    pub stage: Option<Stage>,
    /// The model that answered.
    pub model: String,
    /// Tokens by kind.
    pub usage: Usage,
    /// What it cost.
    pub cost: Usd,
    /// How long it took.
    pub latency_ms: u64,
    /// The provider's name for the request, for its support.
    #[serde(default)]
    pub request_id: Option<String>,
    /// When it was answered.
    pub at: Timestamp,
}

fn key(ctx: &TenantCtx, ticket: &TicketId, request: &ContentHash, attempt: u32) -> Key {
    Key::ticket(ctx, &TicketPartition::of(ticket), format!("CALL#{request}#{attempt:04}"))
}

/// Finds the answer of a call that was made before.
pub async fn find(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    request: &ContentHash,
    attempt: u32,
) -> Result<Option<CallRecord>, Failure> {
    let Some(item) = engine.table.get(&key(ctx, ticket, request, attempt)).await? else {
        return Ok(None);
    };
    serde_json::from_value(item.body)
        .map(Some)
        .map_err(|error| Failure::new(Fault::Bug, format!("a stored call cannot be read: {error}")))
}

/// Stores an answer before anything is built on it, so that it is never paid for twice.
pub async fn store(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    (request, attempt): (&ContentHash, u32),
    answer: &ModelAnswer,
    (stage, latency_ms): (Option<Stage>, u64),
) -> Result<CallRecord, Failure> {
    let blob = crate::artifact::store(engine, ctx, answer).await?;
    let now = engine.clock.now();
    let record = CallRecord {
        answer: blob,
        stage,
        model: answer.model.clone(),
        usage: answer.usage,
        cost: answer.cost,
        latency_ms,
        request_id: answer.request_id.clone(),
        at: now,
    };
    let item = Item::new(key(ctx, ticket, request, attempt), json!(record));
    let put = Write::Put { item, when: vec![Condition::NotExists { now }] };
    match engine.table.transact(vec![put]).await {
        Ok(()) => Ok(record),
        Err(TableError::Condition { .. }) => Ok(find(engine, ctx, ticket, request, attempt).await?.unwrap_or(record)),
        Err(error) => Err(error.into()),
    }
}

/// Every answered call of a ticket.
pub async fn list(engine: &Engine, ctx: &TenantCtx, ticket: &TicketId) -> Result<Vec<CallRecord>, Failure> {
    let partition = Key::partition_of(ctx, TicketPartition::of(ticket).as_str());
    let all = engine.table.all(Index::Primary, &partition, "CALL#").await?;
    let mut records: Vec<CallRecord> =
        all.into_iter().filter_map(|item| serde_json::from_value(item.body).ok()).collect();
    records.sort_by_key(|record| record.at);
    Ok(records)
}
