//! State: one table shaped like DynamoDB.

use async_trait::async_trait;
use domain::Timestamp;
use domain::error::{Failure, Fault};
use serde_json::Value;
use thiserror::Error;

use crate::key::Key;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it is.
    pub key: Key,
    /// What [`Condition::VersionIs`] compares; grows with every write.
    pub version: u64,
    /// What [`Condition::FenceIs`] compares; grows with every lease.
    pub fence: u64,
    /// Until when a lease on the row holds; what [`Condition::NotBefore`] compares.
    pub lease_until: Option<Timestamp>,
    /// Partition and sort key in the `listing` index.
    pub listing: Option<(String, String)>,
    /// When sweep should look at the row; puts it into the `due` index.
    pub due: Option<Timestamp>,
    /// When the row may be dropped. Readers compare the time themselves.
    pub expires: Option<Timestamp>,
    /// The row's content, at most 400 KB as JSON.
    pub body: Value,
}

impl Item {
    /// A first version of a row without lease, index entries or expiry.
    pub fn new(key: Key, body: Value) -> Self {
        Self { key, version: 1, fence: 0, lease_until: None, listing: None, due: None, expires: None, body }
    }
}

/// What must hold for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// There is no such row, or it has expired at the given time.
    NotExists {
        /// Now.
        now: Timestamp,
    },
    /// The row's version is this.
    VersionIs(u64),
    /// The row's fence is this.
    FenceIs(u64),
    /// The row has no lease that lasts beyond this time.
    NotBefore(Timestamp),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Puts a row in place of whatever is there.
    Put {
        /// The row.
        item: Item,
        /// What must hold.
        when: Vec<Condition>,
    },
    /// Adds to a number in a row's body, making row and number where absent.
    Add {
        /// The row.
        key: Key,
        /// The number's name.
        field: &'static str,
        /// What is added; may be negative.
        amount: i64,
        /// The sum may not exceed this, where given.
        at_most: Option<i64>,
    },
    /// Removes a row.
    Delete {
        /// The row.
        key: Key,
        /// What must hold.
        when: Vec<Condition>,
    },
    /// Changes nothing.
    Check {
        /// The row.
        key: Key,
        /// What must hold.
        when: Vec<Condition>,
    },
}

/// The indexes; both are hints that may lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// The table itself: rows of one partition by sort key.
    Primary,
    /// Rows of one listing partition by listing sort key.
    Listing,
}

/// One page of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The rows, in sort order.
    pub items: Vec<Item>,
    /// Where the next page starts; absent on the last one.
    pub cursor: Option<String>,
}

/// Why the table did not do something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableError {
    /// A condition did not hold: load again and decide again. Counts writes from 0.
    #[error("condition of write {write} did not hold")]
    Condition {
        /// The first write whose condition failed.
        write: usize,
    },
    /// Too many requests: wait and try again.
    #[error("the table is busy")]
    Throttled,
    /// It may or may not have happened: read back.
    #[error("the outcome of a write is not known")]
    Unknown,
    /// The request can never work.
    #[error("the table refused: {0}")]
    Invalid(String),
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        let fault = match &error {
            TableError::Condition { .. } => Fault::Conflict,
            TableError::Throttled => Fault::Transient,
            TableError::Unknown => Fault::Unknown,
            TableError::Invalid(_) => Fault::Bug,
        };
        Self::new(fault, error.to_string())
    }
}

/// Where state is kept.
#[async_trait]
pub trait Table: Send + Sync {
    /// Loads one row, strongly consistent.
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError>;

    /// Loads rows of one partition whose sort key starts with a prefix, at most `limit` a page.
    async fn query(
        &self,
        index: Index,
        partition: &str,
        prefix: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page, TableError>;

    /// Loads all rows of one partition whose sort key starts with a prefix, page by page.
    async fn all(&self, index: Index, partition: &str, prefix: &str) -> Result<Vec<Item>, TableError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.query(index, partition, prefix, 100, cursor.as_deref()).await?;
            all.extend(page.items);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Carries out 1 to 100 writes, all or none.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError>;

    /// Keys of rows due until a time, earliest first. Only sweep has what it takes to ask.
    async fn due(
        &self,
        proof: &crate::tenancy::SystemCtx,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, TableError>;
}
