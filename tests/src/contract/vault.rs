//! What every `Vault` promises.

use std::sync::Arc;

use engine::port::{Secret, Vault};

use crate::contract::table::tenant;

/// Runs the suite.
pub async fn vault(vault: Arc<dyn Vault>) {
    let (ours, theirs) = (tenant("ten_contract"), tenant("ten_other"));
    let secret = Secret::new(b"canary-secret".as_slice());
    let sealed = vault.seal(&ours, "git", &secret).await.unwrap();
    assert!(!sealed.contains("canary"));
    assert_ne!(sealed, vault.seal(&ours, "git", &secret).await.unwrap(), "nonces are never used twice");
    assert_eq!(vault.open(&ours, "git", &sealed).await.unwrap().expose(), b"canary-secret");
    assert!(vault.open(&theirs, "git", &sealed).await.is_err(), "another tenant cannot open it");
    assert!(vault.open(&ours, "model", &sealed).await.is_err(), "another purpose cannot open it");
    let middle = sealed.len() / 2;
    let other = if sealed.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let mut tampered = sealed.clone();
    tampered.replace_range(middle..=middle, other);
    assert!(vault.open(&ours, "git", &tampered).await.is_err(), "one changed character is noticed");
}
