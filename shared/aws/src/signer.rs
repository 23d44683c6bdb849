//! The GitHub App's private key in KMS: it signs there and is never seen.

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeyPair, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    AlgorithmSpec, ExpirationModelType, KeySpec, KeyUsageType, MessageType, OriginType, SigningAlgorithmSpec,
    WrappingKeySpec,
};
use domain::error::{Failure, Fault};
use engine::port::{Secret, Signer};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::access::Access;
use crate::refused::Refused;

/// Signs with an RSA key of KMS.
pub struct KmsSigner {
    client: Client,
    key: String,
}

impl KmsSigner {
    /// Uses a key by its ARN.
    pub fn new(access: &Access, key: String) -> Self {
        Self { client: Client::new(access.config()), key }
    }

    /// Puts the App's private key, as GitHub hands it out, into a new key of KMS, and says that one's ARN. The key
    /// leaves this machine wrapped for KMS alone, and never comes back from there.
    pub async fn import(access: &Access, pem: &Secret) -> Result<String, Failure> {
        let key = read(pem)?;
        let spec = match key.public_modulus_len() {
            256 => KeySpec::Rsa2048,
            384 => KeySpec::Rsa3072,
            512 => KeySpec::Rsa4096,
            _ => return Err(Failure::new(Fault::Invalid, "KMS takes RSA keys of 2048, 3072 or 4096 bits")),
        };
        let client = Client::new(access.config());
        let made = client
            .create_key()
            .description("The private key of PRFactory's GitHub App")
            .key_spec(spec)
            .key_usage(KeyUsageType::SignVerify)
            .origin(OriginType::External)
            .send()
            .await
            .map_err(|error| Refused::of(&error).repeatable("KMS did not say that it made a key, and may have"))?;
        let arn = made.key_metadata.and_then(|key| key.arn).ok_or_else(|| silent("which key it made"))?;
        match fill(&client, &arn, &key).await {
            Ok(()) => Ok(arn),
            Err(failure) => {
                let say = format!("{}; the key {arn} was made for it and is of no use: delete it", failure.message);
                Err(Failure::new(failure.fault, say))
            }
        }
    }
}

#[async_trait]
impl Signer for KmsSigner {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let sent = self
            .client
            .sign()
            .key_id(&self.key)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::RsassaPkcs1V15Sha256)
            .send()
            .await;
        let signed = sent.map_err(|error| Refused::of(&error).repeatable("the GitHub App cannot sign"))?;
        Ok(signed.signature.map(Blob::into_inner).unwrap_or_default())
    }
}

/// Imports a private key into a key of KMS that was made for it.
async fn fill(client: &Client, arn: &str, key: &KeyPair) -> Result<(), Failure> {
    let asked = client
        .get_parameters_for_import()
        .key_id(arn)
        .wrapping_algorithm(AlgorithmSpec::RsaAesKeyWrapSha256)
        .wrapping_key_spec(WrappingKeySpec::Rsa4096)
        .send()
        .await
        .map_err(|error| Refused::of(&error).repeatable("KMS does not say how to wrap a key"))?;
    let (Some(public), Some(token)) = (asked.public_key, asked.import_token) else {
        return Err(silent("how to wrap a key"));
    };
    let wrapped = wrap(key, public.as_ref()).map_err(|_| Failure::new(Fault::Bug, "the key cannot be wrapped"))?;
    client
        .import_key_material()
        .key_id(arn)
        .import_token(token)
        .encrypted_key_material(Blob::new(wrapped))
        .expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire)
        .send()
        .await
        .map_err(|error| Refused::of(&error).repeatable("KMS does not take the key"))?;
    Ok(())
}

/// `RSA_AES_KEY_WRAP_SHA_256`: an AES key under KMS's RSA key, and the private key in PKCS #8 under that (RFC 5649).
fn wrap(key: &KeyPair, public: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let plain: Pkcs8V1Der<'_> = key.as_der()?;
    let mut once = vec![0; 32];
    rand::fill(&mut once)?;
    let once = Secret::new(once);
    let public = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(public)?)?;
    let mut wrapped = vec![0; public.ciphertext_size()];
    public.encrypt(&OAEP_SHA256_MGF1SHA256, once.expose(), &mut wrapped, None)?;
    // Eight bytes for its length, and at most seven to fill the last block.
    let mut under = vec![0; plain.as_ref().len() + 15];
    wrapped.extend_from_slice(AesKek::new(&AES_256, once.expose())?.wrap_with_padding(plain.as_ref(), &mut under)?);
    Ok(wrapped)
}

/// Reads an RSA key in PEM, as `RSA PRIVATE KEY` or as `PRIVATE KEY`.
fn read(pem: &Secret) -> Result<KeyPair, Failure> {
    let key = match PrivateKeyDer::from_pem_slice(pem.expose()) {
        Ok(PrivateKeyDer::Pkcs1(der)) => KeyPair::from_der(der.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(der)) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
        Ok(_) | Err(_) => return Err(no_key()),
    };
    key.map_err(|_| no_key())
}

fn no_key() -> Failure {
    Failure::new(Fault::Invalid, "it is not the private key of a GitHub App: an RSA key in PEM")
}

fn silent(what: &str) -> Failure {
    Failure::new(Fault::Bug, format!("KMS does not say {what}"))
}
