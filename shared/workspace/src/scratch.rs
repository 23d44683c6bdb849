//! Directories for one piece of work: named by us alone, closed to others, gone afterwards.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use engine::tenancy::TenantCtx;

/// A directory `w/<tenant>/<random>` of mode 0700 that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a fresh directory under a root.
    pub fn new(root: &Path, ctx: &TenantCtx) -> std::io::Result<Self> {
        let path = root.join("w").join(ctx.tenant().as_str()).join(uuid::Uuid::now_v7().simple().to_string());
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(error = %error, "a scratch directory could not be removed; the next start sweeps it");
        }
    }
}

/// Removes what a killed process left under a root; called before any work starts.
pub fn sweep(root: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(root.join("w")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
