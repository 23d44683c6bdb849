//! The table on SQLite: conditions first, then writes, in one transaction.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::Timestamp;
use engine::key::Key;
use engine::port::{Condition, Index, Item, Page, Table, TableError, Write};
use engine::tenancy::SystemCtx;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Value, json};

use crate::db::{Db, DbError};

/// The table of one machine.
#[derive(Debug, Clone)]
pub struct SqliteTable {
    db: Db,
}

/// Most writes of one transaction, as DynamoDB has it.
const MAX_WRITES: usize = 100;
/// Most bytes of one row's body, as DynamoDB has it.
const MAX_BODY: usize = 400 * 1024;

impl SqliteTable {
    /// Uses a state file.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

fn failed(error: &DbError) -> TableError {
    match error {
        DbError::Closed => TableError::Unknown,
        // Busy, full or failing: nothing was written, and the same request may work later.
        DbError::Sqlite(_) | DbError::Folder { .. } => TableError::Throttled,
    }
}

const COLUMNS: &str = "pk, sk, version, fence, lease_until, listing_pk, listing_sk, due, expires, body";

#[async_trait]
impl Table for SqliteTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let key = key.clone();
        self.db.read(move |connection| load(connection, &key)).await.map_err(|error| failed(&error))
    }

    async fn query(
        &self,
        index: Index,
        partition: &str,
        prefix: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page, TableError> {
        let (pk, sk) = match index {
            Index::Primary => ("pk", "sk"),
            Index::Listing => ("listing_pk", "listing_sk"),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM item WHERE {pk} = ?1 AND {sk} >= ?2 AND {sk} > ?3 AND {sk} < ?4 ORDER BY {sk} LIMIT ?5"
        );
        let (partition, from) = (partition.to_owned(), prefix.to_owned());
        let after = cursor.unwrap_or("").to_owned();
        let until = format!("{prefix}\u{10ffff}");
        let rows = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
        let items = self
            .db
            .read(move |connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                let found = statement.query_map(params![partition, from, after, until, rows], item_of)?;
                found.collect::<rusqlite::Result<Vec<Item>>>()
            })
            .await
            .map_err(|error| failed(&error))?;
        let full = items.len() >= limit;
        let last = items.last().map(|item| match index {
            Index::Primary => item.key.sort().to_owned(),
            Index::Listing => item.listing.as_ref().map(|(_, sort)| sort.clone()).unwrap_or_default(),
        });
        Ok(Page { items, cursor: last.filter(|_| full) })
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        check_shape(&writes)?;
        self.db
            .write(move |connection| {
                let mut sums = Vec::new();
                for (at, write) in writes.iter().enumerate() {
                    match holds(connection, write)? {
                        Some(sum) => sums.push(sum),
                        None => return Ok(Err(TableError::Condition { write: at })),
                    }
                }
                for (write, sum) in writes.iter().zip(sums) {
                    carry_out(connection, write, sum)?;
                }
                Ok(Ok(()))
            })
            .await
            .map_err(|error| failed(&error))?
    }

    async fn due(&self, _proof: &SystemCtx, until: Timestamp, limit: usize) -> Result<Vec<Key>, TableError> {
        let (until, limit) = (until.as_microsecond(), i64::try_from(limit).unwrap_or(i64::MAX));
        self.db
            .read(move |connection| {
                let sql = "SELECT pk, sk FROM item WHERE due IS NOT NULL AND due <= ?1 ORDER BY due LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let keys =
                    statement.query_map(params![until, limit], |row| Ok(Key::stored(row.get(0)?, row.get(1)?)))?;
                keys.collect()
            })
            .await
            .map_err(|error| failed(&error))
    }
}

fn check_shape(writes: &[Write]) -> Result<(), TableError> {
    if writes.is_empty() || writes.len() > MAX_WRITES {
        return Err(TableError::Invalid(format!("{} writes; a transaction has 1 to {MAX_WRITES}", writes.len())));
    }
    let mut keys = BTreeSet::new();
    for write in writes {
        let key = key_of(write);
        if !keys.insert(key) {
            return Err(TableError::Invalid(format!("two writes to {} {}", key.partition(), key.sort())));
        }
        if let Write::Put { item, .. } = write
            && item.body.to_string().len() > MAX_BODY
        {
            return Err(TableError::Invalid(format!("{} is larger than {MAX_BODY} bytes", key.sort())));
        }
    }
    Ok(())
}

fn key_of(write: &Write) -> &Key {
    match write {
        Write::Put { item, .. } => &item.key,
        Write::Add { key, .. } | Write::Delete { key, .. } | Write::Check { key, .. } => key,
    }
}

/// Says whether a write's conditions hold; for a sum, what it will be.
fn holds(connection: &Connection, write: &Write) -> rusqlite::Result<Option<i64>> {
    match write {
        Write::Put { item, when } => conditions(connection, &item.key, when),
        Write::Delete { key, when } | Write::Check { key, when } => conditions(connection, key, when),
        Write::Add { key, field, amount, at_most } => {
            let before = load(connection, key)?.and_then(|item| item.body.get(*field).and_then(Value::as_i64));
            let sum = before.unwrap_or(0).saturating_add(*amount);
            Ok(at_most.is_none_or(|limit| sum <= limit).then_some(sum))
        }
    }
}

fn conditions(connection: &Connection, key: &Key, when: &[Condition]) -> rusqlite::Result<Option<i64>> {
    if when.is_empty() {
        return Ok(Some(0));
    }
    let row = load(connection, key)?;
    let all = when.iter().all(|condition| match (condition, &row) {
        (Condition::NotExists { now }, Some(item)) => item.expires.is_some_and(|at| at <= *now),
        (Condition::NotExists { .. } | Condition::NotBefore(_), None) => true,
        (Condition::VersionIs(n), Some(item)) => item.version == *n,
        (Condition::FenceIs(n), Some(item)) => item.fence == *n,
        (Condition::NotBefore(t), Some(item)) => item.lease_until.is_none_or(|until| until <= *t),
        (Condition::VersionIs(_) | Condition::FenceIs(_), None) => false,
    });
    Ok(all.then_some(0))
}

fn carry_out(connection: &Connection, write: &Write, sum: i64) -> rusqlite::Result<()> {
    match write {
        Write::Put { item, .. } => store(connection, item),
        Write::Delete { key, .. } => {
            let mut statement = connection.prepare_cached("DELETE FROM item WHERE pk = ?1 AND sk = ?2")?;
            statement.execute(params![key.partition(), key.sort()]).map(|_| ())
        }
        Write::Check { .. } => Ok(()),
        Write::Add { key, field, .. } => {
            let mut item = load(connection, key)?.unwrap_or_else(|| Item::new(key.clone(), json!({})));
            if let Value::Object(body) = &mut item.body {
                body.insert((*field).to_owned(), json!(sum));
            }
            item.version += 1;
            store(connection, &item)
        }
    }
}

fn store(connection: &Connection, item: &Item) -> rusqlite::Result<()> {
    let sql = format!("INSERT OR REPLACE INTO item ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    let mut statement = connection.prepare_cached(&sql)?;
    let listing = item.listing.as_ref();
    statement.execute(params![
        item.key.partition(),
        item.key.sort(),
        item.version.cast_signed(),
        item.fence.cast_signed(),
        item.lease_until.map(Timestamp::as_microsecond),
        listing.map(|(pk, _)| pk),
        listing.map(|(_, sk)| sk),
        item.due.map(Timestamp::as_microsecond),
        item.expires.map(Timestamp::as_microsecond),
        item.body.to_string(),
    ])?;
    Ok(())
}

fn load(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Item>> {
    let sql = format!("SELECT {COLUMNS} FROM item WHERE pk = ?1 AND sk = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row(params![key.partition(), key.sort()], item_of).optional()
}

fn item_of(row: &Row<'_>) -> rusqlite::Result<Item> {
    let time = |at: Option<i64>| at.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let listing: (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
    let body: String = row.get(9)?;
    let body = serde_json::from_str(&body)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(9, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Item {
        key: Key::stored(row.get(0)?, row.get(1)?),
        version: row.get::<_, i64>(2)?.cast_unsigned(),
        fence: row.get::<_, i64>(3)?.cast_unsigned(),
        lease_until: time(row.get(4)?),
        listing: listing.0.zip(listing.1),
        due: time(row.get(7)?),
        expires: time(row.get(8)?),
        body,
    })
}
