//! The GitHub App's private key in KMS: it signs there and is never seen.

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use domain::error::Failure;
use engine::port::Signer;

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
