//! What was accepted before: deliveries by their body for a day, commands for ever.

use domain::Timestamp;
use domain::error::Failure;
use domain::hash::ContentHash;
use domain::name::TrackerKey;
use jiff::SignedDuration;
use serde_json::json;

use crate::Engine;
use crate::key::Key;
use crate::port::{Condition, Item, Write};
use crate::tenancy::TenantCtx;

/// How long the same bytes are taken for the same delivery.
pub const BODY_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// Remembers a delivery by the hash of its body; fails the transaction when it was seen within a day.
pub fn body(ctx: &TenantCtx, source: &str, body: &[u8], outcome: &str, now: Timestamp) -> Write {
    let natural = format!("BODY#{source}#{}", ContentHash::of(body));
    let mut item = Item::new(Key::seen(ctx, &natural), json!({ "outcome": outcome, "at": now }));
    item.expires = Some(now + BODY_WINDOW);
    Write::Put { item, when: vec![Condition::NotExists { now }] }
}

/// Remembers a change of our label by the provider's own time; `None` when a change as late was seen before.
///
/// The body's hash is forgotten after a day; this is not, so a copy of an old delivery starts and stops nothing.
pub async fn label(
    engine: &Engine,
    ctx: &TenantCtx,
    key: &TrackerKey,
    at: Timestamp,
) -> Result<Option<Write>, Failure> {
    let place = Key::seen(ctx, &format!("LABEL#{key}"));
    let before = engine.table.get(&place).await?;
    let seen = before.as_ref().and_then(|item| item.body.get("at")?.as_str()?.parse::<Timestamp>().ok());
    let write = Write::Put { item: Item::new(place, json!({ "at": at })), when: Vec::new() };
    Ok(seen.is_none_or(|seen| at > seen).then_some(write))
}

/// Remembers a command for ever by the place and comment it was said in.
pub fn command(ctx: &TenantCtx, place: &str, comment: &str, outcome: &str, now: Timestamp) -> Write {
    let item = Item::new(Key::seen(ctx, &format!("CMD#{place}#{comment}")), json!({ "outcome": outcome, "at": now }));
    Write::Put { item, when: vec![Condition::NotExists { now }] }
}
