//! Slots: how many turns of one tenant run at once, so that the load of one leaves room for the others.

use std::time::Duration;

use domain::Timestamp;
use domain::error::Failure;
use domain::id::TicketId;
use jiff::SignedDuration;
use serde_json::json;

use crate::key::Key;
use crate::port::{Condition, Index, Item, Outgoing, TableError, Write};
use crate::tenancy::TenantCtx;
use crate::ticket::{self, LONGEST_LEASE};
use crate::{Disposition, Engine, RETRY_SOON};

/// Turns and model calls of one tenant that run at once where an operator says nothing else.
pub const SLOTS: usize = 10;

/// A place among the turns of a tenant, held until it is freed or its lease ends; nothing where there is no cap.
#[derive(Debug)]
pub struct Slot(Option<Held>);

#[derive(Debug)]
struct Held {
    key: Key,
    /// The moment it was taken, which tells one holder from the next.
    fence: u64,
    ticket: TicketId,
}

/// Takes a free slot of the tenant for a while; `None` when all are taken.
pub async fn take(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    duration: Duration,
) -> Result<Option<Slot>, Failure> {
    let Some(slots) = engine.slots else {
        return Ok(Some(Slot(None)));
    };
    let now = engine.clock.now();
    let fence = u64::try_from(now.as_microsecond()).unwrap_or(0);
    let slot =
        |number: usize| Held { key: Key::of(ctx, "", format!("SLOT#{number:03}")), fence, ticket: ticket.clone() };
    // Most of the time any slot is free: one write finds out, and only a taken one makes it look at all.
    let guess = ticket.as_str().bytes().fold(0, |sum, byte| sum + usize::from(byte)) % slots.max(1);
    let first = slot(guess);
    if put(engine, &first, now, duration, Condition::NotBefore(now)).await? {
        return Ok(Some(Slot(Some(first))));
    }
    let partition = Key::partition_of(ctx, "");
    let taken = engine.table.query(Index::Primary, &partition, "SLOT#", slots, None).await?.items;
    for held in (guess..slots).chain(0..guess).map(slot) {
        let until = taken.iter().find(|item| item.key == held.key).and_then(|item| item.lease_until);
        let free = until.is_none_or(|until| until <= now || until > now + LONGEST_LEASE);
        let from = until.map_or(now, |until| until.max(now));
        if free && put(engine, &held, now, duration, Condition::NotBefore(from)).await? {
            return Ok(Some(Slot(Some(held))));
        }
    }
    Ok(None)
}

/// Holds a slot for longer; a slot that was lost stays lost, and the turn goes on by its ticket's lease.
pub async fn renew(engine: &Engine, slot: &Slot, duration: Duration) -> Result<(), Failure> {
    let Slot(Some(held)) = slot else {
        return Ok(());
    };
    put(engine, held, engine.clock.now(), duration, Condition::FenceIs(held.fence)).await.map(|_| ())
}

/// Gives a slot back; where that fails it is free when its lease ends.
pub async fn free(engine: &Engine, slot: &Slot) {
    let Slot(Some(held)) = slot else {
        return;
    };
    let delete = Write::Delete { key: held.key.clone(), when: vec![Condition::FenceIs(held.fence)] };
    match engine.table.transact(vec![delete]).await {
        Ok(()) | Err(TableError::Condition { .. }) => {}
        Err(error) => tracing::debug!(ticket.id = %held.ticket, error = %error, "a slot is free when its lease ends"),
    }
}

async fn put(
    engine: &Engine,
    held: &Held,
    now: Timestamp,
    duration: Duration,
    when: Condition,
) -> Result<bool, Failure> {
    let mut item = Item::new(held.key.clone(), json!({ "ticket": held.ticket }));
    item.fence = held.fence;
    item.lease_until = Some(now + SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO));
    match engine.table.transact(vec![Write::Put { item, when: vec![when] }]).await {
        Ok(()) => Ok(true),
        Err(TableError::Condition { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Puts a message behind the others of its tenant, as one that was never received: waiting for a slot is no failure.
pub async fn wait(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    (queue, body): (&'static str, &str),
    still: &(dyn Fn(&domain::ticket::Ticket) -> bool + Send + Sync),
) -> Result<Disposition, Failure> {
    let Some(row) = ticket::load(engine, ctx, ticket).await? else {
        return Ok(Disposition::Ack);
    };
    if !still(&row.ticket) {
        return Ok(Disposition::Ack);
    }
    ticket::awaits(engine, ctx, &row).await?;
    let id = engine.ids.next();
    // Spread, so that those who wait do not come all at once.
    let spread = id.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))) % 10;
    let delay = Duration::from_secs(5 + spread);
    let message = Outgoing { queue, body: body.to_owned(), group: ctx.tenant().to_string(), delay };
    match engine.queue.send(message).await {
        Ok(()) => Ok(Disposition::Ack),
        Err(failure) => {
            tracing::warn!(tenant.id = %ctx.tenant(), ticket.id = %ticket, error = %failure, "a message that waits for a slot could not be put back");
            Ok(RETRY_SOON)
        }
    }
}
