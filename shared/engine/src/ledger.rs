//! What was accepted before: deliveries by their body for a day, commands for ever.

use domain::Timestamp;
use domain::hash::ContentHash;
use jiff::SignedDuration;
use serde_json::json;

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

/// Remembers a command for ever by the place and comment it was said in.
pub fn command(ctx: &TenantCtx, place: &str, comment: &str, outcome: &str, now: Timestamp) -> Write {
    let item = Item::new(Key::seen(ctx, &format!("CMD#{place}#{comment}")), json!({ "outcome": outcome, "at": now }));
    Write::Put { item, when: vec![Condition::NotExists { now }] }
}
