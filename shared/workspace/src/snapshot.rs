//! The stored form of a snapshot: an index of every entry, then the content of every file that may be read.

use std::io::{Read, Write};

use domain::error::{Failure, Fault};
use domain::name::CommitSha;
use engine::port::{EntryKind, TreeEntry};
use serde::{Deserialize, Serialize};

/// How large a repository may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most entries, directories included.
    pub entries: usize,
    /// Largest file whose content is kept; larger ones are listed only.
    pub file_bytes: u64,
    /// Most bytes of content in all.
    pub total_bytes: u64,
    /// Largest single object that is inflated; larger ones must be left out by the server.
    pub object_bytes: u64,
    /// Most bytes of one fetch as they come over the wire.
    pub pack_bytes: u64,
}

impl Limits {
    /// What a function with half a gigabyte of ephemeral storage can carry.
    pub const STANDARD: Self = Self {
        entries: 50_000,
        file_bytes: 1024 * 1024,
        total_bytes: 256 * 1024 * 1024,
        object_bytes: 128 * 1024 * 1024,
        pack_bytes: 512 * 1024 * 1024,
    };
}

/// An entry with where its content is in the data that follows the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexEntry {
    #[serde(flatten)]
    pub(crate) entry: TreeEntry,
    /// Offset of the content; absent when it is not kept.
    pub(crate) at: Option<u64>,
}

/// The index of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotIndex {
    pub(crate) commit: CommitSha,
    pub(crate) entries: Vec<IndexEntry>,
}

const MAGIC: &[u8; 8] = b"PRFSNAP1";

/// Writes a snapshot, asking for each content once and only after its size was found fit.
pub(crate) fn write(
    commit: CommitSha,
    mut entries: Vec<TreeEntry>,
    limits: Limits,
    content: &mut dyn FnMut(&TreeEntry) -> Result<Vec<u8>, Failure>,
) -> Result<Vec<u8>, Failure> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut at = 0u64;
    let mut index = SnapshotIndex { commit, entries: Vec::with_capacity(entries.len()) };
    for entry in entries {
        let kept = matches!(entry.kind, EntryKind::Regular | EntryKind::Executable) && entry.size <= limits.file_bytes;
        let place = kept.then_some(at);
        at += if kept { entry.size } else { 0 };
        index.entries.push(IndexEntry { entry, at: place });
    }
    if at > limits.total_bytes {
        let (is, most) = (at / 1024 / 1024, limits.total_bytes / 1024 / 1024);
        return Err(Failure::new(
            Fault::Invalid,
            format!("the repository has {is} MiB of text; the most is {most} MiB"),
        ));
    }
    let head = serde_json::to_vec(&index).map_err(|e| Failure::new(Fault::Bug, e.to_string()))?;
    let mut out = zstd::Encoder::new(Vec::new(), 3).map_err(|e| io(&e))?;
    out.write_all(MAGIC).map_err(|e| io(&e))?;
    out.write_all(&(head.len() as u64).to_le_bytes()).map_err(|e| io(&e))?;
    out.write_all(&head).map_err(|e| io(&e))?;
    for kept in index.entries.iter().filter(|kept| kept.at.is_some()) {
        let bytes = content(&kept.entry)?;
        if bytes.len() as u64 != kept.entry.size {
            return Err(Failure::new(Fault::Invalid, format!("`{}` is not as large as git says", kept.entry.path)));
        }
        out.write_all(&bytes).map_err(|e| io(&e))?;
    }
    out.finish().map_err(|e| io(&e))
}

/// Reads the index and copies the data that follows it, holding neither whole in memory.
pub(crate) fn unpack(bytes: &[u8], data: &mut impl Write, limits: Limits) -> Result<SnapshotIndex, Failure> {
    let damaged = || Failure::new(Fault::Bug, "a stored snapshot is damaged");
    let mut from = zstd::Decoder::new(bytes).map_err(|e| io(&e))?;
    let mut magic = [0u8; 8];
    let mut length = [0u8; 8];
    from.read_exact(&mut magic).map_err(|_| damaged())?;
    from.read_exact(&mut length).map_err(|_| damaged())?;
    let length = u64::from_le_bytes(length);
    if magic != *MAGIC || length > 256 * 1024 * 1024 {
        return Err(damaged());
    }
    let mut head = Vec::new();
    from.by_ref().take(length).read_to_end(&mut head).map_err(|e| io(&e))?;
    let index = serde_json::from_slice(&head).map_err(|_| damaged())?;
    std::io::copy(&mut from.take(limits.total_bytes), data).map_err(|e| io(&e))?;
    Ok(index)
}

pub(crate) fn io(error: &std::io::Error) -> Failure {
    let fault = if error.kind() == std::io::ErrorKind::StorageFull { Fault::Transient } else { Fault::Bug };
    Failure::new(fault, format!("ephemeral storage: {error}"))
}
