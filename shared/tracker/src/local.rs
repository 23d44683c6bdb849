//! Comments on the tickets of one machine, kept in the table.

use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::id::{IdError, LocalId};
use engine::Engine;
use engine::key::Key;
use engine::port::{Condition, Index, Item, Place, Posted, Tracker, Words, Write, fresh};
use engine::tenancy::TenantCtx;
use serde_json::{Value, json};

/// The tracker of one machine.
#[derive(Clone)]
pub struct LocalTracker {
    engine: Engine,
}

impl LocalTracker {
    /// Keeps comments in the engine's table.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Every comment of ours on a place, oldest first.
    pub async fn comments(&self, ctx: &TenantCtx, place: &Place) -> Result<Vec<Posted>, Failure> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page =
                self.engine.table.query(Index::Primary, &partition(ctx, place), "", 100, cursor.as_deref()).await?;
            all.extend(page.items.iter().map(posted));
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }
}

fn under(place: &Place) -> String {
    format!("COMMENTS#{place}")
}

fn partition(ctx: &TenantCtx, place: &Place) -> String {
    Key::partition_of(ctx, &under(place))
}

fn posted(item: &Item) -> Posted {
    let text = item.body.get("text").and_then(Value::as_str).unwrap_or("").to_owned();
    Posted { id: item.key.sort().to_owned(), text }
}

#[async_trait]
impl Tracker for LocalTracker {
    /// What was written is there.
    async fn lag(&self, _ctx: &TenantCtx, _place: &Place) -> Result<Duration, Failure> {
        Ok(Duration::ZERO)
    }

    async fn find(&self, ctx: &TenantCtx, place: &Place, marker: &str) -> Result<Vec<Posted>, Failure> {
        let (mut all, mark) = (self.comments(ctx, place).await?, Words::comment(marker));
        all.retain(|posted| posted.text.contains(&mark));
        Ok(all)
    }

    async fn create(&self, ctx: &TenantCtx, place: &Place, words: &Words<'_>) -> Result<Posted, Failure> {
        let id: LocalId = fresh(self.engine.ids.as_ref(), LocalId::PREFIX)
            .map_err(|error: IdError| Failure::new(Fault::Bug, error.to_string()))?;
        let now = self.engine.clock.now();
        let item = Item::new(Key::of(ctx, &under(place), id.as_str()), json!({ "text": words.marked(), "at": now }));
        let comment = posted(&item);
        self.engine.table.transact(vec![Write::Put { item, when: vec![Condition::NotExists { now }] }]).await?;
        Ok(comment)
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        place: &Place,
        id: &str,
        words: &Words<'_>,
    ) -> Result<Option<Posted>, Failure> {
        let place = Key::of(ctx, &under(place), id);
        let Some(mut item) = self.engine.table.get(&place).await? else {
            return Ok(None);
        };
        let seen = item.version;
        item.version += 1;
        item.body = json!({ "text": words.marked(), "at": item.body.get("at"), "edited": self.engine.clock.now() });
        let comment = posted(&item);
        self.engine.table.transact(vec![Write::Put { item, when: vec![Condition::VersionIs(seen)] }]).await?;
        Ok(Some(comment))
    }

    async fn delete(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        let delete = Write::Delete { key: Key::of(ctx, &under(place), id), when: Vec::new() };
        Ok(self.engine.table.transact(vec![delete]).await?)
    }
}
