//! Engines that are known to be wrong, each made of the right one by a wrapper that only the simulation has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::error::Failure;
use domain::ticket::Ticket;
use engine::key::Key;
use engine::message::{DeliveryMessage, INTAKE};
use engine::port::{Condition, Index, Item, Page, Place, Posted, Table, TableError, Tracker, Words, Write};
use engine::tenancy::{SystemCtx, TenantCtx};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::clockwork::{Clockwork, TaskId};
use crate::port::{SimTable, SimTracker, held};
use crate::world::World;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A message is acknowledged before it is handled.
    AcksFirst,
    /// Who lost the fence, or met another holder, acknowledges the message all the same.
    AcksWhatItLost,
    /// The ledger row is written before, and apart from, what it stands for.
    DedupesFirst,
    /// A fence is never compared: whoever once took a lease believes to hold it.
    NoFence,
    /// The ledger forgets commands after an hour.
    ForgetsCommands,
    /// Whatever hash a person approves counts for what waits now.
    ApprovesAnything,
    /// A pull request is created without looking whether there is one.
    OpensWithoutLooking,
    /// Comments of ours are never found again by their marker.
    IgnoresMarkers,
    /// A call's cost is booked when it is over, and nothing is reserved before.
    SettlesAfterwards,
    /// The intent of a write is not committed before the write.
    IntendsAfterwards,
    /// Who is no longer in review is still found there.
    ForgetsToClose,
}

impl Mutant {
    /// Every one of them.
    pub const ALL: [Self; 11] = [
        Self::AcksFirst,
        Self::AcksWhatItLost,
        Self::DedupesFirst,
        Self::NoFence,
        Self::ForgetsCommands,
        Self::ApprovesAnything,
        Self::OpensWithoutLooking,
        Self::IgnoresMarkers,
        Self::SettlesAfterwards,
        Self::IntendsAfterwards,
        Self::ForgetsToClose,
    ];

    /// The name people give on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcksFirst => "ack-first",
            Self::AcksWhatItLost => "ack-after-losing-the-fence",
            Self::DedupesFirst => "dedupe-row-then-enqueue",
            Self::NoFence => "no-fence",
            Self::ForgetsCommands => "expiring-ledger",
            Self::ApprovesAnything => "approve-without-hash",
            Self::OpensWithoutLooking => "create-pr-without-look-up",
            Self::IgnoresMarkers => "no-marker-check",
            Self::SettlesAfterwards => "budget-settled-after-the-call",
            Self::IntendsAfterwards => "checkpoint-after-the-effect",
            Self::ForgetsToClose => "open-for-ever",
        }
    }

    /// The mutant of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| mutant.name() == name)
    }

    /// The table as this engine uses it.
    pub(crate) fn table(self, table: Arc<SimTable>, clockwork: &Clockwork) -> Arc<dyn Table> {
        let taken = Mutex::default();
        Arc::new(WrongTable { inner: table, mutant: self, clockwork: clockwork.clone(), taken })
    }

    /// The tracker as this engine uses it.
    pub(crate) fn tracker(self, tracker: Arc<SimTracker>) -> Arc<dyn Tracker> {
        if self == Self::IgnoresMarkers { Arc::new(Blind(tracker)) } else { tracker }
    }

    /// A message as this engine reads it.
    pub(crate) fn body(self, world: &World, queue: &str, body: String) -> String {
        if self != Self::ApprovesAnything || queue != INTAKE {
            return body;
        }
        approved(world, &body).unwrap_or(body)
    }
}

/// Puts what waits now in place of whatever a person approved.
fn approved(world: &World, body: &str) -> Option<String> {
    let opened = world.sealer.open::<DeliveryMessage>(INTAKE, body).ok()?;
    let mut delivery = opened.body;
    let mut event: Value = serde_json::from_slice(&webhooks::unpack(&delivery.body).ok()?).ok()?;
    let text = event.get("comment")?.get("body")?.as_str()?.to_owned();
    let said = text.strip_prefix("@prfactory approve ")?;
    let issue = event.get("issue")?;
    let named = issue.get("key").and_then(Value::as_str).map(str::to_owned);
    let number = issue.get("number").and_then(Value::as_u64);
    let key = named.or_else(|| number.map(|number| format!("{}#{number}", crate::scene::REPO)))?;
    let waits = |ticket: &Ticket| ticket.key.as_str() == key && ticket.awaiting().is_some();
    let ticket = world.watch.tickets().into_iter().rev().find(waits)?;
    let hash = ticket.awaiting()?.hash.short().to_owned();
    if said.starts_with(&hash) {
        return None;
    }
    *event.get_mut("comment")?.get_mut("body")? = json!(format!("@prfactory approve {hash}"));
    delivery.body = webhooks::pack(event.to_string().as_bytes()).ok()?;
    world.sealer.seal(INTAKE, None, &delivery).ok()
}

struct WrongTable {
    inner: Arc<SimTable>,
    mutant: Mutant,
    clockwork: Clockwork,
    /// The fence each task took, which is all it ever compares.
    taken: Mutex<BTreeMap<(TaskId, Key), u64>>,
}

fn is_ticket(key: &Key) -> bool {
    key.sort() == "TICKET" && key.partition().contains("#TICKET#")
}

fn row(write: &mut Write) -> Option<&mut Item> {
    match write {
        Write::Put { item, .. } => Some(item),
        Write::Add { .. } | Write::Delete { .. } | Write::Check { .. } => None,
    }
}

impl WrongTable {
    /// Writes the ledger's row, and what it stands for afterwards.
    async fn dedupes_first(&self, writes: Vec<Write>) -> Result<(), TableError> {
        let ledger = |write: &Write| match write {
            Write::Put { item, .. } => item.key.partition().contains("#SEEN#BODY#"),
            Write::Add { .. } | Write::Delete { .. } | Write::Check { .. } => false,
        };
        let (rows, rest): (Vec<Write>, Vec<Write>) = writes.into_iter().partition(ledger);
        if rows.is_empty() || rest.is_empty() {
            return self.inner.transact(if rows.is_empty() { rest } else { rows }).await;
        }
        let last = rest.len();
        if let Err(error) = self.inner.transact(rows).await {
            let seen = matches!(error, TableError::Condition { .. });
            return Err(if seen { TableError::Condition { write: last } } else { error });
        }
        self.inner.transact(rest).await
    }

    fn compares_no_fence(&self, writes: &mut [Write]) {
        for write in writes {
            if let Write::Put { item, when } = write
                && is_ticket(&item.key)
            {
                let stored = self.inner.peek(&item.key).map_or(0, |item| item.fence);
                let takes = when.iter().any(|c| matches!(c, Condition::NotBefore(_)));
                item.fence = if takes { stored + 1 } else { stored };
                when.retain(|c| !matches!(c, Condition::FenceIs(_)));
                if takes {
                    held(&self.taken).insert((self.clockwork.current(), item.key.clone()), stored + 1);
                }
            }
        }
    }

    fn forgets_commands(&self, writes: &mut [Write]) {
        let later = self.clockwork.at() + SignedDuration::from_hours(1);
        for item in writes.iter_mut().filter_map(row).filter(|item| item.key.partition().contains("#SEEN#CMD#")) {
            item.expires = Some(later);
        }
    }

    fn reserves_nothing(writes: &mut [Write]) {
        let reserves = |write: &mut Write| row(write).is_some_and(|item| item.key.sort().starts_with("RESERVATION#"));
        if !writes.iter_mut().any(reserves) {
            return;
        }
        for write in writes {
            match write {
                Write::Put { item, .. } => item.body["micros"] = json!(0),
                Write::Add { amount, .. } => *amount = 0,
                Write::Delete { .. } | Write::Check { .. } => {}
            }
        }
    }

    fn closes_nothing(writes: &mut [Write]) {
        for write in writes {
            if let Write::Delete { key, .. } = write
                && key.partition().contains("#OPEN#")
            {
                *write = Write::Check { key: key.clone(), when: Vec::new() };
            }
        }
    }

    fn intends_nothing(&self, writes: &mut [Write]) {
        if self.clockwork.who().name != "publish" {
            return;
        }
        let intends = |item: &&mut Item| {
            is_ticket(&item.key)
                && !item.body["intent"].is_null()
                && item.body["state"]["state"] == "publishing"
                && item.lease_until.is_some()
        };
        for item in writes.iter_mut().filter_map(row).filter(intends) {
            item.body["intent"] = Value::Null;
        }
    }
}

#[async_trait]
impl Table for WrongTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let mut item = self.inner.get(key).await?;
        let mine = held(&self.taken).get(&(self.clockwork.current(), key.clone())).copied();
        if let (Some(item), Some(fence)) = (&mut item, mine) {
            item.fence = fence;
        }
        Ok(item)
    }

    async fn query(
        &self,
        index: Index,
        partition: &str,
        prefix: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page, TableError> {
        self.inner.query(index, partition, prefix, limit, cursor).await
    }

    async fn transact(&self, mut writes: Vec<Write>) -> Result<(), TableError> {
        match self.mutant {
            Mutant::DedupesFirst => return self.dedupes_first(writes).await,
            Mutant::NoFence => self.compares_no_fence(&mut writes),
            Mutant::ForgetsCommands => self.forgets_commands(&mut writes),
            Mutant::SettlesAfterwards => Self::reserves_nothing(&mut writes),
            Mutant::IntendsAfterwards => self.intends_nothing(&mut writes),
            Mutant::ForgetsToClose => Self::closes_nothing(&mut writes),
            Mutant::AcksFirst
            | Mutant::AcksWhatItLost
            | Mutant::ApprovesAnything
            | Mutant::OpensWithoutLooking
            | Mutant::IgnoresMarkers => {}
        }
        self.inner.transact(writes).await
    }

    async fn due(&self, proof: &SystemCtx, until: Timestamp, limit: usize) -> Result<Vec<Key>, TableError> {
        self.inner.due(proof, until, limit).await
    }
}

/// A tracker that finds nothing.
struct Blind(Arc<SimTracker>);

#[async_trait]
impl Tracker for Blind {
    async fn lag(&self, ctx: &TenantCtx, place: &Place) -> Result<Duration, Failure> {
        self.0.lag(ctx, place).await
    }

    async fn find(&self, _ctx: &TenantCtx, _place: &Place, _marker: &str) -> Result<Vec<Posted>, Failure> {
        Ok(Vec::new())
    }

    async fn create(&self, ctx: &TenantCtx, place: &Place, words: &Words<'_>) -> Result<Posted, Failure> {
        self.0.create(ctx, place, words).await
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        place: &Place,
        id: &str,
        words: &Words<'_>,
    ) -> Result<Option<Posted>, Failure> {
        self.0.update(ctx, place, id, words).await
    }

    async fn delete(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        self.0.delete(ctx, place, id).await
    }
}
