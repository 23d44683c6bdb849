//! Tenants' secrets under one local master key: AES-256-GCM, bound to tenant and purpose.

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error::{Failure, Fault};
use engine::port::{Secret, Vault};
use engine::tenancy::TenantCtx;

/// The vault of one machine.
pub struct LocalVault {
    master: Secret,
}

impl LocalVault {
    /// Uses a master key.
    pub fn new(master: Secret) -> Self {
        Self { master }
    }

    /// A key of its own for each tenant and purpose.
    fn key(&self, ctx: &TenantCtx, purpose: &str) -> Result<RandomizedNonceKey, Failure> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"prfactory-vault-1");
        let info = [ctx.tenant().as_str().as_bytes(), b"\0", purpose.as_bytes()];
        let mut key = [0u8; 32];
        salt.extract(self.master.expose())
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &key))
            .map_err(|_| Failure::new(Fault::Bug, "the vault has no usable key"))
    }
}

fn aad(ctx: &TenantCtx, purpose: &str) -> Aad<String> {
    Aad::from(format!("{}|{purpose}", ctx.tenant()))
}

#[async_trait]
impl Vault for LocalVault {
    async fn seal(&self, ctx: &TenantCtx, purpose: &str, secret: &Secret) -> Result<String, Failure> {
        let mut bytes = secret.expose().to_vec();
        let nonce = self
            .key(ctx, purpose)?
            .seal_in_place_append_tag(aad(ctx, purpose), &mut bytes)
            .map_err(|_| Failure::new(Fault::Bug, "a secret cannot be sealed"))?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&bytes);
        Ok(STANDARD.encode(sealed))
    }

    async fn open(&self, ctx: &TenantCtx, purpose: &str, sealed: &str) -> Result<Secret, Failure> {
        let foreign = || Failure::new(Fault::Permission, "a sealed secret is not for this tenant and purpose");
        let sealed = STANDARD.decode(sealed).map_err(|_| foreign())?;
        let (nonce, bytes) = sealed.split_first_chunk::<12>().ok_or_else(foreign)?;
        let mut bytes = bytes.to_vec();
        let opened = self
            .key(ctx, purpose)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad(ctx, purpose), &mut bytes)
            .map_err(|_| foreign())?;
        Ok(Secret::new(opened.to_vec()))
    }
}
