//! Secrets of webhooks: cached, re-read rarely however many bad signatures come in, derived per endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::Timestamp;
use domain::error::Failure;
use domain::id::EndpointId;
use engine::port::{Clock, Secret, Secrets};
use hmac::{Hmac, KeyInit, Mac};
use jiff::SignedDuration;
use sha2::Sha256;

/// How long a secret is used before it is read again.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// How soon a signature that does not fit may cause another read.
const REREAD: SignedDuration = SignedDuration::from_mins(1);

/// The installation's secrets, in memory for minutes.
pub struct SecretCache {
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<String, (Timestamp, Vec<Secret>)>>,
}

impl SecretCache {
    /// Starts empty.
    pub fn new(secrets: Arc<dyn Secrets>, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, clock, known: Mutex::default() }
    }

    /// The live versions of a secret, newest first.
    pub async fn load(&self, name: &str) -> Result<Vec<Secret>, Failure> {
        self.load_unless_read_within(name, FRESH).await.map(|(secrets, _)| secrets)
    }

    /// The live versions after a signature did not fit; `None` when they were read too recently to ask again.
    pub async fn reload(&self, name: &str) -> Result<Option<Vec<Secret>>, Failure> {
        let (secrets, read) = self.load_unless_read_within(name, REREAD).await?;
        Ok(read.then_some(secrets))
    }

    async fn load_unless_read_within(
        &self,
        name: &str,
        window: SignedDuration,
    ) -> Result<(Vec<Secret>, bool), Failure> {
        let now = self.clock.now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some((at, secrets)) = known
            && now.duration_since(at) < window
        {
            return Ok((secrets, false));
        }
        let secrets = self.secrets.load(name).await?;
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), (now, secrets.clone()));
        Ok((secrets, true))
    }
}

/// The secret of a tenant's endpoint: derived, so that checking it needs no look-up. Hex text.
pub fn endpoint_secret(master: &Secret, endpoint: &EndpointId, generation: u32) -> Option<Secret> {
    if master.is_blank() {
        return None;
    }
    let mac = Hmac::<Sha256>::new_from_slice(master.expose()).ok()?;
    let mac = mac.chain_update(b"prfactory-endpoint-1\0").chain_update(endpoint.as_str()).chain_update(b"\0");
    let derived = mac.chain_update(generation.to_string()).finalize().into_bytes();
    Some(Secret::new(hex::encode(derived).into_bytes()))
}
