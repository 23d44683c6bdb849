//! Messages that are committed with the state they follow from, and leave afterwards.

use std::time::Duration;

use domain::Timestamp;
use domain::error::Failure;
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
    let Some(outgoing) = outgoing(engine, pending) else {
        return;
    };
    let sent = engine.queue.send(outgoing).await;
    sent_or_left(engine, &Key::outbox(ctx, partition, &pending.id), &pending.queue, sent).await;
}

/// Sends messages and removes the rows they stand in, each as far as it goes.
pub async fn relay_rows(engine: &Engine, rows: &[(Key, Pending)]) {
    let ready = rows.iter().filter_map(|row| outgoing(engine, &row.1).map(|message| (row, message)));
    let (rows, messages): (Vec<_>, Vec<_>) = ready.unzip();
    for ((key, pending), sent) in rows.into_iter().zip(engine.queue.send_batch(messages).await) {
        sent_or_left(engine, key, &pending.queue, sent).await;
    }
}

/// The message of a row whose time has come.
fn outgoing(engine: &Engine, pending: &Pending) -> Option<Outgoing> {
    let wait = pending.not_before.map_or(SignedDuration::ZERO, |at| at.duration_since(engine.clock.now()));
    let Some(queue) = QUEUES.iter().copied().find(|queue| *queue == pending.queue) else {
        tracing::error!(queue = pending.queue, "an outbox row names a queue that does not exist");
        return None;
    };
    let delay = Duration::try_from(wait).unwrap_or_default();
    let (body, group) = (pending.body.clone(), pending.group.clone());
    (wait <= MAX_DELAY).then_some(Outgoing { queue, body, group, delay })
}

async fn sent_or_left(engine: &Engine, row: &Key, queue: &str, sent: Result<(), Failure>) {
    if let Err(failure) = sent {
        tracing::warn!(queue, error = %failure, "a message could not be queued; sweep will send it");
        return;
    }
    let delete = Write::Delete { key: row.clone(), when: Vec::new() };
    if let Err(error) = engine.table.transact(vec![delete]).await {
        tracing::warn!(queue, error = %error, "a queued message is still in the outbox; it may be sent twice");
    }
}
