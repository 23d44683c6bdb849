//! Large payloads, addressed by their hash within one tenant.

use async_trait::async_trait;
use domain::error::Failure;
use domain::hash::ContentHash;

use crate::tenancy::TenantCtx;

/// Where large payloads are kept.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores bytes; storing them again changes nothing.
    async fn put(&self, ctx: &TenantCtx, bytes: &[u8]) -> Result<ContentHash, Failure>;

    /// Loads bytes and checks them against the hash. Another tenant's blob is as absent as a missing one.
    async fn load(&self, ctx: &TenantCtx, hash: &ContentHash) -> Result<Vec<u8>, Failure>;
}
