//! Bodies on their way through a queue: compressed, and bounded when they come out again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error::{Failure, Fault};

/// Largest body that is accepted: what API Gateway and Lambda let through.
pub const MAX_BODY: usize = 6 * 1024 * 1024;

/// Compresses a body with zstd and writes it as base64.
pub fn pack(body: &[u8]) -> Result<String, Failure> {
    zstd::bulk::compress(body, 3)
        .map(|bytes| STANDARD.encode(bytes))
        .map_err(|error| Failure::new(Fault::Bug, format!("a body cannot be compressed: {error}")))
}

/// Undoes [`pack`], refusing anything larger than [`MAX_BODY`].
pub fn unpack(text: &str) -> Result<Vec<u8>, Failure> {
    let invalid = || Failure::new(Fault::Invalid, "a queued body cannot be unpacked");
    let bytes = STANDARD.decode(text).map_err(|_| invalid())?;
    // A frame says how long its content is, unless it was written piece by piece.
    let said = zstd::zstd_safe::get_frame_content_size(&bytes).map_err(|_| invalid())?;
    let length = said.map_or(Some(MAX_BODY), |length| usize::try_from(length).ok()).ok_or_else(invalid)?;
    if length > MAX_BODY {
        return Err(invalid());
    }
    zstd::bulk::decompress(&bytes, length).map_err(|_| invalid())
}
