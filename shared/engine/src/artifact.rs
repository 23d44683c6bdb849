//! Artifacts: stored whole as blobs, listed as rows, addressed by hash.

use domain::Timestamp;
use domain::artifact::{ArtifactRef, DecisionRecord};
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TicketId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::Engine;
use crate::key::{Key, TicketPartition};
use crate::port::{Index, Item, Write};
use crate::tenancy::TenantCtx;

/// Stores an artifact; its hash is the hash of its JSON.
pub async fn store<T: Serialize + Sync>(
    engine: &Engine,
    ctx: &TenantCtx,
    artifact: &T,
) -> Result<ContentHash, Failure> {
    let bytes = serde_json::to_vec(artifact)
        .map_err(|error| Failure::new(Fault::Bug, format!("an artifact cannot be stored: {error}")))?;
    engine.blobs.put(ctx, &bytes).await
}

/// Loads an artifact by its hash.
pub async fn load<T: DeserializeOwned>(engine: &Engine, ctx: &TenantCtx, hash: &ContentHash) -> Result<T, Failure> {
    let bytes = engine.blobs.load(ctx, hash).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Fault::Bug, format!("a stored artifact cannot be read: {error}")))
}

/// The row that lists a version of an artifact: `PLAN#2`, `QUESTIONS#1`.
pub fn row(ctx: &TenantCtx, ticket: &TicketId, kind: &str, artifact: &ArtifactRef, at: Timestamp) -> Write {
    let key = Key::ticket(ctx, &TicketPartition::of(ticket), format!("{kind}#{:04}", artifact.version));
    let item = Item::new(
        key,
        json!({ "version": artifact.version, "hash": artifact.hash, "changed": artifact.changed, "at": at }),
    );
    Write::Put { item, when: Vec::new() }
}

/// Everybody's decisions on an artifact, in the order of members' ids.
pub async fn decisions(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &TicketId,
    hash: &ContentHash,
) -> Result<Vec<DecisionRecord>, Failure> {
    let partition = Key::partition_of(ctx, TicketPartition::of(ticket).as_str());
    let page = engine.table.query(Index::Primary, &partition, &format!("DECISION#{hash}#"), 100, None).await?;
    let read = |item: Item| {
        serde_json::from_value(item.body)
            .map_err(|error| Failure::new(Fault::Bug, format!("a stored decision cannot be read: {error}")))
    };
    page.items.into_iter().map(read).collect()
}
