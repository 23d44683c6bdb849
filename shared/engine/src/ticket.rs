//! Tickets as rows: loading them, leasing them, listing them.

use std::time::Duration;

use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::id::TicketId;
use domain::name::TrackerKey;
use domain::state::State;
use domain::ticket::Ticket;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::key::{Key, TicketPartition};
use crate::port::{Condition, Index, Item, TableError, Write};
use crate::tenancy::TenantCtx;

/// A ticket with what its row adds: versions, fence and lease.
#[derive(Debug, Clone)]
pub struct TicketRow {
    /// The ticket.
    pub ticket: Ticket,
    /// The row's version.
    pub version: u64,
    /// How often it was leased.
    pub fence: u64,
    /// Until when the present lease holds.
    pub lease_until: Option<Timestamp>,
    /// When sweep looks at it.
    pub due: Option<Timestamp>,
}

/// How long a running ticket may stand without lease or message before sweep sends its turn again.
const STRANDED_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// No lease is longer; one that seems to be was taken before the clock was set back, and holds nobody off.
pub(crate) const LONGEST_LEASE: SignedDuration = SignedDuration::from_mins(6);

impl TicketRow {
    fn from_item(item: Item) -> Result<Self, Failure> {
        let ticket = serde_json::from_value(item.body)
            .map_err(|error| Failure::new(Fault::Bug, format!("a stored ticket cannot be read: {error}")))?;
        Ok(Self { ticket, version: item.version, fence: item.fence, lease_until: item.lease_until, due: item.due })
    }

    /// The row as it will be stored, its version one higher.
    pub fn to_item(&self, ctx: &TenantCtx, now: Timestamp) -> Result<Item, Failure> {
        let body = serde_json::to_value(&self.ticket)
            .map_err(|error| Failure::new(Fault::Bug, format!("a ticket cannot be stored: {error}")))?;
        let running = self.ticket.state.stage().is_some() || matches!(self.ticket.state, State::Cancelling { .. });
        let waits_until = self.lease_until.max(self.ticket.not_before).unwrap_or(now).max(now);
        let stranded = running.then(|| waits_until + STRANDED_AFTER);
        let partition = TicketPartition::of(&self.ticket.id);
        Ok(Item {
            key: Key::ticket(ctx, &partition, "TICKET"),
            version: self.version + 1,
            fence: self.fence,
            lease_until: self.lease_until,
            listing: Some((
                Key::partition_of(ctx, "TICKETS"),
                format!("{}#{}", self.ticket.updated_at, self.ticket.id),
            )),
            due: stranded.or(self.ticket.deadline),
            expires: None,
            body,
        })
    }
}

/// Loads a ticket.
pub async fn load(engine: &Engine, ctx: &TenantCtx, id: &TicketId) -> Result<Option<TicketRow>, Failure> {
    let key = Key::ticket(ctx, &TicketPartition::of(id), "TICKET");
    engine.table.get(&key).await?.map(TicketRow::from_item).transpose()
}

/// What guards a tracker key, and which workflow it leads to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guard {
    /// The workflow, live or ended.
    pub ticket: TicketId,
    /// The guard row's version.
    #[serde(skip)]
    pub version: u64,
}

/// Finds the latest workflow of a tracker key.
pub async fn guard(engine: &Engine, ctx: &TenantCtx, key: &TrackerKey) -> Result<Option<Guard>, Failure> {
    let Some(item) = engine.table.get(&Key::guard(ctx, key)).await? else {
        return Ok(None);
    };
    let mut guard: Guard = serde_json::from_value(item.body)
        .map_err(|error| Failure::new(Fault::Bug, format!("a guard row cannot be read: {error}")))?;
    guard.version = item.version;
    Ok(Some(guard))
}

/// Loads the latest workflow of a tracker key.
pub async fn latest(engine: &Engine, ctx: &TenantCtx, key: &TrackerKey) -> Result<Option<TicketRow>, Failure> {
    match guard(engine, ctx, key).await? {
        Some(guard) => load(engine, ctx, &guard.ticket).await,
        None => Ok(None),
    }
}

/// The write that makes a workflow the latest of its key, in place of the one that was seen before.
pub fn guard_write(ctx: &TenantCtx, key: &TrackerKey, id: &TicketId, seen: Option<&Guard>, now: Timestamp) -> Write {
    let mut item = Item::new(Key::guard(ctx, key), json!({ "ticket": id }));
    let when = match seen {
        Some(guard) => {
            item.version = guard.version + 1;
            vec![Condition::VersionIs(guard.version)]
        }
        None => vec![Condition::NotExists { now }],
    };
    Write::Put { item, when }
}

/// Lists a tenant's tickets, the most recently changed last.
pub async fn list(engine: &Engine, ctx: &TenantCtx) -> Result<Vec<Ticket>, Failure> {
    let all = engine.table.all(Index::Listing, &Key::partition_of(ctx, "TICKETS"), "").await?;
    all.into_iter().map(|item| Ok(TicketRow::from_item(item)?.ticket)).collect()
}

/// Proof of holding a ticket: its run, turn and fence are mine until the lease ends.
#[derive(Debug)]
pub struct Lease {
    /// The ticket as it was when the lease was taken.
    pub ticket: Ticket,
    /// The fence that came with the lease.
    pub fence: u64,
    /// Until when it was given at first, by the holder's clock.
    pub until: Timestamp,
}

/// How far two clocks of ours may be apart.
pub const SKEW: SignedDuration = SignedDuration::from_secs(10);

/// Says whether work that takes so long at most is over before anybody else may hold what is leased until a time.
///
/// A holder that stood still may have lost its lease without knowing; its own clock at least makes it stop.
pub fn in_time(now: Timestamp, until: Timestamp, takes: Duration) -> bool {
    let takes = SignedDuration::try_from(takes).unwrap_or(SignedDuration::MAX);
    until.duration_since(now) >= takes.saturating_add(SKEW)
}

/// What became of the wish to hold a ticket.
#[derive(Debug)]
pub enum Taken {
    /// It is mine.
    Mine(Box<Lease>),
    /// The message is of a past run or turn.
    Past,
    /// Somebody else holds it, for that long.
    Elsewhere {
        /// How long.
        rest: Duration,
    },
}

/// Takes the lease of a ticket if the caller's view of it is still true.
pub async fn take(
    engine: &Engine,
    ctx: &TenantCtx,
    id: &TicketId,
    still: &(dyn Fn(&Ticket) -> bool + Send + Sync),
    duration: Duration,
) -> Result<Taken, Failure> {
    let Some(mut row) = load(engine, ctx, id).await? else {
        return Ok(Taken::Past);
    };
    if !still(&row.ticket) {
        return Ok(Taken::Past);
    }
    let now = engine.clock.now();
    if let Some(until) = row.lease_until.filter(|until| *until > now && *until <= now + LONGEST_LEASE) {
        return Ok(Taken::Elsewhere { rest: Duration::try_from(until.duration_since(now)).unwrap_or_default() });
    }
    let (seen, free_from) = (row.version, row.lease_until.map_or(now, |until| until.max(now)));
    row.fence += 1;
    let until = now + SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO);
    row.lease_until = Some(until);
    let item = row.to_item(ctx, now)?;
    let when = vec![Condition::VersionIs(seen), Condition::NotBefore(free_from)];
    match engine.table.transact(vec![Write::Put { item, when }]).await {
        Ok(()) => Ok(Taken::Mine(Box::new(Lease { ticket: row.ticket, fence: row.fence, until }))),
        Err(TableError::Condition { .. }) => Ok(Taken::Elsewhere { rest: Duration::ZERO }),
        Err(error) => Err(error.into()),
    }
}

/// Holds a lease for longer, never for less; says whether it is still mine.
pub async fn renew(engine: &Engine, ctx: &TenantCtx, lease: &Lease, duration: Duration) -> Result<bool, Failure> {
    for _ in 0..3 {
        let Some(mut row) = load(engine, ctx, &lease.ticket.id).await? else {
            return Ok(false);
        };
        if row.fence != lease.fence || row.ticket.run != lease.ticket.run {
            return Ok(false);
        }
        let now = engine.clock.now();
        let seen = row.version;
        let until = now + SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO);
        row.lease_until = row.lease_until.max(Some(until));
        let item = row.to_item(ctx, now)?;
        let when = vec![Condition::VersionIs(seen), Condition::FenceIs(lease.fence)];
        match engine.table.transact(vec![Write::Put { item, when }]).await {
            Ok(()) => return Ok(true),
            Err(TableError::Condition { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Gives up a lease whose run was taken away, so that whoever comes next need not wait for its end.
pub async fn release(engine: &Engine, ctx: &TenantCtx, lease: &Lease) -> Result<(), Failure> {
    let Some(mut row) = load(engine, ctx, &lease.ticket.id).await? else {
        return Ok(());
    };
    if row.fence != lease.fence {
        return Ok(());
    }
    let seen = row.version;
    row.lease_until = None;
    let item = row.to_item(ctx, engine.clock.now())?;
    let when = vec![Condition::VersionIs(seen), Condition::FenceIs(lease.fence)];
    match engine.table.transact(vec![Write::Put { item, when }]).await {
        Ok(()) | Err(TableError::Condition { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Keeps sweep from sending the turn of a running ticket again while its message waits for a slot.
pub(crate) async fn awaits(engine: &Engine, ctx: &TenantCtx, row: &TicketRow) -> Result<(), Failure> {
    let soon = engine.clock.now() + STRANDED_AFTER / 2;
    if row.due.is_some_and(|due| due <= soon) { postpone(engine, ctx, row).await } else { Ok(()) }
}

/// Writes a ticket's row again so that sweep looks at it later, unless somebody else just wrote it.
pub async fn postpone(engine: &Engine, ctx: &TenantCtx, row: &TicketRow) -> Result<(), Failure> {
    let item = row.to_item(ctx, engine.clock.now())?;
    let when = vec![Condition::VersionIs(row.version)];
    match engine.table.transact(vec![Write::Put { item, when }]).await {
        Ok(()) | Err(TableError::Condition { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
