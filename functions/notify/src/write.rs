//! Brings one comment up to date: an intent first, then the write, then what came of it.

use std::time::Duration;

use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use engine::key::Key;
use engine::port::{Condition, Item, Place, Posted, TableError, Words, Write};
use engine::tenancy::TenantCtx;
use engine::ticket::{SKEW, in_time};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Notify, Say, Then, Version};

/// Seconds until a comment is looked at again that somebody else is writing; writing one takes far less than its lease.
const SOON: u32 = 2;
/// How long one writer of a comment keeps others out; six times a remote call's timeout.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// Longest a remote call takes.
const CALL: Duration = Duration::from_secs(10);

/// What is remembered of a comment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known {
    id: Option<String>,
    shows: Option<ContentHash>,
    /// The ticket's version that it shows.
    #[serde(default)]
    version: Version,
    /// Whether what goes with it is done, too: folded away, or its thread resolved.
    #[serde(default)]
    settled: bool,
    /// When somebody began to write it of whom nothing was heard since: it may be there without our knowing.
    #[serde(default)]
    begun: Option<Timestamp>,
}

/// A comment that its writer holds.
struct Writing<'a> {
    function: &'a Notify,
    ctx: &'a TenantCtx,
    place: &'a Place,
    say: &'a Say,
    /// Until when nobody else writes it.
    until: Timestamp,
}

/// Brings one comment up to date: intent first, then the write, then what came of it.
pub(crate) async fn post(
    function: &Notify,
    ctx: &TenantCtx,
    place: &Place,
    version: Version,
    say: &Say,
) -> Result<Option<u32>, Failure> {
    let row = Key::of(ctx, &format!("SAID#{place}"), say.kind.clone());
    let before = function.engine.table.get(&row).await?;
    let known: Known =
        before.as_ref().and_then(|item| serde_json::from_value(item.body.clone()).ok()).unwrap_or_default();
    let shows = say.hash();
    let told = known.shows.as_ref() == Some(&shows) && known.begun.is_none();
    let settled = known.settled || say.then.is_none();
    if version < known.version || (told && settled && version == known.version) {
        return Ok(None);
    }
    let now = function.engine.clock.now();
    let until = before.as_ref().and_then(|item| item.lease_until);
    // A lease that seems longer than any was taken before the clock was set back.
    if let Some(until) = until.filter(|until| *until > now && *until <= now + LEASE + SKEW) {
        let rest = u32::try_from(until.duration_since(now).as_secs()).unwrap_or(0) + 1;
        return Ok(Some(rest.min(SOON)));
    }
    let mut item = before.clone().unwrap_or_else(|| Item::new(row, json!(known)));
    let mut when = vec![Condition::NotBefore(until.map_or(now, |until| until.max(now)))];
    match &before {
        Some(seen) => when.push(Condition::VersionIs(seen.version)),
        None => when.push(Condition::NotExists { now }),
    }
    if told && settled {
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
    let writing = Writing { function, ctx, place, say, until: now + LEASE };
    let (after, ended) = match writing.write(known.id.as_deref(), known.begun).await {
        Ok(Ok(posted)) => {
            let settled = writing.settle(&posted.id).await;
            let id = Some(posted.id);
            let after = Known { id, shows: Some(shows), version, settled: settled.is_ok(), begun: None };
            (after, settled.map(|()| None))
        }
        // Whoever began before may have written it; nobody has since, so that the first one's time stands.
        Ok(Err(wait)) => (known, Ok(Some(wait))),
        // What may still be written is waited for; anything else is over, and the next one need not wait.
        Err(failure) if failure.fault.is_open() => return Err(failure),
        Err(failure) => (known, Err(failure)),
    };
    let when = vec![Condition::FenceIs(item.fence)];
    item.version += 1;
    item.lease_until = None;
    item.body = json!(after);
    let raced = put(function, item, when).await;
    Ok(ended?.max(raced?))
}

/// Writes a comment's row; says how many seconds to wait where somebody else just did.
async fn put(function: &Notify, item: Item, when: Vec<Condition>) -> Result<Option<u32>, Failure> {
    match function.engine.table.transact(vec![Write::Put { item, when }]).await {
        Ok(()) => Ok(None),
        Err(TableError::Condition { .. }) => Ok(Some(1)),
        Err(error) => Err(error.into()),
    }
}

/// What is said stands there, whether or not the rest is allowed.
fn forgiven(done: Result<(), Failure>) -> Result<(), Failure> {
    match done {
        Err(failure) if !failure.fault.is_retryable() => {
            tracing::warn!(error = %failure, "what goes with a comment could not be done");
            Ok(())
        }
        done => done,
    }
}

impl Writing<'_> {
    /// Edits the comment that is there, or makes it; a rare double is removed on the way.
    ///
    /// Where somebody began to make it and was not heard of again, a list that shows none proves nothing yet: then this
    /// says how many seconds to wait.
    async fn write(&self, id: Option<&str>, begun: Option<Timestamp>) -> Result<Result<Posted, u32>, Failure> {
        let (tracker, ctx, place) = (&self.function.tracker, self.ctx, self.place);
        let words = Words { marker: &self.say.kind, text: &self.say.text, conclusion: self.say.conclusion };
        if let Some(id) = id.filter(|_| begun.is_none()) {
            self.in_time()?;
            if let Some(posted) = tracker.update(ctx, place, id, &words).await? {
                return Ok(Ok(posted));
            }
        }
        let asked = self.function.engine.clock.now();
        let found = tracker.find(ctx, place, words.marker).await?;
        let Some(first) = found.iter().find(|posted| Some(posted.id.as_str()) == id).or(found.first()) else {
            if let Some(begun) = begun {
                let lag = SignedDuration::try_from(tracker.lag(ctx, place).await?).unwrap_or(SignedDuration::ZERO);
                let unlisted = (begun + lag).duration_since(asked);
                // What seems to have begun later was begun before the clock was set back.
                if !lag.is_zero() && unlisted.is_positive() && unlisted <= lag + SKEW {
                    return Ok(Err(u32::try_from(unlisted.as_secs()).unwrap_or(0) + 1));
                }
            }
            self.in_time()?;
            return tracker.create(ctx, place, &words).await.map(Ok);
        };
        for double in found.iter().filter(|posted| posted.id != first.id) {
            self.in_time()?;
            tracker.delete(ctx, place, &double.id).await?;
        }
        self.in_time()?;
        match tracker.update(ctx, place, &first.id, &words).await? {
            Some(posted) => Ok(Ok(posted)),
            None => Err(Failure::new(Fault::Transient, "a comment was deleted while it was edited")),
        }
    }

    /// Does what goes with the comment; doing it again changes nothing.
    async fn settle(&self, id: &str) -> Result<(), Failure> {
        let tracker = &self.function.tracker;
        match self.say.then {
            None => Ok(()),
            Some(Then::Fold) => forgiven(tracker.fold(self.ctx, self.place, id).await),
            Some(Then::Resolve) => forgiven(tracker.resolve(self.ctx, self.place).await),
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
