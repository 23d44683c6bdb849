//! Blobs in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TenantId;
use engine::port::Blobs;
use engine::tenancy::TenantCtx;

use crate::clockwork::{Clockwork, Op};
use crate::port::{failure, held};
use crate::watch::Watch;

/// Whose, and which.
type Place = (TenantId, ContentHash);

/// The blobs of one run.
pub struct SimBlobs {
    clockwork: Clockwork,
    watch: Arc<Watch>,
    kept: Mutex<BTreeMap<Place, Arc<[u8]>>>,
}

impl SimBlobs {
    /// None yet.
    pub fn new(clockwork: Clockwork, watch: Arc<Watch>) -> Self {
        Self { clockwork, watch, kept: Mutex::default() }
    }

    /// Looks at a blob without being one of the functions.
    pub fn peek(&self, tenant: &TenantId, hash: &ContentHash) -> Option<Arc<[u8]>> {
        held(&self.kept).get(&(tenant.clone(), hash.clone())).cloned()
    }
}

#[async_trait]
impl Blobs for SimBlobs {
    async fn put(&self, ctx: &TenantCtx, bytes: &[u8]) -> Result<ContentHash, Failure> {
        let hash = ContentHash::of(bytes);
        let place = (ctx.tenant().clone(), hash.clone());
        self.watch.acts_for("a blob", ctx.tenant());
        self.watch.shows("a blob", bytes);
        let keep = || held(&self.kept).entry(place).or_insert_with(|| bytes.into()).len();
        match self.clockwork.call(Op::write("blobs.put"), keep).await {
            Ok(_) => Ok(hash),
            Err(harm) => Err(failure(&self.clockwork, "storing a blob", harm, true)),
        }
    }

    async fn load(&self, ctx: &TenantCtx, hash: &ContentHash) -> Result<Vec<u8>, Failure> {
        self.watch.acts_for("a blob", ctx.tenant());
        match self.clockwork.call(Op::read("blobs.load"), || self.peek(ctx.tenant(), hash)).await {
            Ok(Some(bytes)) => Ok(bytes.to_vec()),
            Ok(None) => Err(Failure::new(Fault::Invalid, format!("blob {} is gone", hash.short()))),
            Err(harm) => Err(failure(&self.clockwork, "loading a blob", harm, false)),
        }
    }
}
