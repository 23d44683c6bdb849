//! A whole system on loopback: real webhooks, real workers, real git; only the model is scripted.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::id::EndpointId;
use domain::name::{BranchName, TrackerKey};
use domain::path::RepoPath;
use domain::ticket::Ticket;
use engine::key::{Key, TicketPartition};
use engine::port::{Clock, Index, Secret};
use intake::Answer;
use local::{Settings, SystemClock, Workers, seed};
use prfactory::client::Client;
use prfactory::system::{ModelAccess, Server, System};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::git::GitHost;
use testkit::model::ScriptedModel;
use webhooks::{endpoint_secret, sign};
use workspace::{Revision, create_repository};

/// The machine's clock, which a test can put forward.
#[derive(Default)]
pub struct ShiftedClock {
    seconds: AtomicI64,
}

impl ShiftedClock {
    /// Puts the clock forward.
    pub fn forward(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Duration::from_secs(self.seconds.load(Ordering::Relaxed).unsigned_abs())
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// How a world is set up.
#[derive(Default)]
pub struct Setup {
    /// Lines of `[tenant.policy]`.
    pub policy: String,
    /// Files of the repository, instead of the usual ones.
    pub files: Vec<(&'static str, String)>,
    /// Whether the repository is reached over HTTP with a token.
    pub http: bool,
    /// Whether no worker is started.
    pub idle: bool,
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

/// A running system.
pub struct World {
    /// The ports.
    pub system: System,
    /// The scripted model.
    pub model: ScriptedModel,
    /// The git server, where there is one.
    pub git: Option<GitHost>,
    /// The clock.
    pub clock: Arc<ShiftedClock>,
    /// Everything the world keeps.
    pub dir: TempDir,
    server: Server,
    workers: Option<Workers>,
    settings: Settings,
}

fn usual_files() -> Vec<(&'static str, String)> {
    [
        ("README.md", "# shop\n\nSells things. Prices are in dollars.\n"),
        ("src/price.py", "TAX = 0.2\n\n\ndef total(net):\n    return net + net * TAX\n"),
        ("src/cart.py", "from price import total\n\n\ndef pay(items):\n    return total(sum(items))\n"),
        ("tests/test_price.py", "from price import total\n\n\ndef test_total():\n    assert total(10) == 12\n"),
        (".github/workflows/ci.yml", "on: push\njobs: {}\n"),
    ]
    .map(|(path, text)| (path, text.to_owned()))
    .to_vec()
}

impl World {
    /// Starts a world.
    pub async fn start(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = if setup.files.is_empty() { usual_files() } else { setup.files.clone() };
        let files = files.into_iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), text)).collect();
        let at = "2026-02-01T10:00:00Z".parse().unwrap();
        let history = [Revision { message: "Start".to_owned(), at, files }];
        let main = BranchName::parse("main").unwrap();
        create_repository(&dir.path().join("repositories/shop.git"), &main, &history).unwrap();
        let git = if setup.http {
            let basic = STANDARD.encode(format!("x-access-token:{GIT_TOKEN}"));
            Some(GitHost::start(dir.path().join("repositories"), &format!("Basic {basic}")).await.unwrap())
        } else {
            None
        };
        let data = dir.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(dir.path().join("token"), GIT_TOKEN).unwrap();
        let text = settings(&setup, dir.path(), git.as_ref().map(|git| git.url("shop.git")));
        std::fs::write(data.join("prfactory.toml"), text).unwrap();
        let clock = Arc::new(ShiftedClock::default());
        let system = System::open_at(&data, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let settings = Settings::load(&data).unwrap();
        seed(&system.engine, system.vault.as_ref(), &settings).await.unwrap();
        let model = ScriptedModel::start().await.unwrap();
        let workers = if setup.idle { None } else { Some(system.work(access(&model), 2).unwrap()) };
        let server = Server::start(&system, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        Self { system, model, git, clock, dir, server, workers, settings }
    }

    /// Starts workers in a world that was set up idle.
    pub fn work(&mut self) {
        self.workers = Some(self.system.work(access(&self.model), 2).unwrap());
    }

    /// Lets every worker finish what it has and stops them all.
    pub async fn rest(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop().await;
        }
    }

    /// Stops everything and fails if the model was sent what it did not expect.
    pub async fn end(self) {
        self.server.stop().await;
        if let Some(workers) = self.workers {
            workers.stop().await;
        }
        assert_eq!(self.model.unexpected(), Vec::<String>::new());
    }

    /// Where the webhooks are.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
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

    /// Posts bytes with headers and returns status and body.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
        let mut request = reqwest::Client::new().post(self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// The secret of the Jira endpoint for a generation.
    pub fn endpoint_secret(&self, generation: u32) -> Secret {
        let master = self.system.secrets.versions("endpoint-master").unwrap().remove(0);
        endpoint_secret(&master, &EndpointId::parse(ENDPOINT).unwrap(), generation).unwrap()
    }

    /// Delivers an event of Jira, signed.
    pub async fn jira(&self, event: &Value) -> u16 {
        let body = serde_json::to_vec(event).unwrap();
        let signature = sign(&self.endpoint_secret(1), &body);
        let path = format!("/webhooks/jira/{ENDPOINT}/1");
        self.post(&path, &[("x-hub-signature", &signature)], body).await.0
    }

    /// Delivers an event of GitHub, signed.
    pub async fn github(&self, event: &str, body: &Value) -> u16 {
        let body = serde_json::to_vec(body).unwrap();
        let secret = self.system.secrets.versions("github-webhook").unwrap().remove(0);
        let signature = sign(&secret, &body);
        let headers =
            [("x-hub-signature-256", signature.as_str()), ("x-github-event", event), ("x-github-delivery", "d")];
        self.post("/webhooks/github", &headers, body).await.0
    }

    /// The recorded event of Jira that a label was set, for another ticket.
    pub fn labelled(&self, key: &str, title: &str, body: &str) -> Value {
        let mut event = recorded("jira/issue_updated_labels");
        event["timestamp"] = json!(self.system.engine.clock.now().as_millisecond());
        event["issue"]["key"] = json!(key);
        event["issue"]["fields"]["summary"] = json!(title);
        event["issue"]["fields"]["description"] = json!(body);
        event
    }

    /// The recorded event of Jira that a comment was written.
    pub fn commented(&self, key: &str, id: &str, text: &str) -> Value {
        let mut event = recorded("jira/comment_created");
        event["timestamp"] = json!(self.system.engine.clock.now().as_millisecond());
        event["issue"]["key"] = json!(key);
        event["comment"]["id"] = json!(id);
        event["comment"]["body"] = json!(text);
        event
    }

    /// A member at the command line.
    pub fn client(&self, member: &str) -> Client {
        Client::new(self.system.clone(), &self.settings, None, Some(member)).unwrap()
    }

    /// Says a command as a member.
    pub async fn say(&self, member: &str, key: &str, command: &str) -> Answer {
        self.client(member).say(&TrackerKey::parse(key).unwrap(), command).await.unwrap()
    }

    /// The latest workflow of a ticket.
    pub async fn ticket(&self, key: &str) -> Option<Ticket> {
        self.client("ada").find(&TrackerKey::parse(key).unwrap()).await.unwrap()
    }

    /// What was said on a ticket.
    pub async fn comments(&self, key: &str) -> Vec<String> {
        let client = self.client("ada");
        let key = TrackerKey::parse(key).unwrap();
        let all = self.system.tracker.comments(client.ctx(), &key).await.unwrap();
        all.into_iter().map(|posted| posted.text).collect()
    }

    /// What happened to a ticket, in sentences.
    pub async fn history(&self, key: &str) -> Vec<String> {
        let ticket = self.ticket(key).await.unwrap();
        let client = self.client("ada");
        let partition = Key::partition_of(client.ctx(), TicketPartition::of(&ticket.id).as_str());
        let table = &self.system.engine.table;
        let page = table.query(Index::Primary, &partition, "EVENT#", 1_000, None).await.unwrap();
        page.items.iter().map(|item| item.body["what"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until something is there, at most half a minute.
    pub async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl Fn() -> F) -> T {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..1_500 {
            tick.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
        panic!("waited in vain for {what}");
    }

    /// Waits until a ticket is in a state.
    pub async fn reaches(&self, key: &str, state: &str) -> Ticket {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..1_500 {
            tick.tick().await;
            if let Some(ticket) = self.ticket(key).await {
                if ticket.state.name() == state {
                    return ticket;
                }
                let failed = ticket.state.name() == "failed";
                assert!(!failed || state == "failed", "{key} failed on its way to {state}: {:?}", ticket.state);
            }
        }
        panic!("{key} never reached {state}; it is {:?}", self.ticket(key).await.map(|ticket| ticket.state));
    }

    /// Waits until a comment holds a text.
    pub async fn hears(&self, key: &str, text: &str) -> String {
        let heard = || async { self.comments(key).await.into_iter().find(|comment| comment.contains(text)) };
        self.until(&format!("{text:?} on {key}"), heard).await
    }

    /// Starts a ticket by a delivery and takes it to the plan that waits.
    pub async fn planned(&self, key: &str, title: &str, body: &str) -> Ticket {
        assert_eq!(self.jira(&self.labelled(key, title, body)).await, 202);
        self.to_plan(key).await
    }

    /// Takes a started ticket to the plan that waits.
    pub async fn to_plan(&self, key: &str) -> Ticket {
        let states = ["awaiting_answers", "awaiting_refinement_approval", "awaiting_plan_approval"];
        loop {
            let looks = || async {
                let ticket = self.ticket(key).await?;
                assert_ne!(ticket.state.name(), "failed", "{:?}", ticket.state);
                states.contains(&ticket.state.name()).then_some(ticket)
            };
            let ticket = self.until("a ticket that waits", looks).await;
            match ticket.state.name() {
                "awaiting_answers" => self.say("ada", key, "skip").await,
                "awaiting_refinement_approval" => self.say("apo", key, "approve").await,
                _ => return ticket,
            };
        }
    }

    /// Approves the plan that waits.
    pub async fn approve(&self, member: &str, key: &str) -> Answer {
        let ticket = self.ticket(key).await.unwrap();
        let hash = ticket.awaiting().unwrap().hash.short().to_owned();
        self.say(member, key, &format!("approve {hash}")).await
    }
}

fn access(model: &ScriptedModel) -> ModelAccess {
    ModelAccess {
        url: model.url(),
        key: Secret::new(b"canary-model-key".as_slice()),
        model: Some("scripted".to_owned()),
    }
}

fn settings(setup: &Setup, dir: &Path, url: Option<String>) -> String {
    let location = url.unwrap_or_else(|| dir.join("repositories/shop.git").display().to_string());
    let token = if setup.http { format!("token_file = '{}'\n", dir.join("token").display()) } else { String::new() };
    let mut text = format!(
        "[[tenant]]\nid = \"ten_acme\"\ninstallations = [{INSTALLATION}]\n\n[tenant.policy]\n{}\n\n",
        setup.policy
    );
    for (id, role, github, jira) in [
        ("ada", "admin", ADA_GITHUB, ADA_JIRA),
        ("apo", "approver", 2, "jira-apo"),
        ("wil", "writer", 3, "jira-wil"),
        ("rea", "reader", 4, "jira-rea"),
    ] {
        let _ = writeln!(
            text,
            "[[tenant.member]]\nid = \"mem_{id}\"\nname = \"{id}\"\nrole = \"{role}\"\ngithub = {github}\njira = \"{jira}\"\n\n"
        );
    }
    let _ = writeln!(
        text,
        "[[tenant.repository]]\nname = \"Codertocat/Hello-World\"\nlocation = {location:?}\nbase = \"main\"\nprojects = [\"SHOP\"]\n{token}\n"
    );
    let _ = writeln!(text, "[[tenant.endpoint]]\nid = \"{ENDPOINT}\"\ngeneration = 1\n");
    text
}

/// A recorded delivery.
pub fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A recorded delivery of GitHub, as it reaches the installation of the tests.
pub fn recorded_for_us(name: &str) -> Value {
    let mut event = recorded(&format!("github/{name}"));
    event["installation"]["id"] = json!(INSTALLATION);
    event
}
