//! What every `Table` promises.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::id::TenantId;
use engine::key::Key;
use engine::port::{Clock, Condition, Index, Item, Secret, Table, TableError, Write};
use engine::seal::Sealer;
use engine::tenancy::TenantCtx;
use serde_json::json;

/// Proves a tenant the way an operator's tool does.
pub fn tenant(name: &str) -> TenantCtx {
    let sealer = Sealer::new(vec![Secret::new(b"key".as_slice())]);
    sealer.operator(&TenantId::parse(name).unwrap()).unwrap()
}

fn put(key: &Key, version: u64, when: Vec<Condition>) -> Write {
    let mut item = Item::new(key.clone(), json!({ "v": version }));
    item.version = version;
    Write::Put { item, when }
}

/// Runs the suite.
pub async fn table(table: Arc<dyn Table>, clock: &dyn Clock) {
    let ctx = tenant("ten_contract");
    let now = clock.now();
    let key = |name: &str| Key::of(&ctx, "CONTRACT", name.to_owned());
    conditions(table.as_ref(), &key("a"), now).await;
    leases(table.as_ref(), &key("lease"), now).await;
    all_or_nothing(table.as_ref(), &key("b"), &key("c"), now).await;
    counters(table.as_ref(), &key("n")).await;
    one_winner(&table, &key("race")).await;
    once(&table, (&key("seen"), &key("done")), now).await;
    paused(table.as_ref(), &key("paused"), now).await;
    mixed(table.as_ref(), &key("mixed"), now).await;
    pages(table.as_ref(), &ctx, now).await;
    due(table.as_ref(), &ctx, now).await;
    let other = Key::of(&tenant("ten_other"), "CONTRACT", "a");
    assert_eq!(table.get(&other).await, Ok(None), "another tenant's row is as absent as a missing one");
    let doubled = vec![put(&key("d"), 1, vec![]), put(&key("d"), 2, vec![])];
    assert!(matches!(table.transact(doubled).await, Err(TableError::Invalid(_))));
    assert!(matches!(table.transact(Vec::new()).await, Err(TableError::Invalid(_))));
}

async fn conditions(table: &dyn Table, key: &Key, now: Timestamp) {
    let fresh = || vec![Condition::NotExists { now }];
    assert_eq!(table.get(key).await, Ok(None));
    assert_eq!(table.transact(vec![put(key, 1, fresh())]).await, Ok(()));
    assert_eq!(table.transact(vec![put(key, 1, fresh())]).await, Err(TableError::Condition { write: 0 }));
    assert_eq!(table.transact(vec![put(key, 2, vec![Condition::VersionIs(1)])]).await, Ok(()));
    let stale = table.transact(vec![put(key, 2, vec![Condition::VersionIs(1)])]).await;
    assert_eq!(stale, Err(TableError::Condition { write: 0 }));
    assert_eq!(table.get(key).await.unwrap().unwrap().body, json!({ "v": 2 }));
    let mut expired = Item::new(key.clone(), json!({}));
    expired.expires = Some(now - Duration::from_secs(1));
    table.transact(vec![Write::Put { item: expired, when: vec![] }]).await.unwrap();
    assert_eq!(table.transact(vec![put(key, 3, fresh())]).await, Ok(()), "an expired row is as good as none");
}

async fn leases(table: &dyn Table, key: &Key, now: Timestamp) {
    let mut item = Item::new(key.clone(), json!({}));
    item.fence = 7;
    item.lease_until = Some(now + Duration::from_mins(1));
    table.transact(vec![Write::Put { item, when: vec![] }]).await.unwrap();
    let check = |when| vec![Write::Check { key: key.clone(), when: vec![when] }];
    assert!(table.transact(check(Condition::NotBefore(now))).await.is_err());
    assert!(table.transact(check(Condition::NotBefore(now + Duration::from_secs(61)))).await.is_ok());
    assert!(table.transact(check(Condition::FenceIs(6))).await.is_err());
    assert!(table.transact(check(Condition::FenceIs(7))).await.is_ok());
    let stored = table.get(key).await.unwrap().unwrap();
    assert_eq!(
        stored.lease_until.map(Timestamp::as_microsecond),
        Some((now + Duration::from_mins(1)).as_microsecond())
    );
}

async fn all_or_nothing(table: &dyn Table, one: &Key, two: &Key, now: Timestamp) {
    let fresh = || vec![Condition::NotExists { now }];
    table.transact(vec![put(two, 1, fresh())]).await.unwrap();
    let both = vec![put(one, 1, fresh()), put(two, 1, fresh())];
    assert_eq!(table.transact(both).await, Err(TableError::Condition { write: 1 }));
    assert_eq!(table.get(one).await, Ok(None), "the first write must not stand alone");
    table.transact(vec![Write::Delete { key: two.clone(), when: vec![Condition::VersionIs(1)] }]).await.unwrap();
    assert_eq!(table.get(two).await, Ok(None));
}

async fn counters(table: &dyn Table, key: &Key) {
    let add = |amount, at_most| vec![Write::Add { key: key.clone(), field: "n", amount, at_most }];
    table.transact(add(3, Some(10))).await.unwrap();
    table.transact(add(7, Some(10))).await.unwrap();
    assert!(matches!(table.transact(add(1, Some(10))).await, Err(TableError::Condition { write: 0 })));
    table.transact(add(-4, None)).await.unwrap();
    assert_eq!(table.get(key).await.unwrap().unwrap().body["n"], json!(6));
}

/// Of 64 writers that saw the same version, one wins.
async fn one_winner(table: &Arc<dyn Table>, key: &Key) {
    table.transact(vec![put(key, 1, vec![])]).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (table, write) = (Arc::clone(table), put(key, 2, vec![Condition::VersionIs(1)]));
        writers.spawn(async move { table.transact(vec![write]).await.is_ok() });
    }
    assert_eq!(writers.join_all().await.into_iter().filter(|won| *won).count(), 1);
}

/// What 64 duplicates do is done once: the ledger's row and the deed stand or fall together.
async fn once(table: &Arc<dyn Table>, (seen, done): (&Key, &Key), now: Timestamp) {
    let mut duplicates = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (table, seen, done) = (Arc::clone(table), seen.clone(), done.clone());
        duplicates.spawn(async move {
            let deed = Write::Add { key: done, field: "deeds", amount: 1, at_most: None };
            let ledger = put(&seen, 1, vec![Condition::NotExists { now }]);
            // Who is told to come again comes again, as the engine does.
            loop {
                match table.transact(vec![ledger.clone(), deed.clone()]).await {
                    Err(TableError::Throttled) => tokio::task::yield_now().await,
                    outcome => return outcome,
                }
            }
        });
    }
    let outcomes = duplicates.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|o| o.is_ok() || *o == Err(TableError::Condition { write: 0 })), "{outcomes:?}");
    assert_eq!(table.get(done).await.unwrap().unwrap().body["deeds"], json!(1));
}

/// Who stood still for longer than its lease finds another holder, and commits nothing.
async fn paused(table: &dyn Table, key: &Key, now: Timestamp) {
    let held = |fence: u64, until: Timestamp, when| {
        let mut item = Item::new(key.clone(), json!({ "by": fence }));
        item.fence = fence;
        item.lease_until = Some(until);
        table.transact(vec![Write::Put { item, when }])
    };
    let minute = Duration::from_mins(1);
    held(1, now + minute, vec![Condition::NotExists { now }]).await.unwrap();
    let early = held(2, now + minute, vec![Condition::FenceIs(1), Condition::NotBefore(now)]).await;
    assert_eq!(early, Err(TableError::Condition { write: 0 }), "a lease that lasts is not taken");
    let later = now + minute + minute;
    held(2, later + minute, vec![Condition::FenceIs(1), Condition::NotBefore(later)]).await.unwrap();
    let late = held(1, later, vec![Condition::FenceIs(1)]).await;
    assert_eq!(late, Err(TableError::Condition { write: 0 }), "the fence keeps the first holder out");
    assert_eq!(table.get(key).await.unwrap().unwrap().body, json!({ "by": 2 }));
}

/// Every kind of write in one transaction, of which a condition in the middle fails first.
async fn mixed(table: &dyn Table, key: &Key, now: Timestamp) {
    let of = |name: &str| Key::stored(key.partition().to_owned(), format!("{}#{name}", key.sort()));
    table.transact(vec![put(&of("gone"), 1, vec![]), put(&of("there"), 1, vec![])]).await.unwrap();
    let writes = |version| {
        vec![
            put(&of("new"), 1, vec![Condition::NotExists { now }]),
            Write::Delete { key: of("gone"), when: vec![Condition::VersionIs(1)] },
            Write::Check { key: of("there"), when: vec![Condition::VersionIs(version)] },
            Write::Add { key: of("sum"), field: "n", amount: 2, at_most: Some(1 + i64::try_from(version).unwrap()) },
        ]
    };
    assert_eq!(table.transact(writes(2)).await, Err(TableError::Condition { write: 2 }));
    assert_eq!(table.get(&of("new")).await, Ok(None));
    assert_eq!(table.transact(writes(1)).await, Ok(()));
    assert_eq!(table.get(&of("gone")).await, Ok(None));
    assert_eq!(table.get(&of("sum")).await.unwrap().unwrap().body, json!({ "n": 2 }));
    let first = vec![Write::Add { key: of("none"), field: "n", amount: 2, at_most: Some(1) }];
    assert_eq!(table.transact(first).await, Err(TableError::Condition { write: 0 }), "not even the first passes it");
}

async fn pages(table: &dyn Table, ctx: &TenantCtx, now: Timestamp) {
    for number in 0..7 {
        let mut item = Item::new(Key::of(ctx, "PAGES", format!("ROW#{number}")), json!(number));
        item.listing = Some((Key::partition_of(ctx, "LIST"), format!("{}", 9 - number)));
        table.transact(vec![Write::Put { item, when: vec![Condition::NotExists { now }] }]).await.unwrap();
    }
    let outside = Item::new(Key::of(ctx, "PAGES", "SOMETHING"), json!({}));
    table.transact(vec![Write::Put { item: outside, when: vec![] }]).await.unwrap();
    for (index, partition, prefix, order) in [
        (Index::Primary, Key::partition_of(ctx, "PAGES"), "ROW#", vec![0, 1, 2, 3, 4, 5, 6]),
        (Index::Listing, Key::partition_of(ctx, "LIST"), "", vec![6, 5, 4, 3, 2, 1, 0]),
    ] {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = table.query(index, &partition, prefix, 3, cursor.as_deref()).await.unwrap();
            assert!(page.items.len() <= 3);
            seen.extend(page.items.iter().map(|item| item.body.as_i64().unwrap()));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, order);
    }
}

async fn due(table: &dyn Table, ctx: &TenantCtx, now: Timestamp) {
    let system = Sealer::new(vec![Secret::new(b"key".as_slice())]).system().unwrap();
    for (name, seconds) in [("late", 1), ("later", 100)] {
        let mut item = Item::new(Key::of(ctx, "DUE", name), json!({}));
        item.due = Some(now + Duration::from_secs(seconds));
        table.transact(vec![Write::Put { item, when: vec![] }]).await.unwrap();
    }
    let until = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(table.due(&system, now, 10).await.unwrap(), Vec::new());
    assert_eq!(table.due(&system, until(2), 10).await.unwrap(), [Key::of(ctx, "DUE", "late")]);
    assert_eq!(table.due(&system, until(200), 10).await.unwrap().len(), 2);
    assert_eq!(table.due(&system, until(200), 1).await.unwrap(), [Key::of(ctx, "DUE", "late")]);
}
