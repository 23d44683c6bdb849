//! A pack of just the objects we made; git and libgit2 would resend the whole tree.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

use crate::git::object::{Kind, Object};

/// Writes a pack of version 2 without deltas.
pub(crate) fn pack(objects: &[Object]) -> std::io::Result<Vec<u8>> {
    let mut out = b"PACK\0\0\0\x02".to_vec();
    out.extend_from_slice(&u32::try_from(objects.len()).unwrap_or(u32::MAX).to_be_bytes());
    for object in objects {
        header(&mut out, object);
        let mut zlib = ZlibEncoder::new(&mut out, Compression::default());
        zlib.write_all(&object.bytes)?;
        zlib.finish()?;
    }
    let sum = Sha1::digest(&out);
    out.extend_from_slice(&sum);
    Ok(out)
}

/// Type in three bits, size in four and then seven a byte, lowest first.
fn header(out: &mut Vec<u8>, object: &Object) {
    let kind: u8 = match object.kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
    };
    let mut size = object.bytes.len();
    let mut byte = (kind << 4) | low_bits(size, 4);
    size >>= 4;
    while size > 0 {
        out.push(byte | 0x80);
        byte = low_bits(size, 7);
        size >>= 7;
    }
    out.push(byte);
}

fn low_bits(size: usize, bits: u32) -> u8 {
    u8::try_from(size & ((1 << bits) - 1)).unwrap_or(0)
}
