//! Blobs in a folder: one directory a tenant, one file a hash, written aside and moved into place.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TenantId;
use engine::port::{Blobs, Clock};
use engine::tenancy::TenantCtx;

/// The blobs of one machine.
#[derive(Clone)]
pub struct FolderBlobs {
    root: PathBuf,
    clock: Arc<dyn Clock>,
}

impl FolderBlobs {
    /// Keeps blobs under a folder.
    pub fn new(root: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self { root: root.into(), clock }
    }

    fn now(&self) -> SystemTime {
        self.clock.now().into()
    }

    /// Removes blobs that nobody stored or used for that long; says how many.
    pub(crate) async fn sweep(&self, used: Vec<(TenantId, ContentHash)>, keep: Duration) -> Result<usize, Failure> {
        let (root, now) = (self.root.clone(), self.now());
        let places: Vec<PathBuf> = used.iter().map(|(tenant, hash)| self.at(tenant, hash)).collect();
        let work = move || {
            for place in places {
                touch(&place, now)?;
            }
            match (root.exists(), now.checked_sub(keep)) {
                (true, Some(before)) => sweep(&root, before),
                (false, _) | (_, None) => Ok(0),
            }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|error| failed("old blobs cannot be removed", &error)),
            Err(_) => Err(Failure::new(Fault::Bug, "removing old blobs was aborted")),
        }
    }

    fn place(&self, ctx: &TenantCtx, hash: &ContentHash) -> PathBuf {
        self.at(ctx.tenant(), hash)
    }

    fn at(&self, tenant: &TenantId, hash: &ContentHash) -> PathBuf {
        let shard: String = hash.as_str().chars().take(2).collect();
        self.root.join(tenant.as_str()).join(shard).join(hash.as_str())
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    let kind = error.kind();
    let passing = matches!(kind, std::io::ErrorKind::StorageFull | std::io::ErrorKind::Interrupted);
    let denied = matches!(kind, std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem);
    let fault = match (passing, denied) {
        (true, _) => Fault::Transient,
        (_, true) => Fault::Permission,
        (false, false) => Fault::Bug,
    };
    Failure::new(fault, format!("{what}: {error}"))
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn put(&self, ctx: &TenantCtx, bytes: &[u8]) -> Result<ContentHash, Failure> {
        let hash = ContentHash::of(bytes);
        let place = self.place(ctx, &hash);
        let (bytes, now) = (bytes.to_vec(), self.now());
        let written = tokio::task::spawn_blocking(move || write(&place, &bytes, now)).await;
        match written {
            Ok(Ok(())) => Ok(hash),
            Ok(Err(error)) => Err(failed("a blob cannot be stored", &error)),
            Err(_) => Err(Failure::new(Fault::Bug, "storing a blob was aborted")),
        }
    }

    async fn load(&self, ctx: &TenantCtx, hash: &ContentHash) -> Result<Vec<u8>, Failure> {
        let place = self.place(ctx, hash);
        let read = tokio::task::spawn_blocking(move || std::fs::read(place)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Failure::new(
                    Fault::Invalid,
                    format!(
                        "blob {} is gone; what is not used for long is removed. Say `analyze` to start afresh",
                        hash.short()
                    ),
                ));
            }
            Ok(Err(error)) => return Err(failed("a blob cannot be read", &error)),
            Err(_) => return Err(Failure::new(Fault::Bug, "reading a blob was aborted")),
        };
        if ContentHash::of(&bytes) == *hash {
            Ok(bytes)
        } else {
            Err(Failure::new(Fault::Bug, format!("blob {} is damaged", hash.short())))
        }
    }
}

/// Removes blobs that nobody stored for longer than that; says how many.
fn sweep(root: &Path, before: SystemTime) -> std::io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_dir() {
            removed += sweep(&entry.path(), before)?;
        } else if found.modified()? < before {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Makes a blob as good as new; says whether it is there.
fn touch(place: &Path, now: SystemTime) -> std::io::Result<bool> {
    match std::fs::File::options().append(true).open(place) {
        Ok(file) => file.set_modified(now).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(place: &Path, bytes: &[u8], now: SystemTime) -> std::io::Result<()> {
    // Storing again is a use: the blob stays as long as one that is new.
    if touch(place, now)? {
        return Ok(());
    }
    let folder = place.parent().unwrap_or(place);
    std::fs::create_dir_all(folder)?;
    let mut aside = tempfile::NamedTempFile::new_in(folder)?;
    aside.write_all(bytes)?;
    aside.as_file().sync_data()?;
    aside.persist(place).map_err(|error| error.error)?;
    Ok(())
}
