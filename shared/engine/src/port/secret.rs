//! Secrets: a type that cannot be printed, and where secrets come from.

use async_trait::async_trait;
use domain::error::Failure;
use zeroize::Zeroizing;

use crate::tenancy::TenantCtx;

/// Bytes that must not be printed, logged or serialized; wiped when dropped.
///
/// ```compile_fail,E0277
/// println!("{:?}", engine::port::Secret::new(b"key".as_slice()));
/// ```
///
/// ```compile_fail,E0277
/// println!("{}", engine::port::Secret::new(b"key".as_slice()));
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Wraps bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, if they are.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Somebody else's text without this secret in it.
    pub fn redact(&self, text: &str) -> String {
        match self.expose_text().filter(|_| !self.is_blank()) {
            Some(secret) => text.replace(secret, "***"),
            None => text.to_owned(),
        }
    }

    /// Says whether there is nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.0.iter().all(u8::is_ascii_whitespace)
    }
}

/// Secrets of the whole installation.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Loads the live versions of a secret, newest first; at most two. Empty when there is none.
    async fn load(&self, name: &str) -> Result<Vec<Secret>, Failure>;
}

/// Secrets of one tenant, each for one purpose.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Seals a secret so that only this tenant and purpose can open it; returns text to store.
    async fn seal(&self, ctx: &TenantCtx, purpose: &str, secret: &Secret) -> Result<String, Failure>;

    /// Opens what was sealed for the same tenant and purpose.
    async fn open(&self, ctx: &TenantCtx, purpose: &str, sealed: &str) -> Result<Secret, Failure>;
}
