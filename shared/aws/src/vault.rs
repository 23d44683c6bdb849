//! Tenants' secrets under KMS: each sealed with a data key that only the same tenant and purpose can unwrap.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::error::{Failure, Fault};
use engine::port::{Clock, Secret, Vault};
use engine::tenancy::TenantCtx;
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::refused::Refused;

/// The vault of one stack.
pub struct KmsVault {
    client: Client,
    clock: Arc<dyn Clock>,
    key: String,
    known: Mutex<HashMap<(String, String), (Timestamp, Secret)>>,
}

/// How long an unwrapped data key stays in memory.
const FRESH: Duration = Duration::from_mins(5);
/// How many unwrapped data keys are kept.
const KEPT: usize = 1_000;

/// A sealed secret as it is stored.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The version of this layout.
    v: u8,
    /// The data key, wrapped by KMS; base64.
    key: String,
    /// Nonce and ciphertext; base64.
    text: String,
}

impl KmsVault {
    /// Uses a key, given by its ARN.
    pub fn new(access: &Access, clock: Arc<dyn Clock>, key: impl Into<String>) -> Self {
        Self { client: Client::new(access.config()), clock, key: key.into(), known: Mutex::default() }
    }

    /// Unwraps a data key, or takes the one unwrapped a moment ago.
    async fn unwrapped(&self, ctx: &TenantCtx, purpose: &str, wrapped: &str) -> Result<Secret, Failure> {
        let (id, now) = ((about(ctx, purpose), wrapped.to_owned()), self.clock.now());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some((at, key)) = known
            && now.duration_since(at).unsigned_abs() < FRESH
        {
            return Ok(key);
        }
        let blob = Blob::new(STANDARD.decode(wrapped).map_err(|_| foreign())?);
        let request = self.client.decrypt().key_id(&self.key).ciphertext_blob(blob);
        let request = request.encryption_context("tenant", ctx.tenant().as_str());
        let answer = request.encryption_context("purpose", purpose).send().await;
        let answer = answer.map_err(|error| {
            let refused = Refused::of(&error);
            if refused.is("InvalidCiphertextException") {
                foreign()
            } else {
                refused.repeatable("a secret cannot be unsealed")
            }
        })?;
        let key = Secret::new(answer.plaintext.ok_or_else(foreign)?.into_inner());
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(id, (now, key.clone()));
        Ok(key)
    }
}

fn foreign() -> Failure {
    Failure::new(Fault::Permission, "a sealed secret is not for this tenant and purpose")
}

fn broken() -> Failure {
    Failure::new(Fault::Bug, "a secret cannot be sealed")
}

/// What a secret is bound to besides its key.
fn about(ctx: &TenantCtx, purpose: &str) -> String {
    format!("prfactory-vault-1|{}|{purpose}", ctx.tenant())
}

#[async_trait]
impl Vault for KmsVault {
    async fn seal(&self, ctx: &TenantCtx, purpose: &str, secret: &Secret) -> Result<String, Failure> {
        let request = self.client.generate_data_key().key_id(&self.key).key_spec(DataKeySpec::Aes256);
        let request = request.encryption_context("tenant", ctx.tenant().as_str());
        let answer = request.encryption_context("purpose", purpose).send().await;
        let answer = answer.map_err(|error| Refused::of(&error).repeatable("a secret cannot be sealed"))?;
        let plain = Secret::new(answer.plaintext.ok_or_else(broken)?.into_inner());
        let wrapped = answer.ciphertext_blob.ok_or_else(broken)?.into_inner();
        let key = RandomizedNonceKey::new(&AES_256_GCM, plain.expose()).map_err(|_| broken())?;
        let mut text = secret.expose().to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(about(ctx, purpose)), &mut text).map_err(|_| broken())?;
        let text = STANDARD.encode([nonce.as_ref().as_slice(), &text].concat());
        let sealed = Sealed { v: 1, key: STANDARD.encode(wrapped), text };
        serde_json::to_vec(&sealed).map(|json| STANDARD.encode(json)).map_err(|_| broken())
    }

    async fn open(&self, ctx: &TenantCtx, purpose: &str, sealed: &str) -> Result<Secret, Failure> {
        let json = STANDARD.decode(sealed).map_err(|_| foreign())?;
        let sealed: Sealed = serde_json::from_slice(&json).map_err(|_| foreign())?;
        if sealed.v != 1 {
            return Err(foreign());
        }
        let plain = self.unwrapped(ctx, purpose, &sealed.key).await?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, plain.expose()).map_err(|_| foreign())?;
        let bytes = STANDARD.decode(&sealed.text).map_err(|_| foreign())?;
        let (nonce, text) = bytes.split_first_chunk::<12>().ok_or_else(foreign)?;
        let mut text = text.to_vec();
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(about(ctx, purpose)), &mut text)
            .map_err(|_| foreign())?;
        Ok(Secret::new(opened.to_vec()))
    }
}
