//! All that people read: one comment a kind, found again by its marker, edited in place.

mod render;

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::name::TrackerKey;
use engine::key::Key;
use engine::message::{NOTIFY, NotifyMessage};
use engine::port::{Condition, Item, Posted, TableError, Tracker, Workspace, Write};
use engine::tenancy::TenantCtx;
use engine::ticket::{SKEW, in_time};
use engine::{Disposition, Engine};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What the function needs.
#[derive(Clone)]
pub struct Notify {
    /// The engine's ports.
    pub engine: Engine,
    /// Where tickets live.
    pub tracker: Arc<dyn Tracker>,
    /// Opens the snapshot a diff is shown against.
    pub workspace: Arc<dyn Workspace>,
    /// The name people mention.
    pub handle: String,
}

/// Five tries span two minutes, and then sweep starts over.
const RETRY_LATER: Disposition = Disposition::Retry { after: 30 };
/// Seconds until a comment is looked at again that somebody else is writing; writing one takes far less than its lease.
const SOON: u32 = 2;
/// How long one writer of a comment keeps others out; six times a remote call's timeout.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// Longest a remote call takes.
const CALL: Duration = Duration::from_secs(10);

/// One text to be said under one name.
pub(crate) struct Say {
    /// What kind of comment it is; one a ticket.
    pub(crate) kind: String,
    /// Markdown without the marker.
    pub(crate) text: String,
}

/// How far the ticket was that a text was made of: older news never replaces newer.
type Version = u64;

/// What is remembered of a comment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known {
    id: Option<String>,
    shows: Option<ContentHash>,
    /// The ticket's version that it shows.
    #[serde(default)]
    version: Version,
    /// When somebody began to write it of whom nothing was heard since: it may be there without our knowing.
    #[serde(default)]
    begun: Option<Timestamp>,
}

/// A comment that its writer holds.
struct Writing<'a> {
    function: &'a Notify,
    ctx: &'a TenantCtx,
    key: &'a TrackerKey,
    say: &'a Say,
    /// Until when nobody else writes it.
    until: Timestamp,
}

/// Handles one message of the queue.
pub async fn handle(function: &Notify, message: &str) -> Disposition {
    let Ok(opened) = function.engine.sealer.open::<NotifyMessage>(NOTIFY, message) else {
        tracing::warn!("a message without a valid seal was dropped");
        return Disposition::Ack;
    };
    let Some(ctx) = opened.tenant else {
        tracing::warn!("a message of no tenant was dropped");
        return Disposition::Ack;
    };
    match tell(function, &ctx, &opened.body).await {
        Ok(None) => Disposition::Ack,
        Ok(Some(after)) => Disposition::Retry { after },
        Err(failure) if failure.fault.is_retryable() || failure.fault == Fault::Bug => {
            tracing::warn!(tenant.id = %ctx.tenant(), error = %failure, "people could not be told yet");
            RETRY_LATER
        }
        Err(failure) => {
            tracing::error!(tenant.id = %ctx.tenant(), error = %failure, "people cannot be told");
            Disposition::Ack
        }
    }
}

/// Says everything a message asks for, or how many seconds another writer may still be at one of the comments.
async fn tell(function: &Notify, ctx: &TenantCtx, message: &NotifyMessage) -> Result<Option<u32>, Failure> {
    let (key, version, says) = match message {
        NotifyMessage::Reply { key, to, text } => {
            (key.clone(), 0, vec![Say { kind: format!("reply-{to}"), text: text.clone() }])
        }
        NotifyMessage::Notice { ticket, notice } => {
            let Some(row) = engine::ticket::load(&function.engine, ctx, ticket).await? else {
                return Ok(None);
            };
            let says = render::render(function, ctx, &row.ticket, notice).await?;
            let id = row.ticket.id.clone();
            let named = says.into_iter().map(|say| Say { kind: format!("{id}-{}", say.kind), ..say });
            (row.ticket.key.clone(), row.ticket.version, named.collect())
        }
    };
    let mut wait = None;
    for say in says {
        wait = wait.max(post(function, ctx, &key, version, &say).await?);
    }
    Ok(wait)
}

/// Brings one comment up to date: intent first, then the write, then what came of it.
async fn post(
    function: &Notify,
    ctx: &TenantCtx,
    key: &TrackerKey,
    version: Version,
    say: &Say,
) -> Result<Option<u32>, Failure> {
    let place = Key::of(ctx, &format!("SAID#{key}"), say.kind.clone());
    let before = function.engine.table.get(&place).await?;
    let known: Known =
        before.as_ref().and_then(|item| serde_json::from_value(item.body.clone()).ok()).unwrap_or_default();
    let shows = ContentHash::of(say.text.as_bytes());
    let told = known.shows.as_ref() == Some(&shows) && known.begun.is_none();
    if version < known.version || (told && version == known.version) {
        return Ok(None);
    }
    let now = function.engine.clock.now();
    let until = before.as_ref().and_then(|item| item.lease_until);
    // A lease that seems longer than any was taken before the clock was set back.
    if let Some(until) = until.filter(|until| *until > now && *until <= now + LEASE + SKEW) {
        let rest = u32::try_from(until.duration_since(now).as_secs()).unwrap_or(0) + 1;
        return Ok(Some(rest.min(SOON)));
    }
    let mut item = before.clone().unwrap_or_else(|| Item::new(place, json!(known)));
    let mut when = vec![Condition::NotBefore(until.map_or(now, |until| until.max(now)))];
    match &before {
        Some(seen) => when.push(Condition::VersionIs(seen.version)),
        None => when.push(Condition::NotExists { now }),
    }
    if told {
        // What is read is true again: that is remembered, so that whoever is late with what was true between says nothing.
        item.version += 1;
        item.body = json!(Known { version, ..known });
        return put(function, item, when).await;
    }
    item.version += 1;
    item.fence += 1;
    item.lease_until = Some(now + LEASE);
    item.body = json!(Known { begun: Some(now), ..known.clone() });
    if let Some(wait) = put(function, item.clone(), when).await? {
        return Ok(Some(wait));
    }
    let when = vec![Condition::FenceIs(item.fence)];
    let writing = Writing { function, ctx, key, say, until: now + LEASE };
    let posted = match writing.write(known.id.as_deref(), known.begun).await? {
        Ok(posted) => posted,
        Err(wait) => {
            // Whoever began before may have written it; nobody has since, so that the first one's time stands.
            item.version += 1;
            item.lease_until = None;
            item.body = json!(known);
            put(function, item, when).await?;
            return Ok(Some(wait));
        }
    };
    item.version += 1;
    item.lease_until = None;
    item.body = json!(Known { id: Some(posted.id), shows: Some(shows), version, begun: None });
    put(function, item, when).await
}

/// Writes a comment's row; says how many seconds to wait where somebody else just did.
async fn put(function: &Notify, item: Item, when: Vec<Condition>) -> Result<Option<u32>, Failure> {
    match function.engine.table.transact(vec![Write::Put { item, when }]).await {
        Ok(()) => Ok(None),
        Err(TableError::Condition { .. }) => Ok(Some(1)),
        Err(error) => Err(error.into()),
    }
}

impl Writing<'_> {
    /// Edits the comment that is there, or makes it; a rare double is removed on the way.
    ///
    /// Where somebody began to make it and was not heard of again, a list that shows none proves nothing yet: then this
    /// says how many seconds to wait.
    async fn write(&self, id: Option<&str>, begun: Option<Timestamp>) -> Result<Result<Posted, u32>, Failure> {
        let (tracker, ctx, key) = (&self.function.tracker, self.ctx, self.key);
        let marker = format!("<!-- prfactory:{} -->", self.say.kind);
        let text = format!("{}\n\n{marker}", self.say.text.trim_end());
        if let Some(id) = id.filter(|_| begun.is_none()) {
            self.in_time()?;
            if let Some(posted) = tracker.update(ctx, key, id, &text).await? {
                return Ok(Ok(posted));
            }
        }
        let asked = self.function.engine.clock.now();
        let found = tracker.find(ctx, key, &marker).await?;
        let Some(first) = found.iter().find(|posted| Some(posted.id.as_str()) == id).or(found.first()) else {
            let lag = SignedDuration::try_from(tracker.lag()).unwrap_or(SignedDuration::ZERO);
            let listed = begun.filter(|_| !lag.is_zero()).map(|begun| (begun + lag).duration_since(asked).as_secs());
            let listed = listed.filter(|rest| *rest > 0);
            if let Some(rest) = listed {
                return Ok(Err(u32::try_from(rest).unwrap_or(0) + 1));
            }
            self.in_time()?;
            return tracker.create(ctx, key, &text).await.map(Ok);
        };
        for double in found.iter().filter(|posted| posted.id != first.id) {
            self.in_time()?;
            tracker.delete(ctx, key, &double.id).await?;
        }
        self.in_time()?;
        match tracker.update(ctx, key, &first.id, &text).await? {
            Some(posted) => Ok(Ok(posted)),
            None => Err(Failure::new(Fault::Transient, "a comment was deleted while it was edited")),
        }
    }

    /// Another writer may be at it once the lease is over: what cannot be done before is not begun.
    fn in_time(&self) -> Result<(), Failure> {
        if in_time(self.function.engine.clock.now(), self.until, CALL) {
            return Ok(());
        }
        Err(Failure::new(Fault::Transient, "there was no time left to write a comment"))
    }
}
