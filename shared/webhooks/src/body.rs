//! Bodies on their way through a queue: compressed, and bounded when they come out again.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error::{Failure, Fault};

/// Largest body that is accepted: what API Gateway and Lambda let through.
pub const MAX_BODY: usize = 6 * 1024 * 1024;

/// Compresses a body with zstd and writes it as base64.
pub fn pack(body: &[u8]) -> Result<String, Failure> {
    zstd::encode_all(body, 3)
        .map(|bytes| STANDARD.encode(bytes))
        .map_err(|error| Failure::new(Fault::Bug, format!("a body cannot be compressed: {error}")))
}

/// Undoes [`pack`], refusing anything larger than [`MAX_BODY`].
pub fn unpack(text: &str) -> Result<Vec<u8>, Failure> {
    let invalid = || Failure::new(Fault::Invalid, "a queued body cannot be unpacked");
    let bytes = STANDARD.decode(text).map_err(|_| invalid())?;
    let decoder = zstd::Decoder::new(bytes.as_slice()).map_err(|_| invalid())?;
    let mut body = Vec::new();
    decoder.take(MAX_BODY as u64 + 1).read_to_end(&mut body).map_err(|_| invalid())?;
    if body.len() > MAX_BODY { Err(invalid()) } else { Ok(body) }
}
