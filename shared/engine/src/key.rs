//! Keys of rows; every one but the named look-ups starts with the acting tenant.

use domain::id::{EndpointId, OutboxId, TenantId};
use domain::name::TrackerKey;

use crate::tenancy::TenantCtx;

/// Where a row is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    partition: String,
    sort: String,
}

impl Key {
    /// A row of a tenant's own partition, under a name below it.
    pub fn of(ctx: &TenantCtx, under: &str, sort: impl Into<String>) -> Self {
        Self { partition: Self::partition_of(ctx, under), sort: sort.into() }
    }

    /// The partition of a tenant, or one below it.
    pub fn partition_of(ctx: &TenantCtx, under: &str) -> String {
        if under.is_empty() { format!("T#{}", ctx.tenant()) } else { format!("T#{}#{under}", ctx.tenant()) }
    }

    /// A row of a ticket.
    pub fn ticket(ctx: &TenantCtx, key: &TicketPartition, sort: impl Into<String>) -> Self {
        Self::of(ctx, &key.0, sort)
    }

    /// The guard that keeps one live workflow a tracker ticket.
    pub fn guard(ctx: &TenantCtx, key: &TrackerKey) -> Self {
        Self::of(ctx, &format!("KEY#{key}"), "TICKET")
    }

    /// A row of the ledger.
    pub fn seen(ctx: &TenantCtx, natural: &str) -> Self {
        Self::of(ctx, &format!("SEEN#{natural}"), "SEEN")
    }

    /// A message not yet known to be queued.
    pub fn outbox(ctx: &TenantCtx, ticket: &TicketPartition, id: &OutboxId) -> Self {
        Self::ticket(ctx, ticket, format!("OUTBOX#{id}"))
    }

    /// Which tenant an installation of the GitHub App belongs to.
    pub fn installation(id: u64) -> Self {
        Self { partition: format!("INSTALLATION#{id}"), sort: "TENANT".to_owned() }
    }

    /// Which tenant a webhook endpoint belongs to.
    pub fn endpoint(id: &EndpointId) -> Self {
        Self { partition: format!("ENDPOINT#{id}"), sort: "TENANT".to_owned() }
    }

    /// Which member of which tenant a person is; one person may be a member of several tenants.
    pub fn identity(provider: &str, id: &str, tenant: &TenantId) -> Self {
        Self { partition: format!("IDENTITY#{provider}#{id}"), sort: format!("MEMBER#{tenant}") }
    }

    /// Reads a key back from an adapter's own storage.
    pub fn stored(partition: String, sort: String) -> Self {
        Self { partition, sort }
    }

    /// The partition.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The sort key within the partition.
    pub fn sort(&self) -> &str {
        &self.sort
    }

    /// The tenant whose row this is; look-ups belong to none.
    pub fn tenant(&self) -> Option<TenantId> {
        TenantId::parse(self.partition.strip_prefix("T#")?.split('#').next()?).ok()
    }
}

/// The part of a partition that names a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketPartition(String);

impl TicketPartition {
    /// The partition of a workflow.
    pub fn of(id: &domain::id::TicketId) -> Self {
        Self(format!("TICKET#{id}"))
    }

    /// Where messages stand that belong to no workflow: answers to what strangers to it asked.
    pub fn none() -> Self {
        Self("REPLIES".to_owned())
    }

    /// As it stands below the tenant.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
