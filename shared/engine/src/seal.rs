//! Sealed messages: a function trusts what it reads because another function of ours wrote it.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use domain::id::TenantId;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::Sha256;
use thiserror::Error;

use crate::port::Secret;
use crate::tenancy::{SystemCtx, TenantCtx};

/// Seals and opens messages under the installation's sealing keys, newest first.
pub struct Sealer {
    keys: RwLock<Keys>,
}

/// Whose keys are known.
#[derive(Default)]
struct Keys {
    own: Vec<Secret>,
    guests: Vec<(&'static str, Vec<Secret>)>,
}

/// A message that cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// It is no sealed message at all.
    #[error("the message is not a sealed one")]
    Malformed,
    /// The seal does not fit message, queue or tenant.
    #[error("the seal does not fit")]
    Forged,
    /// There is no key to seal with.
    #[error("there is no sealing key")]
    NoKey,
    /// The payload cannot be written as JSON.
    #[error("the payload is not serializable")]
    Unserializable,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    queue: String,
    tenant: Option<TenantId>,
    body: Box<RawValue>,
    seal: String,
}

/// A message whose seal held.
pub struct Unsealed<T> {
    /// The tenant it was sealed for, if for one.
    pub tenant: Option<TenantCtx>,
    /// What it says.
    pub body: T,
    /// Who sealed it, where that was a guest: somebody who has a key of its own, and not ours.
    pub by: Option<&'static str>,
}

impl Sealer {
    /// Takes the live sealing keys, newest first; blank ones are dropped.
    pub fn new(keys: Vec<Secret>) -> Self {
        Self { keys: RwLock::new(Keys { own: usable(keys), guests: Vec::new() }) }
    }

    /// Takes other keys from now on, while a process lives on through a rotation; none at all changes nothing.
    ///
    /// A guest's messages are opened, too, but never for a tenant, and whoever opens one is told whose it is.
    pub fn renew(&self, own: Vec<Secret>, guests: Vec<(&'static str, Vec<Secret>)>) {
        let own = usable(own);
        if !own.is_empty() {
            let guests = guests.into_iter().map(|(name, keys)| (name, usable(keys))).collect();
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys { own, guests };
        }
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals a payload for a queue on behalf of a tenant, or of nobody yet.
    pub fn seal<T: Serialize>(&self, queue: &str, tenant: Option<&TenantCtx>, body: &T) -> Result<String, SealError> {
        let body = serde_json::value::to_raw_value(body).map_err(|_| SealError::Unserializable)?;
        let tenant = tenant.map(|ctx| ctx.tenant().clone());
        let keys = self.keys();
        let key = keys.own.first().ok_or(SealError::NoKey)?;
        let seal = hex::encode(mac(key, queue, tenant.as_ref(), body.get())?.finalize().into_bytes());
        let wire = Wire { queue: queue.to_owned(), tenant, body, seal };
        serde_json::to_string(&wire).map_err(|_| SealError::Unserializable)
    }

    /// Opens a message that was sealed for this queue.
    pub fn open<T: for<'a> Deserialize<'a>>(&self, queue: &str, text: &str) -> Result<Unsealed<T>, SealError> {
        let wire: Wire = serde_json::from_str(text).map_err(|_| SealError::Malformed)?;
        let seal = hex::decode(&wire.seal).map_err(|_| SealError::Malformed)?;
        let fits = |key: &Secret| {
            mac(key, queue, wire.tenant.as_ref(), wire.body.get()).is_ok_and(|mac| mac.verify_slice(&seal).is_ok())
        };
        let keys = self.keys();
        let by = if wire.queue != queue {
            return Err(SealError::Forged);
        } else if keys.own.iter().any(fits) {
            None
        } else {
            let guest = keys.guests.iter().find(|(_, keys)| wire.tenant.is_none() && keys.iter().any(fits));
            Some(guest.ok_or(SealError::Forged)?.0)
        };
        let body = serde_json::from_str(wire.body.get()).map_err(|_| SealError::Malformed)?;
        Ok(Unsealed { tenant: wire.tenant.map(TenantCtx::proven), body, by })
    }

    /// Proves to be sweep; whoever holds the sealing key runs the system.
    pub fn system(&self) -> Result<SystemCtx, SealError> {
        if self.keys().own.is_empty() { Err(SealError::NoKey) } else { Ok(SystemCtx::proven()) }
    }

    /// Proves to act for a tenant; whoever holds the sealing key runs the system. For the operator's own tools.
    pub fn operator(&self, tenant: &TenantId) -> Result<TenantCtx, SealError> {
        if self.keys().own.is_empty() { Err(SealError::NoKey) } else { Ok(TenantCtx::proven(tenant.clone())) }
    }
}

fn usable(keys: Vec<Secret>) -> Vec<Secret> {
    keys.into_iter().filter(|key| !key.is_blank()).collect()
}

fn mac(key: &Secret, queue: &str, tenant: Option<&TenantId>, body: &str) -> Result<Hmac<Sha256>, SealError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(|_| SealError::NoKey)?;
    for part in ["prfactory-envelope-1", queue, tenant.map_or("", TenantId::as_str)] {
        mac.update(part.as_bytes());
        mac.update(&[0]);
    }
    mac.update(body.as_bytes());
    Ok(mac)
}
