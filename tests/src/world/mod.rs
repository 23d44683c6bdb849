//! A whole system on loopback: real webhooks, real workers, real git; only the model is scripted.

mod app;
mod deliveries;
mod reading;
mod setup;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::name::{BranchName, TrackerKey};
use domain::path::RepoPath;
use engine::port::Clock;
use intake::Answer;
use local::{Settings, Workers, seed};
use prfactory::client::Client;
use prfactory::system::{KEEP, Server, System};
use tempfile::TempDir;
use testkit::git::GitHost;
use testkit::github::GithubHost;
use testkit::jira::JiraHost;
use testkit::model::ScriptedModel;
use workspace::{Revision, create_repository};

pub use app::{REPO, REPO_ID, STRANGER, tally};
pub use deliveries::{Signed, commented, labelled, recorded, recorded_for_us};
pub use reading::left;
pub use setup::{ShiftedClock, access, usual_files};

use crate::disk::Disk;
use crate::serve::Serve;

/// How a world is set up.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own that few tests have")]
#[derive(Default)]
pub struct Setup {
    /// Lines of `[tenant.policy]`.
    pub policy: String,
    /// How long a git server may be silent, where a test cannot wait for the usual time.
    pub patience: Option<Duration>,
    /// The size of the disk the data folder is on in MiB, where it is one of its own.
    pub disk: Option<u64>,
    /// What `serve` logs, where that is not the usual.
    pub log: String,
    /// Lines before the first tenant.
    pub settings: String,
    /// Files of the repository, instead of the usual ones.
    pub files: Vec<(&'static str, String)>,
    /// Whether the repository is reached over HTTP with a token.
    pub http: bool,
    /// Whether the repository is on GitHub, reached through the App.
    pub app: bool,
    /// Whether the tenant is connected to a site of Jira.
    pub jira: bool,
    /// Whether that repository can be read by everybody.
    pub public: bool,
    /// Whether no worker is started.
    pub idle: bool,
    /// Whether `prfactory serve` runs as a process of its own.
    pub apart: bool,
    /// How many more repositories there are, `octo/more-1` for the tickets of `MOREA` and so on.
    pub more: usize,
    /// Whether a second tenant has everything by the same names.
    pub neighbour: bool,
    /// Whether that tenant's repository is a plain one, whatever ours is.
    pub plain_neighbour: bool,
    /// Workers of each queue; 2 unless told otherwise.
    pub workers: usize,
}

/// The token of the git server; shaped like a real one.
pub const GIT_TOKEN: &str = "canary-git-token-4f1b0c";
/// The address of Ada, an admin, in the recorded deliveries of Jira.
pub const ADA_JIRA: &str = "712020:00000000-0000-4000-8000-00000000ada0";
/// The person in the recorded deliveries of GitHub.
pub const ADA_GITHUB: u64 = 21_031_067;
/// The installation the tests use.
pub const INSTALLATION: u64 = 957_387;
/// The endpoint's id.
pub const ENDPOINT: &str = "ep_0123456789abcdef0123456789";
/// The key for the model.
pub const MODEL_KEY: &str = "canary-model-key-77d2";
/// The installation of the neighbour.
pub const NEXT_INSTALLATION: u64 = 957_388;
/// The endpoint of the neighbour.
pub const NEXT_ENDPOINT: &str = "ep_ffffffffffffffffffffffffff";

/// A running system.
pub struct World {
    /// The ports.
    pub system: System,
    /// The scripted model.
    pub model: ScriptedModel,
    /// The git server, where there is one.
    pub git: Option<GitHost>,
    /// GitHub, where there is one.
    pub github: Option<GithubHost>,
    /// The site of Jira, where there is one.
    pub site: Option<JiraHost>,
    /// The clock.
    pub clock: Arc<ShiftedClock>,
    /// The disk of the data folder, where it has one of its own.
    pub disk: Option<Disk>,
    /// Everything the world keeps.
    pub dir: TempDir,
    /// The process that serves, where it is one of its own.
    pub serve: Option<Serve>,
    server: Option<Server>,
    workers: Option<Workers>,
    count: usize,
    settings: Settings,
    http: reqwest::Client,
}

impl World {
    /// Starts a world.
    #[expect(clippy::too_many_lines, reason = "what a world is made of, in one order")]
    pub async fn start(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = if setup.files.is_empty() { setup::usual_files() } else { setup.files.clone() };
        let files = files.into_iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), text)).collect();
        let at = "2026-02-01T10:00:00Z".parse().unwrap();
        let history = [Revision { message: "Start".to_owned(), at, files }];
        let main = BranchName::parse("main").unwrap();
        let repositories = dir.path().join("repositories");
        let more = (1..=setup.more).map(|number| format!("more-{number}.git"));
        for name in ["shop.git".to_owned(), "next.git".to_owned()].into_iter().chain(more) {
            create_repository(&repositories.join(name), &main, &history).unwrap();
        }
        let git = if setup.http {
            let basic = STANDARD.encode(format!("x-access-token:{GIT_TOKEN}"));
            Some(GitHost::start(repositories, &format!("Basic {basic}")).await.unwrap())
        } else {
            None
        };
        let data = dir.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let clock = Arc::new(setup::ShiftedClock::default());
        let github = if setup.app { Some(app::start(&setup, dir.path(), &clock).await) } else { None };
        let disk = setup.disk.map(|size| Disk::on(&data, size));
        std::fs::write(dir.path().join("token"), GIT_TOKEN).unwrap();
        let text = app::settings(github.as_ref()) + &setup::settings(&setup, dir.path(), git.as_ref());
        std::fs::write(data.join("prfactory.toml"), text).unwrap();
        let mut system = System::open_at(&data, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        if let Some(patience) = setup.patience {
            system.source = Arc::new(system.source.as_ref().clone().with_patience(patience).unwrap());
        }
        let settings = Settings::load(&data).unwrap();
        seed(&system.engine, system.vault.as_ref(), &settings).await.unwrap();
        let model = ScriptedModel::start().await.unwrap();
        let count = setup.workers.max(if setup.workers == 0 { 2 } else { 1 });
        let http = reqwest::Client::new();
        let (serve, server) = if setup.apart {
            (Some(Serve::start(&data, &model, count, &setup.log)), None)
        } else {
            (None, Some(Server::start(&system, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap()))
        };
        let mut world = Self {
            system,
            model,
            git,
            github,
            site: None,
            clock,
            disk,
            dir,
            serve,
            server,
            workers: None,
            count,
            settings,
            http,
        };
        if let Some(github) = &world.github {
            let secret = world.system.secrets.versions("github-webhook").unwrap().remove(0);
            github.connect(&world.url("/webhooks/github"), secret.expose());
        }
        if setup.jira {
            world.site = Some(app::site(&world).await);
        }
        if !setup.idle && !setup.apart {
            world.work().await;
        }
        world
    }

    /// Starts workers in a world that was set up idle.
    pub async fn work(&mut self) {
        self.workers = Some(self.system.work(setup::access(&self.model), self.count, KEEP).await.unwrap());
    }

    /// Lets every worker finish what it has and stops them all.
    pub async fn rest(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop().await;
        }
    }

    /// Starts `prfactory serve` again after it was killed.
    pub fn restart(&mut self) {
        self.serve = Some(Serve::start(&self.dir.path().join("data"), &self.model, self.count, ""));
    }

    /// Stops everything and fails if the model was sent what it did not expect.
    pub async fn end(mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.rest().await;
        assert_eq!(self.model.unexpected(), Vec::<String>::new());
        if let Some(github) = &self.github {
            assert_eq!(github.wrong(), Vec::<String>::new());
        }
        if let Some(site) = &self.site {
            assert_eq!(site.wrong(), Vec::<String>::new());
        }
        tally();
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match (&self.serve, &self.server) {
            (Some(serve), _) => serve.address,
            (None, Some(server)) => server.address,
            (None, None) => panic!("nobody listens"),
        }
    }

    /// Where the webhooks are.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The bare repository.
    pub fn repository(&self) -> PathBuf {
        self.dir.path().join("repositories/shop.git")
    }

    /// Runs git on the bare repository and returns what it printed.
    pub fn run_git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").arg("--git-dir").arg(self.repository()).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The branches the repository has.
    pub fn branches(&self) -> Vec<String> {
        self.run_git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]).lines().map(str::to_owned).collect()
    }

    /// A member at the command line.
    pub fn client(&self, member: &str) -> Client {
        self.client_of("ten_acme", member)
    }

    /// A member of a tenant at the command line.
    pub fn client_of(&self, tenant: &str, member: &str) -> Client {
        Client::new(self.system.clone(), &self.settings, Some(tenant), Some(member)).unwrap()
    }

    /// Says a command as a member.
    pub async fn say(&self, member: &str, key: &str, command: &str) -> Answer {
        self.client(member).say(&TrackerKey::parse(key).unwrap(), command).await.unwrap()
    }
}
