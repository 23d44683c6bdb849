//! Blobs on S3: one prefix a tenant, checked by SHA-256 on the way in and out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TenantId;
use engine::port::Blobs;
use engine::tenancy::TenantCtx;

use crate::access::{Access, CONNECT};
use crate::refused::Refused;
use crate::session::TenantSessions;

/// The blobs of one bucket.
#[derive(Clone)]
pub struct S3Blobs {
    bucket: String,
    base: Client,
    sessions: Option<TenantSessions>,
    clients: Arc<Mutex<HashMap<TenantId, Client>>>,
}

/// How long a blob may take: a snapshot has up to 256 MiB.
const TRANSFER: Duration = Duration::from_mins(2);

fn client(access: &Access) -> Client {
    let limits = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(TRANSFER).build();
    // An emulator has no name of its own for each bucket.
    let builder = Builder::from(access.config()).force_path_style(access.is_elsewhere());
    Client::from_conf(builder.timeout_config(limits).build())
}

fn place(ctx: &TenantCtx, hash: &ContentHash) -> String {
    format!("T/{}/{hash}", ctx.tenant())
}

impl S3Blobs {
    /// Uses a bucket; under tenants' own identities where there are sessions.
    pub fn new(access: &Access, bucket: impl Into<String>, sessions: Option<TenantSessions>) -> Self {
        Self { bucket: bucket.into(), base: client(access), sessions, clients: Arc::default() }
    }

    fn of(&self, tenant: &TenantId) -> Client {
        let Some(sessions) = &self.sessions else {
            return self.base.clone();
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(tenant.clone()).or_insert_with(|| client(&sessions.access(tenant))).clone()
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, ctx: &TenantCtx, bytes: &[u8]) -> Result<ContentHash, Failure> {
        let hash = ContentHash::of(bytes);
        let digest = hex::decode(hash.as_str()).unwrap_or_default();
        // Storing again is a use: the object is as young as a new one to the bucket's lifecycle.
        let request = self.of(ctx.tenant()).put_object().bucket(&self.bucket).key(place(ctx, &hash));
        let request = request.checksum_sha256(STANDARD.encode(digest)).body(bytes.to_vec().into());
        match request.send().await {
            Ok(_) => Ok(hash),
            Err(error) => Err(Refused::of(&error).repeatable("a blob cannot be stored")),
        }
    }

    async fn load(&self, ctx: &TenantCtx, hash: &ContentHash) -> Result<Vec<u8>, Failure> {
        let request = self.of(ctx.tenant()).get_object().bucket(&self.bucket).key(place(ctx, hash));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let refused = Refused::of(&error);
                if refused.is("NoSuchKey") {
                    let say = format!(
                        "blob {} is gone; what is not used for long is removed. Say `analyze` to start afresh",
                        hash.short()
                    );
                    return Err(Failure::new(Fault::Invalid, say));
                }
                return Err(refused.repeatable("a blob cannot be read"));
            }
        };
        let cut_off = |_| Failure::new(Fault::Transient, "a blob cannot be read: it did not arrive whole");
        let bytes = answer.body.collect().await.map_err(cut_off)?.to_vec();
        if ContentHash::of(&bytes) == *hash {
            Ok(bytes)
        } else {
            Err(Failure::new(Fault::Bug, format!("blob {} is damaged", hash.short())))
        }
    }
}
