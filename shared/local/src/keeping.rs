//! What is kept and what is removed: expired rows at once, blobs when nobody stored them for long.

use std::time::Duration;

use domain::error::{Failure, Fault};
use engine::Engine;

use crate::blobs::FolderBlobs;
use crate::db::Db;

/// How much was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Rows whose time was over.
    pub rows: usize,
    /// Blobs nobody stored for long.
    pub blobs: usize,
}

/// Removes what need not be kept; the history of a ticket stays for ever.
pub async fn tidy(engine: &Engine, db: &Db, blobs: &FolderBlobs, keep: Duration) -> Result<Removed, Failure> {
    let now = engine.clock.now().as_microsecond();
    let expired = "DELETE FROM item WHERE expires IS NOT NULL AND expires <= ?1";
    let rows = db.write(move |connection| connection.execute(expired, [now])).await;
    let rows = rows.map_err(|error| Failure::new(Fault::Transient, error.to_string()))?;
    Ok(Removed { rows, blobs: blobs.sweep(keep).await? })
}
