//! What every `Blobs` promises.

use std::sync::Arc;

use domain::hash::ContentHash;
use engine::port::Blobs;

use crate::contract::table::tenant;

/// Runs the suite.
pub async fn blobs(blobs: Arc<dyn Blobs>) {
    let (ours, theirs) = (tenant("ten_contract"), tenant("ten_other"));
    let large = vec![0u8; 1_000_000];
    for bytes in [b"".as_slice(), b"text", &large] {
        let hash = blobs.put(&ours, bytes).await.unwrap();
        assert_eq!(hash, ContentHash::of(bytes));
        assert_eq!(blobs.put(&ours, bytes).await.unwrap(), hash, "storing again changes nothing");
        assert_eq!(blobs.load(&ours, &hash).await.unwrap(), bytes);
        let foreign = blobs.load(&theirs, &hash).await.unwrap_err();
        let missing = blobs.load(&theirs, &ContentHash::of(b"never stored")).await.unwrap_err();
        assert_eq!(foreign.fault, missing.fault, "another tenant's blob is as absent as a missing one");
    }
}
