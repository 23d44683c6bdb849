//! Queues on SQLite: visibility timeouts, dead letters, and no polling while somebody in this process sends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use engine::port::{Clock, Delivered, Ids, MAX_RECEIVES, Outgoing, Queue};
use rusqlite::{OptionalExtension as _, params};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::db::{Db, DbError};

/// The queues of one machine.
#[derive(Clone)]
pub struct SqliteQueue {
    db: Db,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    sent: Arc<Mutex<HashMap<&'static str, Arc<Notify>>>>,
}

/// How often a waiting receiver looks for what another process sent or what became visible.
const LOOK: Duration = Duration::from_millis(200);

/// Microseconds that a message is hidden or delayed at most; what seems hidden for longer was hidden before the
/// clock was set back, and is visible.
const LONGEST: i64 = 20 * 60 * 1_000_000;

/// The next message: of the group with the fewest in hand, then the one that waits longest. Groups are found one by
/// one on their index, so that thousands of messages of one cost no more than a few.
const NEXT: &str = "
WITH RECURSIVE turn(grp) AS (
  SELECT min(grp) FROM message WHERE queue = ?1 AND dead = 0
  UNION ALL
  SELECT (SELECT min(grp) FROM message WHERE queue = ?1 AND dead = 0 AND grp > turn.grp) FROM turn WHERE turn.grp NOTNULL)
SELECT m.id, m.body, m.receives FROM turn JOIN message AS m ON m.id = (
  SELECT id FROM message WHERE queue = ?1 AND dead = 0 AND grp = turn.grp AND visible_at <= ?2
  ORDER BY visible_at, id LIMIT 1)
ORDER BY (
  SELECT count(*) FROM message
  WHERE queue = ?1 AND grp = turn.grp AND receipt NOTNULL AND dead = 0 AND visible_at > ?2), m.visible_at, m.id
LIMIT 1";

impl SqliteQueue {
    /// Uses a state file.
    pub fn new(db: Db, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { db, clock, ids, sent: Arc::default() }
    }

    fn bell(&self, queue: &'static str) -> Arc<Notify> {
        let mut bells = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(bells.entry(queue).or_default())
    }

    fn micros(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    async fn visible(&self, queue: &'static str) -> Result<bool, Failure> {
        let now = self.micros();
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND dead = 0 AND visible_at <= ?2)
                       OR EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND dead = 0 AND visible_at > ?3)";
        self.db
            .read(move |connection| {
                connection.prepare_cached(sql)?.query_row(params![queue, now, now + LONGEST], |row| row.get(0))
            })
            .await
            .map_err(|error| failed(&error))
    }

    async fn take(&self, queue: &'static str, max: usize, visibility: Duration) -> Result<Vec<Delivered>, Failure> {
        let now = self.micros();
        let until = now + i64::try_from(visibility.as_micros()).unwrap_or(i64::MAX / 4);
        let receipt = self.ids.next();
        self.db
            .write(move |connection| {
                let early = "UPDATE message SET visible_at = ?2 WHERE queue = ?1 AND dead = 0 AND visible_at > ?3";
                connection.prepare_cached(early)?.execute(params![queue, now, now + LONGEST])?;
                let mut next = connection.prepare_cached(NEXT)?;
                let mut hide = connection
                    .prepare_cached("UPDATE message SET receives = ?2, visible_at = ?3, receipt = ?4 WHERE id = ?1")?;
                let mut bury = connection.prepare_cached("UPDATE message SET dead = 1 WHERE id = ?1")?;
                let mut taken = Vec::new();
                while taken.len() < max {
                    let found = next.query_row(params![queue, now], |row| {
                        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?))
                    });
                    let Some((id, body, receives)) = found.optional()? else {
                        break;
                    };
                    if receives >= MAX_RECEIVES {
                        bury.execute([id])?;
                        continue;
                    }
                    hide.execute(params![id, receives + 1, until, receipt])?;
                    taken.push(Delivered { receipt: format!("{id}:{receipt}"), body, receives: receives + 1 });
                }
                Ok(taken)
            })
            .await
            .map_err(|error| failed(&error))
    }

    async fn change(&self, queue: &'static str, receipt: &str, sql: &'static str, at: i64) -> Result<(), Failure> {
        let Some((id, receipt)) = receipt.split_once(':') else {
            return Err(Failure::new(Fault::Bug, "a receipt of another queue"));
        };
        let id: i64 = id.parse().map_err(|_| Failure::new(Fault::Bug, "a receipt of another queue"))?;
        let receipt = receipt.to_owned();
        self.db
            .write(move |connection| {
                connection.prepare_cached(sql)?.execute(params![queue, id, receipt, at]).map(|_| ())
            })
            .await
            .map_err(|error| failed(&error))
    }
}

fn failed(error: &DbError) -> Failure {
    let fault = if error.is_busy() { Fault::Transient } else { Fault::Bug };
    Failure::new(fault, error.to_string())
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn send(&self, message: Outgoing) -> Result<(), Failure> {
        let visible = self.micros() + i64::try_from(message.delay.as_micros()).unwrap_or(i64::MAX / 4);
        let queue = message.queue;
        self.db
            .write(move |connection| {
                connection
                    .prepare_cached("INSERT INTO message (queue, grp, body, visible_at) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![message.queue, message.group, message.body, visible])
                    .map(|_| ())
            })
            .await
            .map_err(|error| failed(&error))?;
        self.bell(queue).notify_one();
        Ok(())
    }

    async fn receive(
        &self,
        queue: &'static str,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivered>, Failure> {
        let bell = self.bell(queue);
        let end = Instant::now() + wait;
        loop {
            if self.visible(queue).await? {
                let taken = self.take(queue, max, visibility).await?;
                if !taken.is_empty() {
                    return Ok(taken);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            // Either outcome means: look again.
            let _ = tokio::time::timeout(left.min(LOOK), bell.notified()).await;
        }
    }

    async fn ack(&self, queue: &'static str, receipt: &str) -> Result<(), Failure> {
        let sql = "DELETE FROM message WHERE queue = ?1 AND id = ?2 AND receipt = ?3 AND ?4 = 0";
        self.change(queue, receipt, sql, 0).await
    }

    async fn hide(&self, queue: &'static str, receipt: &str, duration: Duration) -> Result<(), Failure> {
        let at = self.micros() + i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4);
        let sql = "UPDATE message SET visible_at = ?4 WHERE queue = ?1 AND id = ?2 AND receipt = ?3";
        self.change(queue, receipt, sql, at).await
    }

    async fn receive_dead(&self, queue: &'static str, max: usize) -> Result<Vec<Delivered>, Failure> {
        let max = i64::try_from(max).unwrap_or(1);
        self.db
            .read(move |connection| {
                let sql = "SELECT id, body, receives, receipt FROM message WHERE queue = ?1 AND dead = 1 ORDER BY id LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![queue, max], |row| {
                    let (id, receipt): (i64, Option<String>) = (row.get(0)?, row.get(3)?);
                    let receipt = format!("{id}:{}", receipt.unwrap_or_default());
                    Ok(Delivered { receipt, body: row.get(1)?, receives: row.get(2)? })
                })?;
                rows.collect()
            })
            .await
            .map_err(|error| failed(&error))
    }

    async fn ack_dead(&self, queue: &'static str, receipt: &str) -> Result<(), Failure> {
        let sql = "DELETE FROM message WHERE queue = ?1 AND id = ?2 AND receipt = ?3 AND dead = 1 AND ?4 = 0";
        self.change(queue, receipt, sql, 0).await
    }
}
