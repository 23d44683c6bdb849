//! The tenant's month: reserved before a call, settled after it, never beyond the limit.

use domain::Timestamp;
use domain::error::Failure;
use domain::hash::ContentHash;
use domain::id::TicketId;
use domain::money::Usd;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Engine;
use crate::key::Key;
use crate::port::{Condition, Item, TableError, Write};
use crate::tenancy::TenantCtx;

const FIELD: &str = "micros";
/// How long after a reservation sweep looks whether its call is still awaited.
const RECLAIM_AFTER: SignedDuration = SignedDuration::from_hours(1);

fn month_key(ctx: &TenantCtx, at: Timestamp) -> Key {
    let month: String = at.to_string().chars().take(7).collect();
    Key::of(ctx, "", format!("MONTH#{month}"))
}

fn reservation_key(ctx: &TenantCtx, ticket: &TicketId, request: &ContentHash, attempt: u32) -> Key {
    Key::of(ctx, "RESERVATIONS", format!("RESERVATION#{ticket}#{request}#{attempt}"))
}

/// Reserves a call's cost in the present month; says whether the month's budget covers it.
pub async fn reserve(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    (request, attempt): (&ContentHash, u32),
    amount: Usd,
    limit: Usd,
) -> Result<bool, Failure> {
    let now = engine.clock.now();
    let month = month_key(ctx, now);
    let body = json!({
        "micros": amount.micros(), "month": month.sort(), "ticket": ticket, "request": request, "attempt": attempt,
    });
    let mut item = Item::new(reservation_key(ctx, ticket, request, attempt), body);
    item.due = Some(now + RECLAIM_AFTER);
    let writes = vec![
        Write::Put { item, when: vec![Condition::NotExists { now }] },
        Write::Add { key: month, field: FIELD, amount: amount.micros(), at_most: Some(limit.micros()) },
    ];
    match engine.table.transact(writes).await {
        Ok(()) | Err(TableError::Condition { write: 0 }) => Ok(true),
        Err(TableError::Condition { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Replaces a reservation by what the call cost; settling again changes nothing.
pub async fn settle(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    (request, attempt): (&ContentHash, u32),
    cost: Usd,
) -> Result<(), Failure> {
    let key = reservation_key(ctx, ticket, request, attempt);
    let Some(item) = engine.table.get(&key).await? else {
        return Ok(());
    };
    let reserved = item.body.get("micros").and_then(Value::as_i64).unwrap_or(0);
    let month = item.body.get("month").and_then(Value::as_str).unwrap_or("").to_owned();
    let writes = vec![
        Write::Delete { key, when: vec![Condition::VersionIs(item.version)] },
        Write::Add { key: Key::of(ctx, "", month), field: FIELD, amount: cost.micros() - reserved, at_most: None },
    ];
    match engine.table.transact(writes).await {
        Ok(()) | Err(TableError::Condition { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What the present month has cost, reservations included.
pub async fn this_month(engine: &Engine, ctx: &TenantCtx) -> Result<Usd, Failure> {
    let item = engine.table.get(&month_key(ctx, engine.clock.now())).await?;
    Ok(Usd::from_micros(item.and_then(|item| item.body.get(FIELD).and_then(Value::as_i64)).unwrap_or(0)))
}

/// Gives a reservation back whose call nobody waits for any more.
pub async fn reclaim(engine: &Engine, ctx: &TenantCtx, item: &Item) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Reserved {
        ticket: TicketId,
        request: ContentHash,
        attempt: u32,
    }
    let Ok(reserved) = serde_json::from_value::<Reserved>(item.body.clone()) else {
        return Ok(());
    };
    let row = crate::ticket::load(engine, ctx, &reserved.ticket).await?;
    let awaited = row.and_then(|row| row.ticket.pending).is_some_and(|call| call.request == reserved.request);
    if awaited {
        return Ok(());
    }
    let call = (&reserved.request, reserved.attempt);
    let answered = crate::call::find(engine, ctx, &reserved.ticket, call.0, call.1).await?;
    let cost = answered.map_or(Usd::ZERO, |record| record.cost);
    settle(engine, ctx, &reserved.ticket, call, cost).await
}
