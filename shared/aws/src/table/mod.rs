//! The table on DynamoDB: one write alone, several as one transaction, each under a tenant's own identity.

mod expression;
mod item;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, KeysAndAttributes};
use aws_smithy_async::rt::sleep::{AsyncSleep as _, TokioSleep};
use backon::{BackoffBuilder as _, ExponentialBuilder, Retryable as _};
use domain::Timestamp;
use domain::id::TenantId;
use engine::key::Key;
use engine::port::{Index, Item, Page, Table, TableError, Write};
use engine::tenancy::SystemCtx;

use crate::access::Access;
use crate::refused::Refused;
use crate::session::TenantSessions;
use expression::{ADDS, addition, conditions, key_of, transacted};
use item::Attributes;

/// The table of one stack.
#[derive(Clone)]
pub struct DynamoTable {
    name: String,
    base: Client,
    sessions: Option<TenantSessions>,
    clients: Arc<Mutex<HashMap<TenantId, Client>>>,
}

/// Most writes of one transaction.
const MAX_WRITES: usize = 100;
/// Most rows of one batch of readings.
const MAX_READS: usize = 100;

/// How what is known not to have happened, or is known to happen once, is tried again: in all under half a second.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_millis(200))
        .with_max_times(4)
        .with_jitter()
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    /// Another transaction was at the same row: the same write may pass in a moment.
    Contended,
    /// Anything else.
    Failed(TableError),
}

impl From<Outcome> for TableError {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Contended => Self::Throttled,
            Outcome::Failed(error) => error,
        }
    }
}

impl From<TableError> for Outcome {
    fn from(error: TableError) -> Self {
        Self::Failed(error)
    }
}

/// A failure to read: nothing was changed, so that nothing is unknown.
fn unread(refused: Refused) -> TableError {
    match refused {
        Refused::Throttled | Refused::Unidentified | Refused::Unknown(_) => TableError::Throttled,
        Refused::NotSent => TableError::Invalid("the request cannot be made".to_owned()),
        Refused::Answered(name) => TableError::Invalid(name),
    }
}

fn unwritten(refused: Refused) -> Outcome {
    match refused {
        Refused::Answered(name) => match name.as_str() {
            "ConditionalCheckFailedException" => Outcome::Failed(TableError::Condition { write: 0 }),
            "TransactionConflictException" | "TransactionInProgressException" => Outcome::Contended,
            _ => Outcome::Failed(TableError::Invalid(name)),
        },
        Refused::Throttled | Refused::Unidentified => Outcome::Contended,
        Refused::Unknown(_) => Outcome::Failed(TableError::Unknown),
        Refused::NotSent => Outcome::Failed(TableError::Invalid("the request cannot be made".to_owned())),
    }
}

/// Which write a transaction failed by.
fn cancelled(reasons: &[CancellationReason]) -> Outcome {
    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
    let codes: Vec<String> = reasons.iter().map(code).collect();
    if let Some(write) = codes.iter().position(|code| code == "ConditionalCheckFailed") {
        return Outcome::Failed(TableError::Condition { write });
    }
    match codes.into_iter().find(|code| code != "None").as_deref() {
        Some("TransactionConflict" | "ProvisionedThroughputExceeded" | "ThrottlingError") => Outcome::Contended,
        Some(other) => Outcome::Failed(TableError::Invalid(other.to_owned())),
        None => Outcome::Failed(TableError::Unknown),
    }
}

impl DynamoTable {
    /// Uses a table; under tenants' own identities where there are sessions.
    pub fn new(access: &Access, name: impl Into<String>, sessions: Option<TenantSessions>) -> Self {
        let base = Client::new(access.config());
        Self { name: name.into(), base, sessions, clients: Arc::default() }
    }

    /// The client that may touch a key: the tenant's own, or for look-ups that of this process.
    fn of(&self, tenant: Option<TenantId>) -> Client {
        let (Some(sessions), Some(tenant)) = (&self.sessions, tenant) else {
            return self.base.clone();
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(tenant).or_insert_with_key(|tenant| Client::new(sessions.access(tenant).config())).clone()
    }

    /// One write needs no transaction, which would cost twice as much.
    async fn write_one(&self, client: &Client, write: &Write) -> Result<(), Outcome> {
        match write {
            Write::Put { item, when } => {
                let when = conditions(when);
                let put = client.put_item().table_name(&self.name).set_item(Some(item::attributes(item)?));
                let put = put.set_condition_expression(when.text).set_expression_attribute_values(when.values);
                put.send().await.map(|_| ()).map_err(|error| unwritten(Refused::of(&error)))
            }
            Write::Delete { key, when } => {
                let when = conditions(when);
                let delete = client.delete_item().table_name(&self.name).set_key(Some(item::key(key)));
                let delete = delete.set_condition_expression(when.text).set_expression_attribute_values(when.values);
                delete.send().await.map(|_| ()).map_err(|error| unwritten(Refused::of(&error)))
            }
            Write::Add { key, field, amount, at_most } => {
                let added = addition(field, *amount, *at_most);
                let update = client.update_item().table_name(&self.name).set_key(Some(item::key(key)));
                let update = update.update_expression(ADDS).set_condition_expression(added.condition);
                let update = update.set_expression_attribute_names(Some(added.names));
                let update = update.set_expression_attribute_values(Some(added.values));
                update.send().await.map(|_| ()).map_err(|error| unwritten(Refused::of(&error)))
            }
            Write::Check { .. } => Ok(self.write_all(client, std::slice::from_ref(write)).await?),
        }
    }

    /// Writes all or none. Once an answer was lost, it is asked for again under the same token, under which it happens
    /// once; what was never answered in the end may have happened.
    async fn write_all(&self, client: &Client, writes: &[Write]) -> Result<(), TableError> {
        let entries: Result<Vec<_>, _> = writes.iter().map(|write| transacted(&self.name, write)).collect();
        let request = client.transact_write_items().set_transact_items(Some(entries?));
        let fresh = || uuid::Uuid::now_v7().to_string();
        let (mut token, mut unsure) = (fresh(), false);
        let mut pauses = patience().build();
        loop {
            let sent = request.clone().client_request_token(&token).send().await;
            let outcome = sent.map(|_| ()).map_err(|error| match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(why)) => {
                    cancelled(why.cancellation_reasons())
                }
                _ => unwritten(Refused::of(&error)),
            });
            match outcome {
                Err(Outcome::Failed(TableError::Unknown)) => unsure = true,
                Err(Outcome::Contended) if !unsure => token = fresh(),
                Err(Outcome::Contended) => {}
                Err(Outcome::Failed(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
            match pauses.next() {
                Some(pause) => TokioSleep::new().sleep(pause).await,
                None if unsure => return Err(TableError::Unknown),
                None => return Err(TableError::Throttled),
            }
        }
    }

    async fn batch(&self, client: &Client, keys: Vec<Key>) -> Result<Vec<Item>, TableError> {
        let mut found: HashMap<Key, Item> = HashMap::new();
        let mut wanted: Vec<Attributes> = keys.iter().map(item::key).collect();
        let mut pauses = patience().build();
        while !wanted.is_empty() {
            let asked = KeysAndAttributes::builder().set_keys(Some(std::mem::take(&mut wanted))).consistent_read(true);
            let asked = asked.build();
            let asked = asked.map_err(|_| TableError::Invalid("a reading cannot be put together".to_owned()))?;
            let answer = client.batch_get_item().request_items(&self.name, asked).send().await;
            let answer = answer.map_err(|error| unread(Refused::of(&error)))?;
            for row in answer.responses.unwrap_or_default().into_values().flatten() {
                let item = item::item(row)?;
                found.insert(item.key.clone(), item);
            }
            wanted = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|left| left.keys).collect();
            if !wanted.is_empty() {
                TokioSleep::new().sleep(pauses.next().ok_or(TableError::Throttled)?).await;
            }
        }
        Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
    }

    /// One page as DynamoDB cuts it, with the place where the next one starts.
    async fn page(
        &self,
        client: &Client,
        index: Index,
        (partition, prefix): (&str, &str),
        limit: usize,
        start: Option<Attributes>,
    ) -> Result<(Vec<Attributes>, Option<Attributes>), TableError> {
        let (pk, sk, name) = match index {
            Index::Primary => ("pk", "sk", None),
            Index::Listing => ("lpk", "lsk", Some("listing".to_owned())),
        };
        let mut asked = format!("{pk} = :p");
        let mut request = client.query().table_name(&self.name).set_index_name(name).set_exclusive_start_key(start);
        request = request.expression_attribute_values(":p", item::text(partition));
        if !prefix.is_empty() {
            asked = format!("{asked} AND begins_with({sk}, :s)");
            request = request.expression_attribute_values(":s", item::text(prefix));
        }
        let most = i32::try_from(limit).unwrap_or(i32::MAX).max(1);
        request = request.consistent_read(index == Index::Primary).key_condition_expression(asked).limit(most);
        let answer = request.send().await.map_err(|error| unread(Refused::of(&error)))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }
}

/// Where a page ended, as text.
fn cursor(mut end: Attributes) -> Result<String, TableError> {
    let names = ["pk", "sk", "lpk", "lsk"];
    let text = |name: &str| end.remove(name).and_then(|value| value.as_s().ok().cloned());
    let texts: Vec<Option<String>> = names.map(text).into();
    serde_json::to_string(&texts).map_err(|_| TableError::Invalid("a page's end cannot be written".to_owned()))
}

fn start(cursor: &str) -> Result<Attributes, TableError> {
    let wrong = || TableError::Invalid("that is no page's end".to_owned());
    let texts: Vec<Option<String>> = serde_json::from_str(cursor).map_err(|_| wrong())?;
    let named = ["pk", "sk", "lpk", "lsk"].into_iter().zip(texts);
    Ok(named.filter_map(|(name, text)| Some((name.to_owned(), item::text(&text?)))).collect())
}

/// Says whose writes these are: those of one tenant, or of none.
fn whose(writes: &[Write]) -> Result<Option<TenantId>, TableError> {
    if writes.is_empty() || writes.len() > MAX_WRITES {
        return Err(TableError::Invalid(format!("{} writes; a transaction has 1 to {MAX_WRITES}", writes.len())));
    }
    let mut keys = BTreeSet::new();
    let mut tenants = BTreeSet::new();
    for key in writes.iter().map(key_of) {
        if !keys.insert(key) {
            return Err(TableError::Invalid(format!("two writes to {} {}", key.partition(), key.sort())));
        }
        tenants.extend(key.tenant());
    }
    match tenants.len() {
        0 | 1 => Ok(tenants.pop_first()),
        _ => Err(TableError::Invalid("one transaction writes for two tenants".to_owned())),
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let request = self.of(key.tenant()).get_item().table_name(&self.name).consistent_read(true);
        let answer = request.set_key(Some(item::key(key))).send().await.map_err(|error| unread(Refused::of(&error)))?;
        answer.item.map(item::item).transpose()
    }

    async fn query(
        &self,
        index: Index,
        partition: &str,
        prefix: &str,
        limit: usize,
        cursor_of: Option<&str>,
    ) -> Result<Page, TableError> {
        let tenants = self.of(Key::stored(partition.to_owned(), String::new()).tenant());
        // A tenant's policy holds the table's keys, and not those of an index, which it therefore may not use.
        let client = if index == Index::Primary { tenants.clone() } else { self.base.clone() };
        let mut from = cursor_of.map(start).transpose()?;
        let mut rows = Vec::new();
        // DynamoDB cuts pages by size as well; callers count rows.
        loop {
            let left = limit.max(1) - rows.len();
            let (some, end) = self.page(&client, index, (partition, prefix), left, from).await?;
            rows.extend(some);
            from = end;
            if from.is_none() || rows.len() >= limit.max(1) {
                break;
            }
        }
        let cursor = from.map(cursor).transpose()?;
        let items = match index {
            Index::Primary => rows.into_iter().map(item::item).collect::<Result<_, _>>()?,
            // The index holds keys alone: a row that is written often costs no second copy.
            Index::Listing => {
                let keys: Vec<Key> =
                    rows.into_iter().map(|mut row| item::read_key(&mut row)).collect::<Result<_, _>>()?;
                let mut items = Vec::new();
                for some in keys.chunks(MAX_READS) {
                    items.extend(self.batch(&tenants, some.to_vec()).await?);
                }
                items
            }
        };
        Ok(Page { items, cursor })
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        let client = self.of(whose(&writes)?);
        match writes.as_slice() {
            [write] => {
                let send = || self.write_one(&client, write);
                let outcome = send.retry(patience()).when(|outcome| *outcome == Outcome::Contended).await;
                outcome.map_err(TableError::from)
            }
            several => self.write_all(&client, several).await,
        }
    }

    async fn due(&self, _proof: &SystemCtx, until: Timestamp, limit: usize) -> Result<Vec<Key>, TableError> {
        let most = i32::try_from(limit).unwrap_or(i32::MAX).max(1);
        let mut found = Vec::new();
        for number in 0..item::SHARDS {
            let request = self.base.query().table_name(&self.name).index_name("due").limit(most);
            let request = request.key_condition_expression("dpk = :s AND due <= :t");
            let request = request.expression_attribute_values(":s", item::text(&item::shard(number)));
            let answer = request.expression_attribute_values(":t", item::time(until)).send().await;
            let answer = answer.map_err(|error| unread(Refused::of(&error)))?;
            for mut row in answer.items.unwrap_or_default() {
                found.push((item::due_of(&row), item::read_key(&mut row)?));
            }
        }
        found.sort();
        Ok(found.into_iter().take(limit).map(|(_, key)| key).collect())
    }
}
