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

/// A place among the turns of a tenant, held until it is freed or its lease ends.
#[derive(Debug)]
pub struct Slot {
    key: Key,
    fence: u64,
    ticket: TicketId,
}

impl Slot {
    /// The row of the slot; its fence is the moment it was taken, which tells one holder from the next.
    fn put(&self, now: Timestamp, duration: Duration, when: Condition) -> Write {
        let until = now + SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO);
        let mut item = Item::new(self.key.clone(), json!({ "ticket": self.ticket }));
        (item.fence, item.lease_until) = (self.fence, Some(until));
        Write::Put { item, when: vec![when] }
    }
}

/// Takes a free slot of the tenant for a while; `None` when all are taken.
pub async fn take(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    duration: Duration,
) -> Result<Option<Slot>, Failure> {
    let now = engine.clock.now();
    let fence = u64::try_from(now.as_microsecond()).unwrap_or(0);
    let key = |number: usize| Key::of(ctx, "", format!("SLOT#{number:03}"));
    // Most of the time any slot is free: one write finds out, and only a taken one makes it look at all.
    let guess = ticket.as_str().bytes().fold(0, |sum, byte| sum + usize::from(byte)) % engine.slots.max(1);
    let first = Slot { key: key(guess), fence, ticket: ticket.clone() };
    if put(engine, &first, now, duration, Condition::NotBefore(now)).await? {
        return Ok(Some(first));
    }
    let partition = Key::partition_of(ctx, "");
    let held = engine.table.query(Index::Primary, &partition, "SLOT#", engine.slots, None).await?.items;
    for number in (guess..engine.slots).chain(0..guess) {
        let slot = Slot { key: key(number), fence, ticket: ticket.clone() };
        let until = held.iter().find(|item| item.key == slot.key).and_then(|item| item.lease_until);
        if until.is_none_or(|until| until <= now || until > now + LONGEST_LEASE)
            && put(engine, &slot, now, duration, Condition::NotBefore(until.map_or(now, |until| until.max(now))))
                .await?
        {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}

/// Holds a slot for longer; a slot that was lost stays lost, and the turn goes on by its ticket's lease.
pub async fn renew(engine: &Engine, slot: &Slot, duration: Duration) -> Result<(), Failure> {
    put(engine, slot, engine.clock.now(), duration, Condition::FenceIs(slot.fence)).await.map(|_| ())
}

/// Gives a slot back; where that fails it is free when its lease ends.
pub async fn free(engine: &Engine, slot: &Slot) {
    let delete = Write::Delete { key: slot.key.clone(), when: vec![Condition::FenceIs(slot.fence)] };
    match engine.table.transact(vec![delete]).await {
        Ok(()) | Err(TableError::Condition { .. }) => {}
        Err(error) => tracing::debug!(ticket.id = %slot.ticket, error = %error, "a slot is free when its lease ends"),
    }
}

async fn put(
    engine: &Engine,
    slot: &Slot,
    now: Timestamp,
    duration: Duration,
    when: Condition,
) -> Result<bool, Failure> {
    match engine.table.transact(vec![slot.put(now, duration, when)]).await {
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
