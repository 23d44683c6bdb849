//! The engine's ports on AWS, put together once for every function that works on tickets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws::{Access, DynamoTable, Kept, KmsVault, ManagedSecrets, S3Blobs, SqsQueue, TenantSessions};
use clock::{SystemClock, SystemIds};
use domain::error::Failure;
use engine::Engine;
use engine::port::{Clock, Secret, Secrets as _, Vault};
use engine::seal::Sealer;
use engine::slot::SLOTS;

use crate::start::{StartError, access};
use crate::variable::{Arn, Prefix};

crate::config! {
    table: String = "TABLE_NAME",
    bucket: String = "BUCKET_NAME",
    queues: Prefix = "QUEUE_PREFIX",
    tenant_role: Arn = "TENANT_ROLE_ARN",
    sealing: Arn = "SEALING_SECRET_ARN",
}

/// What a process's own part of ephemeral storage begins with; its number follows.
const SCRATCH: &str = "prfactory-";
/// What functions seal messages with among themselves.
const SEALING: &str = "sealing-key";

/// What every function has that works on tickets.
pub struct Stack {
    /// The engine's ports, under tenants' own identities.
    pub engine: Engine,
    /// The queues by themselves.
    pub(crate) queue: SqsQueue,
    pub(crate) keys: Arc<Keys>,
    access: Access,
}

/// The keys that messages are sealed and opened with, read again from time to time.
pub(crate) struct Keys {
    secrets: ManagedSecrets,
    /// Whose messages are opened beside our own, and the secrets that they are sealed with.
    guests: Vec<(&'static str, &'static str)>,
    sealer: Arc<Sealer>,
}

impl Keys {
    async fn read(&self) -> Result<(), Failure> {
        let mut guests = Vec::new();
        for (guest, secret) in &self.guests {
            guests.push((*guest, self.secrets.load(secret).await?));
        }
        self.sealer.renew(self.secrets.load(SEALING).await?, guests);
        Ok(())
    }

    /// Follows a rotation; where the keys cannot be read, those at hand go on.
    pub(crate) async fn follow(&self) {
        if let Err(failure) = self.read().await {
            tracing::warn!(error = %failure, "the sealing keys could not be read again");
        }
    }
}

impl Stack {
    /// Reaches AWS as the environment says and reads the sealing key. `guests` seal with keys of their own: each has a
    /// name, that of its key, and where that is stored.
    pub async fn from_env(guests: &[(&'static str, &'static str, &Arn)]) -> Result<Self, StartError> {
        let (config, access) = (Config::from_env()?, access()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stored = guests.iter().map(|(_, name, arn)| (*name, *arn)).chain([(SEALING, &config.sealing)]);
        let kept = stored.map(|(name, arn)| (name, Kept::Derived(arn.to_string())));
        let secrets = ManagedSecrets::new(&access, Arc::clone(&clock), kept);
        let guests = guests.iter().map(|(guest, name, _)| (*guest, *name)).collect();
        let keys = Keys { secrets, guests, sealer: Arc::new(Sealer::new(Vec::new())) };
        keys.read().await?;
        let sessions = TenantSessions::new(&access, config.tenant_role.to_string());
        let queue = SqsQueue::new(&access, config.queues.to_string());
        let engine = Engine {
            table: Arc::new(DynamoTable::new(&access, config.table, Some(sessions.clone()))),
            queue: Arc::new(queue.clone()),
            blobs: Arc::new(S3Blobs::new(&access, config.bucket, Some(sessions))),
            clock,
            ids: Arc::new(SystemIds),
            sealer: Arc::clone(&keys.sealer),
            slots: Some(SLOTS),
            model: None,
        };
        Ok(Self { engine, queue, keys: Arc::new(keys), access })
    }

    /// Tenants' secrets under a key.
    pub fn vault(&self, key: &Arn) -> Arc<dyn Vault> {
        Arc::new(KmsVault::new(&self.access, Arc::clone(&self.engine.clock), key.to_string()))
    }

    /// The GitHub App, where the stack has one: its number, the key in KMS that it signs with, and where it is.
    #[cfg(feature = "github")]
    pub fn github(
        &self,
        app: Option<String>,
        key: Option<String>,
        api: Option<String>,
    ) -> Result<Option<forge::Github>, StartError> {
        let (Some(app), Some(key)) = (app, key) else {
            return Ok(None);
        };
        let wrong = || Failure::new(domain::error::Fault::Invalid, "GITHUB_APP_ID must be the App's number");
        let id = app.parse().map_err(|_| wrong())?;
        let api = api.unwrap_or_else(|| forge::AppSettings::API.to_owned());
        let web = forge::AppSettings::server(&api).unwrap_or(forge::AppSettings::WEB).to_owned();
        let signer = Arc::new(aws::KmsSigner::new(&self.access, key));
        let app = forge::App::new(self.engine.clone(), forge::AppSettings { id, api, web }, signer)?;
        Ok(Some(forge::Github::new(Arc::new(app))))
    }

    /// The newest version of a secret that is stored as it is; empty when there is none yet.
    pub async fn stored(&self, arn: &Arn) -> Result<Secret, StartError> {
        let names = [("stored", Kept::AsIs(arn.to_string()))];
        let secrets = ManagedSecrets::new(&self.access, Arc::clone(&self.engine.clock), names);
        Ok(secrets.load("stored").await?.into_iter().next().unwrap_or_else(|| Secret::new(Vec::new())))
    }
}

/// This process's own part of ephemeral storage. What processes that are gone left there is removed first.
pub fn scratch() -> std::io::Result<PathBuf> {
    let root = std::env::temp_dir();
    for entry in std::fs::read_dir(&root)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(SCRATCH)?.parse::<u32>().ok());
        let gone = number.is_some_and(|number| {
            number == std::process::id() || !Path::new("/proc").join(number.to_string()).exists()
        });
        if gone && let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(error = %error, "what was left in ephemeral storage could not be removed");
        }
    }
    Ok(root.join(format!("{SCRATCH}{}", std::process::id())))
}
