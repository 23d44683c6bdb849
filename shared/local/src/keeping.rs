//! What is kept and what is removed: expired rows at once, blobs when no live ticket names them for long.

use std::time::Duration;

use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TenantId;
use domain::ticket::Ticket;
use engine::Engine;

use crate::blobs::FolderBlobs;
use crate::db::{Db, DbError};

/// How much was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Rows whose time was over.
    pub rows: usize,
    /// Blobs nobody needed for long.
    pub blobs: usize,
}

/// Removes what need not be kept; the history of a ticket stays for ever.
pub async fn tidy(engine: &Engine, db: &Db, blobs: &FolderBlobs, keep: Duration) -> Result<Removed, Failure> {
    let failed = |error: DbError| Failure::new(Fault::Transient, error.to_string());
    let now = engine.clock.now().as_microsecond();
    let expired = "DELETE FROM item WHERE expires IS NOT NULL AND expires <= ?1";
    let rows = db.write(move |connection| connection.execute(expired, [now])).await.map_err(failed)?;
    // What a live ticket names is as good as new, however long it has waited.
    let live = db.read(in_use).await.map_err(failed)?;
    Ok(Removed { rows, blobs: blobs.sweep(live, keep).await? })
}

/// Every hash that stands in the row of a ticket that has not ended.
fn in_use(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<(TenantId, ContentHash)>> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM item WHERE sk = 'TICKET' AND pk LIKE 'T#%#TICKET#%'")?;
    let mut rows = statement.query([])?;
    let mut live = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(0)?;
        let Ok(ticket) = serde_json::from_str::<Ticket>(&body) else { continue };
        if !ticket.state.is_end() {
            let named = body.split('"').filter_map(|text| ContentHash::parse(text).ok());
            live.extend(named.map(|hash| (ticket.tenant.clone(), hash)));
        }
    }
    Ok(live)
}
