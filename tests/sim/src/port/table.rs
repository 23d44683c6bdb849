//! One table in memory, shaped and failing like DynamoDB; its indexes lag.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::Timestamp;
use engine::key::Key;
use engine::port::{Condition, Index, Item, Page, Table, TableError, Write};
use engine::tenancy::SystemCtx;
use serde_json::{Map, Value, json};

use crate::clockwork::{Clockwork, Micros, Op, SECOND};
use crate::fault::Harm;
use crate::port::held;
use crate::watch::Watch;

/// Most writes of one transaction.
const MAX_WRITES: usize = 100;
/// Most bytes of one row's body.
const MAX_BODY: usize = 400 * 1024;

/// What an index shows of a row: the old until a time, then the new.
#[derive(Clone)]
struct Shown<T> {
    old: Option<T>,
    from: Micros,
    new: Option<T>,
}

impl<T: Clone> Shown<T> {
    fn at(&self, now: Micros) -> Option<&T> {
        if now >= self.from { self.new.as_ref() } else { self.old.as_ref() }
    }
}

#[derive(Default)]
struct Rows {
    kept: BTreeMap<Key, Arc<Item>>,
    due: BTreeMap<Key, Shown<Timestamp>>,
    listing: BTreeMap<Key, Shown<Arc<Item>>>,
}

/// The table of one run.
pub struct SimTable {
    clockwork: Clockwork,
    watch: Arc<Watch>,
    state: Mutex<Rows>,
}

impl SimTable {
    /// An empty table.
    pub fn new(clockwork: Clockwork, watch: Arc<Watch>) -> Self {
        Self { clockwork, watch, state: Mutex::default() }
    }

    /// Looks at a row without being one of the functions.
    pub fn peek(&self, key: &Key) -> Option<Item> {
        held(&self.state).kept.get(key).map(|item| item.as_ref().clone())
    }

    /// Looks at every row that fits.
    pub fn all(&self, fits: impl Fn(&Key) -> bool) -> Vec<Item> {
        held(&self.state).kept.iter().filter(|(key, _)| fits(key)).map(|(_, item)| Item::clone(item)).collect()
    }

    /// Says whether any row fits.
    pub fn any(&self, fits: impl Fn(&Key) -> bool) -> bool {
        held(&self.state).kept.keys().any(fits)
    }

    /// When sweep has something to do next, by the index as it will be.
    pub fn next_due(&self) -> Option<Micros> {
        let rows = held(&self.state);
        rows.due.values().filter_map(|shown| shown.new).map(domain::Timestamp::as_microsecond).min()
    }

    /// Says whether the due index already shows all that is due at a time.
    pub fn lagging(&self) -> bool {
        let now = self.clockwork.now();
        held(&self.state).due.values().any(|shown| shown.from > now)
    }

    fn transact_now(&self, writes: Vec<Write>) -> Result<(), TableError> {
        let mut rows = held(&self.state);
        for (at, write) in writes.iter().enumerate() {
            if !holds(&rows.kept, write) {
                return Err(TableError::Condition { write: at });
            }
        }
        let now = self.clockwork.now();
        for write in writes {
            let key = key_of(&write).clone();
            let before = match &write {
                Write::Check { .. } => continue,
                Write::Put { .. } | Write::Add { .. } | Write::Delete { .. } => rows.kept.remove(&key),
            };
            let after = match write {
                Write::Put { item, .. } => Some(Arc::new(item)),
                Write::Add { field, amount, .. } => Some(Arc::new(added(before.as_deref(), &key, field, amount))),
                Write::Delete { .. } | Write::Check { .. } => None,
            };
            self.watch.wrote(&key, before.as_deref(), after.as_deref());
            let lag = if self.clockwork.wild() && self.clockwork.chance(50) {
                self.clockwork.between(0, 5 * SECOND)
            } else {
                0
            };
            let (old, new) = (before.as_ref().and_then(|item| item.due), after.as_ref().and_then(|item| item.due));
            if old != new {
                let old = rows.due.get(&key).and_then(|shown| shown.at(now)).copied();
                rows.due.insert(key.clone(), Shown { old, from: now + lag, new });
            }
            let listed = |item: &Arc<Item>| item.listing.is_some();
            if before.as_ref().is_some_and(listed) || after.as_ref().is_some_and(listed) {
                let old = rows.listing.get(&key).and_then(|shown| shown.at(now)).cloned();
                let new = after.clone().filter(listed);
                rows.listing.insert(key.clone(), Shown { old, from: now + lag, new });
            }
            if let Some(item) = after {
                rows.kept.insert(key, item);
            }
        }
        Ok(())
    }
}

fn key_of(write: &Write) -> &Key {
    match write {
        Write::Put { item, .. } => &item.key,
        Write::Add { key, .. } | Write::Delete { key, .. } | Write::Check { key, .. } => key,
    }
}

fn number(item: Option<&Item>, field: &str) -> i64 {
    item.and_then(|item| item.body.get(field)?.as_i64()).unwrap_or(0)
}

fn added(before: Option<&Item>, key: &Key, field: &str, amount: i64) -> Item {
    let sum = number(before, field) + amount;
    let mut item = before.cloned().unwrap_or_else(|| Item::new(key.clone(), Value::Object(Map::new())));
    if let Some(body) = item.body.as_object_mut() {
        body.insert(field.to_owned(), json!(sum));
    }
    item
}

fn holds(rows: &BTreeMap<Key, Arc<Item>>, write: &Write) -> bool {
    let (key, when) = match write {
        Write::Put { item, when } => (&item.key, when.as_slice()),
        Write::Delete { key, when } | Write::Check { key, when } => (key, when.as_slice()),
        Write::Add { key, field, amount, at_most } => {
            return at_most.is_none_or(|most| number(rows.get(key).map(Arc::as_ref), field) + amount <= most);
        }
    };
    let row = rows.get(key);
    when.iter().all(|condition| match condition {
        Condition::NotExists { now } => row.is_none_or(|row| row.expires.is_some_and(|expires| expires <= *now)),
        Condition::VersionIs(version) => row.is_some_and(|row| row.version == *version),
        Condition::FenceIs(fence) => row.is_some_and(|row| row.fence == *fence),
        Condition::NotBefore(time) => row.is_none_or(|row| row.lease_until.is_none_or(|until| until <= *time)),
    })
}

fn check_shape(writes: &[Write]) -> Result<(), TableError> {
    if writes.is_empty() || writes.len() > MAX_WRITES {
        return Err(TableError::Invalid(format!("{} writes", writes.len())));
    }
    let mut keys = BTreeSet::new();
    for write in writes {
        if !keys.insert(key_of(write)) {
            return Err(TableError::Invalid(format!("two writes to {:?}", key_of(write))));
        }
        if let Write::Put { item, .. } = write
            && item.body.as_object().is_some_and(|body| body.len() > 8)
            && item.body.to_string().len() > MAX_BODY
        {
            return Err(TableError::Invalid("a row is too large".to_owned()));
        }
    }
    Ok(())
}

fn trouble(harm: Harm) -> TableError {
    match harm {
        Harm::Busy | Harm::Unavailable => TableError::Throttled,
        Harm::Error | Harm::LostBefore | Harm::LostAfter | Harm::None | Harm::Crash | Harm::CrashAfter => {
            TableError::Unknown
        }
    }
}

#[async_trait]
impl Table for SimTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        self.watch.touches(key);
        self.clockwork.call(Op::read("table.get"), || self.peek(key)).await.map_err(trouble)
    }

    async fn query(
        &self,
        index: Index,
        partition: &str,
        prefix: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page, TableError> {
        let find = || {
            let now = self.clockwork.now();
            let rows = held(&self.state);
            let mut found: Vec<(String, Arc<Item>)> = match index {
                Index::Primary => {
                    let from = Key::stored(partition.to_owned(), prefix.to_owned());
                    let keys = rows.kept.range(from..).take_while(|(key, _)| key.partition() == partition);
                    keys.map(|(key, item)| (key.sort().to_owned(), item.clone())).collect()
                }
                Index::Listing => {
                    let shown = rows.listing.values().filter_map(|shown| shown.at(now));
                    let of = |item: &Arc<Item>| item.listing.clone().filter(|(listed, _)| listed == partition);
                    shown.filter_map(|item| of(item).map(|(_, sort)| (sort, item.clone()))).collect()
                }
            };
            found.retain(|(sort, _)| sort.starts_with(prefix) && cursor.is_none_or(|cursor| sort.as_str() > cursor));
            found.sort_by(|a, b| a.0.cmp(&b.0));
            let more = found.len() >= limit;
            found.truncate(limit);
            let cursor = found.last().map(|(sort, _)| sort.clone()).filter(|_| more);
            Page { items: found.into_iter().map(|(_, item)| Item::clone(&item)).collect(), cursor }
        };
        self.clockwork.call(Op::read("table.query"), find).await.map_err(trouble)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        check_shape(&writes)?;
        for write in &writes {
            self.watch.touches(key_of(write));
        }
        let name =
            if writes.iter().any(|write| key_of(write).sort() == "TICKET") { "table.ticket" } else { "table.transact" };
        match self.clockwork.call(Op::write(name), || self.transact_now(writes)).await {
            Ok(done) => done,
            Err(harm) => Err(trouble(harm)),
        }
    }

    async fn due(&self, _proof: &SystemCtx, until: Timestamp, limit: usize) -> Result<Vec<Key>, TableError> {
        let find = || {
            let now = self.clockwork.now();
            let rows = held(&self.state);
            let mut due: Vec<(Timestamp, Key)> = rows
                .due
                .iter()
                .filter_map(|(key, shown)| shown.at(now).map(|due| (*due, key.clone())))
                .filter(|(due, _)| *due <= until)
                .collect();
            due.sort();
            due.truncate(limit);
            due.into_iter().map(|(_, key)| key).collect()
        };
        self.clockwork.call(Op::read("table.due"), find).await.map_err(trouble)
    }
}
