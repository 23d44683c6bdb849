//! Messages that are committed with the state they follow from, and leave afterwards.

use std::time::Duration;

use domain::Timestamp;
use domain::id::OutboxId;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::key::{Key, TicketPartition};
use crate::message::QUEUES;
use crate::port::{Condition, Item, Outgoing, Write};
use crate::tenancy::TenantCtx;

/// A message not yet known to be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its row.
    pub id: OutboxId,
    /// The queue.
    pub queue: String,
    /// The sealed body.
    pub body: String,
    /// Whose turn it takes.
    pub group: String,
    /// Not before this time.
    pub not_before: Option<Timestamp>,
}

/// How long after its commit sweep looks whether a message has left.
const SWEEP_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Longest delay a queue takes; later messages stay in the outbox until they are due.
const MAX_DELAY: SignedDuration = SignedDuration::from_mins(15);

/// The row of a message, to be committed with its cause.
pub fn row(ctx: &TenantCtx, partition: &TicketPartition, pending: &Pending, now: Timestamp) -> Write {
    let mut item = Item::new(Key::outbox(ctx, partition, &pending.id), json!(pending));
    item.due = Some(now.max(pending.not_before.unwrap_or(now)) + SWEEP_AFTER);
    Write::Put { item, when: vec![Condition::NotExists { now }] }
}

/// Sends a message and removes its row; whatever fails here is left for sweep.
pub async fn relay(engine: &Engine, ctx: &TenantCtx, partition: &TicketPartition, pending: &Pending) {
    relay_row(engine, &Key::outbox(ctx, partition, &pending.id), pending).await;
}

/// Sends a message and removes the row it stands in.
pub async fn relay_row(engine: &Engine, row: &Key, pending: &Pending) {
    let wait = pending.not_before.map_or(SignedDuration::ZERO, |at| at.duration_since(engine.clock.now()));
    let Some(queue) = QUEUES.iter().copied().find(|queue| *queue == pending.queue) else {
        tracing::error!(queue = pending.queue, "an outbox row names a queue that does not exist");
        return;
    };
    if wait > MAX_DELAY {
        return;
    }
    let outgoing = Outgoing {
        queue,
        body: pending.body.clone(),
        group: pending.group.clone(),
        delay: Duration::try_from(wait).unwrap_or_default(),
    };
    if let Err(failure) = engine.queue.send(outgoing).await {
        tracing::warn!(queue, error = %failure, "a message could not be queued; sweep will send it");
        return;
    }
    let delete = Write::Delete { key: row.clone(), when: Vec::new() };
    if let Err(error) = engine.table.transact(vec![delete]).await {
        tracing::warn!(queue, error = %error, "a queued message is still in the outbox; it may be sent twice");
    }
}
