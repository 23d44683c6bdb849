//! The tracker: what people read beside their ticket.

use std::time::Duration;

use async_trait::async_trait;
use domain::error::Failure;
use domain::name::TrackerKey;
use serde::{Deserialize, Serialize};

use crate::tenancy::TenantCtx;

/// A comment of ours that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// The tracker's name for it.
    pub id: String,
    /// Its text, marker included.
    pub text: String,
}

/// Where tickets live.
#[async_trait]
pub trait Tracker: Send + Sync {
    /// How long a comment may be there before [`Tracker::find`] shows it.
    fn lag(&self) -> Duration;

    /// Finds our own comments on a ticket that carry a marker, oldest first.
    async fn find(&self, ctx: &TenantCtx, key: &TrackerKey, marker: &str) -> Result<Vec<Posted>, Failure>;

    /// Adds a comment.
    async fn create(&self, ctx: &TenantCtx, key: &TrackerKey, text: &str) -> Result<Posted, Failure>;

    /// Changes a comment of ours; `None` when somebody deleted it.
    async fn update(&self, ctx: &TenantCtx, key: &TrackerKey, id: &str, text: &str) -> Result<Option<Posted>, Failure>;

    /// Removes a comment of ours; one that is gone stays gone.
    async fn delete(&self, ctx: &TenantCtx, key: &TrackerKey, id: &str) -> Result<(), Failure>;
}
