//! The installation's secrets in one file of mode 0600, made on first use.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use engine::port::{Secret, Secrets};

/// The secrets of one machine: a TOML file of hex texts by name, newest first.
#[derive(Debug, Clone)]
pub struct FileSecrets {
    path: PathBuf,
}

/// Names of the secrets every installation has.
const GENERATED: [&str; 4] = ["sealing-key", "endpoint-master", "github-webhook", "vault-master"];

impl FileSecrets {
    /// Opens the secrets of a folder; makes random ones where the file is missing.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("secrets.toml");
        let secrets = Self { path };
        if !secrets.path.exists() {
            secrets.generate()?;
        }
        let mode = std::fs::metadata(&secrets.path).map_err(|error| secrets.failed(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Failure::new(
                Fault::Permission,
                format!("{0} can be read by others; run `chmod 600 {0}`", secrets.path.display()),
            ));
        }
        Ok(secrets)
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::new(Fault::Permission, format!("{} cannot be used: {error}", self.path.display()))
    }

    fn generate(&self) -> Result<(), Failure> {
        let mut all = BTreeMap::new();
        for name in GENERATED {
            let mut bytes = [0u8; 32];
            getrandom::fill(&mut bytes)
                .map_err(|error| Failure::new(Fault::Bug, format!("no random numbers: {error}")))?;
            all.insert(name, vec![hex::encode(bytes)]);
        }
        let text = toml::to_string(&all).map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
        let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path);
        match opened {
            Ok(mut file) => file.write_all(text.as_bytes()).map_err(|error| self.failed(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Loads a secret without waiting; the file is small and local.
    pub fn versions(&self, name: &str) -> Result<Vec<Secret>, Failure> {
        let text = std::fs::read_to_string(&self.path).map_err(|error| self.failed(&error))?;
        let mut all: BTreeMap<String, Vec<String>> = toml::from_str(&text)
            .map_err(|_| Failure::new(Fault::Invalid, format!("{} is not valid TOML", self.path.display())))?;
        let live = all.remove(name).unwrap_or_default();
        Ok(live.into_iter().take(2).map(|text| Secret::new(text.into_bytes())).collect())
    }
}

#[async_trait]
impl Secrets for FileSecrets {
    async fn load(&self, name: &str) -> Result<Vec<Secret>, Failure> {
        self.versions(name)
    }
}
