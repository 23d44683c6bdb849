//! One set of workers a folder: whoever starts them knows that all who worked before are gone.

use std::fs::{File, TryLockError};
use std::path::Path;

use domain::Timestamp;
use domain::error::{Failure, Fault};
use engine::port::MAX_RECEIVES;
use rusqlite::params;

use crate::db::Db;

/// Proof that nobody else works in this folder; the operating system takes it back when the process dies.
#[derive(Debug)]
pub struct Takeover {
    _lock: File,
}

/// How often a message may be in hand when the process dies; what dies with it is seldom to blame, but may be.
const MAX_CRASHES: u32 = 10;

impl Takeover {
    /// Takes the folder over: messages that were being handled are visible again and leases are free.
    ///
    /// Fences stay, so a holder that should not be gone after all can commit nothing.
    pub async fn of(data: &Path, db: &Db, now: Timestamp) -> Result<Self, Failure> {
        let path = data.join("workers.lock");
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Fault::Permission, format!("{} cannot be locked: {error}", path.display()))
        };
        let lock = File::create(&path).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let say = format!("another `prfactory serve` works in {}", data.display());
                return Err(Failure::new(Fault::Conflict, say));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let now = now.as_microsecond();
        let freed = db.write(move |connection| {
            connection.execute(
                "UPDATE message SET visible_at = ?1, crashes = crashes + 1,
                   receives = CASE WHEN crashes < ?2 THEN receives - 1 ELSE ?3 END
                 WHERE dead = 0 AND receives > 0 AND visible_at > ?1",
                params![now, MAX_CRASHES, MAX_RECEIVES],
            )?;
            connection.execute("UPDATE item SET lease_until = NULL WHERE lease_until IS NOT NULL", [])?;
            connection
                .execute("UPDATE item SET due = ?1 WHERE due > ?1 AND sk >= 'OUTBOX#' AND sk < 'OUTBOX$'", params![now])
        });
        freed.await.map_err(|error| Failure::new(Fault::Transient, error.to_string()))?;
        Ok(Self { _lock: lock })
    }
}
