#![doc = include_str!("../README.md")]

mod access;
#[cfg(feature = "blobs")]
mod blobs;
#[cfg(feature = "queue")]
mod queue;
mod refused;
#[cfg(feature = "secrets")]
mod secrets;
#[cfg(feature = "session")]
mod session;
#[cfg(feature = "vault")]
mod signer;
#[cfg(feature = "table")]
mod table;
#[cfg(feature = "vault")]
mod vault;

pub use access::Access;
#[cfg(feature = "blobs")]
pub use blobs::S3Blobs;
#[cfg(feature = "queue")]
pub use queue::SqsQueue;
#[cfg(feature = "secrets")]
pub use secrets::{Kept, ManagedSecrets};
#[cfg(feature = "session")]
pub use session::TenantSessions;
#[cfg(feature = "vault")]
pub use signer::KmsSigner;
#[cfg(feature = "table")]
pub use table::DynamoTable;
#[cfg(feature = "vault")]
pub use vault::KmsVault;
