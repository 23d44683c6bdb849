//! The whole system on one machine: ports and functions, put together once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::anthropic::{BASE, Messages};
use anyhow::Context as _;
use domain::error::Failure;
use domain::name::ModelName;
use engine::message::{INTAKE, MODEL, NOTIFY};
use engine::port::{Blobs, Clock, Ids, Queue, RepoTokens, Secret, Secrets, Table, Tracker, Vault};
use engine::seal::Sealer;
use engine::{Disposition, Engine};
use forge::{App, AppSettings, Forges, Github, KeySigner, LocalForge, Writers};
use local::{
    Db, FileSecrets, FolderBlobs, Handler, LocalVault, Removed, Settings, SqliteQueue, SqliteTable, SystemClock,
    SystemIds, Takeover, Workers,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracker::{Jira, LocalTracker, Trackers};
use webhooks::{Receiver, SecretCache};
use workspace::{GitSource, ScratchWorkspace};

use crate::{http, listen};

/// The name people mention.
pub const HANDLE: &str = "prfactory";

/// The ports of one data folder.
#[derive(Clone)]
pub struct System {
    /// The ports every function needs.
    pub engine: Engine,
    /// The installation's secrets.
    pub secrets: Arc<FileSecrets>,
    /// Tenants' secrets.
    pub vault: Arc<dyn Vault>,
    /// Git repositories.
    pub source: Arc<GitSource>,
    /// Opens snapshots.
    pub workspace: Arc<ScratchWorkspace>,
    /// Pull requests of plain git repositories.
    pub forge: Arc<LocalForge>,
    /// Comments on tickets that live here alone.
    pub tracker: Arc<LocalTracker>,
    /// The GitHub App, where the settings have one.
    pub github: Option<Github>,
    /// The sites of Jira.
    pub jira: Arc<Jira>,
    /// The folder.
    pub data: PathBuf,
    db: Db,
    blobs: FolderBlobs,
}

/// How to reach the model.
pub struct ModelAccess {
    /// The provider's address.
    pub url: String,
    /// The key.
    pub key: Secret,
    /// The model where nobody names one.
    pub model: Option<String>,
}

impl ModelAccess {
    /// Takes what the command line and its environment say; `None` without a key.
    pub fn from_args(args: &crate::args::Model) -> Option<Self> {
        Self::of(&args.provider, args.model.clone())
    }

    /// The same for a model that is named elsewhere.
    pub fn of(provider: &crate::args::Provider, model: Option<String>) -> Option<Self> {
        let key = provider.model_key.as_ref().filter(|key| !key.trim().is_empty())?;
        let url = provider.model_url.clone().unwrap_or_else(|| BASE.to_owned());
        Some(Self { url, key: Secret::new(key.trim().as_bytes()), model })
    }
}

impl System {
    /// Opens a data folder, making what is missing.
    pub fn open(data: &Path) -> anyhow::Result<Self> {
        Self::open_at(data, Arc::new(SystemClock))
    }

    /// Opens a data folder under another clock.
    pub fn open_at(data: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let db = Db::open(data).with_context(|| format!("the data folder {} cannot be used", data.display()))?;
        let secrets = Arc::new(FileSecrets::open(data)?);
        let ids: Arc<dyn Ids> = Arc::new(SystemIds);
        let table: Arc<dyn Table> = Arc::new(SqliteTable::new(db.clone()));
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::new(db.clone(), Arc::clone(&clock), Arc::clone(&ids)));
        let folder = FolderBlobs::new(data.join("blobs"), Arc::clone(&clock));
        let blobs: Arc<dyn Blobs> = Arc::new(folder.clone());
        let sealer = Arc::new(Sealer::new(secrets.versions("sealing-key")?));
        let master =
            secrets.versions("vault-master")?.into_iter().next().context("secrets.toml has no `vault-master`")?;
        let vault: Arc<dyn Vault> = Arc::new(LocalVault::new(master));
        // The hands of one machine are shared by the turns of the queues alone, so that a lone tenant has all of them.
        let engine = Engine { table, queue, blobs: Arc::clone(&blobs), clock, ids, sealer, slots: None, model: None };
        let scratch = data.join("scratch");
        let github = github(data, &engine)?;
        let tokens = github.clone().map(|github| Arc::new(github) as Arc<dyn RepoTokens>);
        let source = GitSource::new(engine.clone(), Arc::clone(&vault), &scratch)?.with_tokens(tokens);
        Ok(Self {
            source: Arc::new(source),
            github,
            jira: Arc::new(Jira::new(engine.clone(), Arc::clone(&vault))?),
            workspace: Arc::new(ScratchWorkspace::new(blobs, &scratch)),
            forge: Arc::new(LocalForge::new(engine.clone())),
            tracker: Arc::new(LocalTracker::new(engine.clone())),
            data: data.to_owned(),
            db,
            blobs: folder,
            engine,
            secrets,
            vault,
        })
    }

    /// Intake, for the workers and for the command line alike.
    pub fn intake(&self) -> intake::Intake {
        intake::Intake {
            engine: self.engine.clone(),
            handle: HANDLE.to_owned(),
            label: HANDLE.to_owned(),
            forge: self.forges(),
            tracker: self.trackers(),
        }
    }

    /// Every forge.
    pub fn forges(&self) -> Arc<Forges> {
        Arc::new(Forges::new(self.engine.clone(), self.github.clone()))
    }

    /// Every tracker.
    pub fn trackers(&self) -> Arc<Trackers> {
        let github = self.github.clone().map(|github| Arc::new(github) as Arc<dyn Tracker>);
        Arc::new(Trackers::new(self.engine.clone(), github, Some(Arc::clone(&self.jira) as _)))
    }

    /// What the webhook functions may touch.
    pub fn receiver(&self) -> Receiver {
        let secrets: Arc<dyn Secrets> = Arc::clone(&self.secrets) as Arc<dyn Secrets>;
        Receiver {
            queue: Arc::clone(&self.engine.queue),
            sealer: Arc::clone(&self.engine.sealer),
            secrets: Arc::new(SecretCache::new(secrets, Arc::clone(&self.engine.clock))),
            clock: Arc::clone(&self.engine.clock),
        }
    }

    /// Removes what need not be kept any more.
    pub async fn tidy(&self, keep: Duration) -> Result<Removed, Failure> {
        local::tidy(&self.engine, &self.db, &self.blobs, keep).await
    }

    /// Starts workers for every queue, and sweep; whoever worked here before is gone.
    pub async fn work(&self, model: ModelAccess, count: usize, keep: Duration) -> anyhow::Result<Workers> {
        let takeover = Takeover::of(&self.data, &self.db, self.engine.clock.now()).await?;
        workspace::sweep(&self.data.join("scratch")).context("old scratch directories cannot be removed")?;
        let mut workers = Workers::new(takeover);
        for (queue, handler) in self.handlers(model)? {
            workers.add(&self.engine.queue, queue, count, &handler);
        }
        let engine = self.engine.clone();
        workers.every(SWEEP, move || {
            let engine = engine.clone();
            Box::pin(async move {
                if let Err(failure) = sweep::handle(&engine).await {
                    tracing::warn!(error = %failure, "sweep failed; it comes again");
                }
            })
        });
        if let Some(github) = self.github.clone() {
            let clock = Arc::clone(&self.engine.clock);
            workers.every(RECOVER, move || {
                let (github, now) = (github.clone(), clock.now());
                Box::pin(async move {
                    match github.recover(now).await {
                        Ok(missed) if missed.again == 0 => {}
                        Ok(missed) => tracing::warn!(
                            deliveries = missed.again,
                            oldest.seconds = missed.oldest,
                            "GitHub was asked for deliveries again that had not come through"
                        ),
                        Err(failure) => tracing::warn!(error = %failure, "missed deliveries could not be looked for"),
                    }
                })
            });
        }
        let system = self.clone();
        workers.every(TIDY.min(keep), move || {
            let system = system.clone();
            Box::pin(async move {
                match system.tidy(keep).await {
                    Ok(removed) => tracing::info!(rows = removed.rows, blobs = removed.blobs, "tidied"),
                    Err(failure) => tracing::warn!(error = %failure, "the folder could not be tidied"),
                }
            })
        });
        Ok(workers)
    }

    /// The functions by the queue each of them reads.
    pub fn handlers(&self, access: ModelAccess) -> anyhow::Result<Vec<(&'static str, Handler)>> {
        let (mut engine, workspace) = (self.engine.clone(), Arc::clone(&self.workspace));
        engine.model = access.model.as_deref().map(ModelName::parse).transpose()?;
        let ports = || (engine.clone(), Arc::clone(&workspace) as Arc<dyn engine::port::Workspace>);
        let messages = Messages::new(&access.url, access.key, access.model, Arc::clone(&self.engine.clock))?;
        let model = model::Model { engine: engine.clone(), model: Arc::new(messages) };
        let snapshot = snapshot::Snapshot {
            engine: engine.clone(),
            snapshots: Arc::clone(&self.source) as _,
            workspace: ports().1,
        };
        let publish = publish::Publish {
            engine: engine.clone(),
            workspace: ports().1,
            commits: Arc::new(Writers::new(engine.clone(), Arc::clone(&self.source) as _, self.github.clone())),
            forge: self.forges(),
        };
        let notify = notify::Notify {
            engine: engine.clone(),
            tracker: self.trackers(),
            forge: self.forges(),
            workspace: ports().1,
            handle: HANDLE.to_owned(),
        };
        let analyze = analyze::Analyze { engine: ports().0, workspace: ports().1 };
        let refine = refine::Refine { engine: ports().0, workspace: ports().1 };
        let plan = plan::Plan { engine: ports().0, workspace: ports().1 };
        let implement = implement::Implement { engine: ports().0, workspace: ports().1 };
        let review = review::Review { engine: ports().0, workspace: ports().1 };
        let revise = revise::Revise { engine: ports().0, workspace: ports().1 };
        Ok(vec![
            (INTAKE, handler(self.intake(), async |f, m| intake::handle(&f, &m).await)),
            (MODEL, handler(model, async |f, m| model::handle(&f, &m).await)),
            (NOTIFY, handler(notify, async |f, m| notify::handle(&f, &m).await)),
            ("snapshot", handler(snapshot, async |f, m| snapshot::handle(&f, &m).await)),
            ("analyze", handler(analyze, async |f, m| analyze::handle(&f, &m).await)),
            ("refine", handler(refine, async |f, m| refine::handle(&f, &m).await)),
            ("plan", handler(plan, async |f, m| plan::handle(&f, &m).await)),
            ("implement", handler(implement, async |f, m| implement::handle(&f, &m).await)),
            ("review", handler(review, async |f, m| review::handle(&f, &m).await)),
            ("publish", handler(publish, async |f, m| publish::handle(&f, &m).await)),
            ("revise", handler(revise, async |f, m| revise::handle(&f, &m).await)),
        ])
    }
}

/// How often sweep looks; the webhook path does not wait for it.
const SWEEP: Duration = Duration::from_mins(1);
/// How often missed deliveries of GitHub are looked for.
const RECOVER: Duration = Duration::from_mins(5);
/// How often what need not be kept is removed.
const TIDY: Duration = Duration::from_hours(1);
/// How long it is kept where no settings say so.
pub const KEEP: Duration = Duration::from_hours(30 * 24);

/// The GitHub App of a data folder, if its settings have one. Settings that cannot be read are somebody else's to say.
fn github(data: &Path, engine: &Engine) -> anyhow::Result<Option<Github>> {
    let Some(settings) = Settings::load(data).ok().and_then(|settings| settings.github) else {
        return Ok(None);
    };
    let file = data.join(&settings.private_key_file);
    let pem =
        std::fs::read(&file).with_context(|| format!("the App's private key {} cannot be read", file.display()))?;
    let signer = Arc::new(KeySigner::from_pem(&Secret::new(pem))?);
    let app = AppSettings {
        id: settings.app_id,
        api: settings.api.unwrap_or_else(|| AppSettings::API.to_owned()),
        web: settings.web.unwrap_or_else(|| AppSettings::WEB.to_owned()),
    };
    Ok(Some(Github::new(Arc::new(App::new(engine.clone(), app, signer)?))))
}

fn handler<F, H, R>(function: F, handle: H) -> Handler
where
    F: Clone + Send + Sync + 'static,
    H: Fn(F, String) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = Disposition> + Send + 'static,
{
    Arc::new(move |message| {
        let (function, handle) = (function.clone(), handle.clone());
        Box::pin(async move { handle(function, message.body).await })
    })
}

/// The webhook server of one process.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts to listen.
    pub async fn start(system: &System, listen: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; is another `prfactory serve` running?"))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let app = http::router(system.receiver());
        let task = tokio::spawn(listen::serve(listener, app, stopped));
        Ok(Self { address, stop, task })
    }

    /// Finishes the deliveries that are under way and stops.
    pub async fn stop(self) {
        // The receiver is gone only when the server ended by itself.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}
