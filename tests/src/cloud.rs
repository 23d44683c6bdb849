//! A whole system on AWS's interface: the template deployed, real function binaries, signed deliveries over HTTP.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws::{Access, DynamoTable, Kept, ManagedSecrets, S3Blobs, SqsQueue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::{SystemClock, SystemIds};
use domain::id::{EndpointId, TenantId};
use domain::name::{BranchName, TrackerKey};
use domain::path::RepoPath;
use domain::ticket::Ticket;
use engine::Engine;
use engine::port::{Clock as _, Place, Secret, Secrets as _};
use engine::seal::Sealer;
use engine::tenancy::TenantCtx;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::aws::Between;
use testkit::git::GitHost;
use testkit::model::ScriptedModel;
use tracker::LocalTracker;
use webhooks::{endpoint_secret, sign};
use workspace::{Revision, create_repository};
use xtask::emulator::{Emulator, KEY, REGION, Stack, Wish};

use crate::serve::binary;
use crate::world::{ADA_GITHUB, ADA_JIRA, GIT_TOKEN, MODEL_KEY, commented, labelled, usual_files};

/// The name of the stack.
pub const STACK: &str = "prfactory";

/// The Python environment of the emulator, which `cargo xtask test` makes.
pub fn python() -> PathBuf {
    let why = "these tests need AWS's interface on this machine: run them with `cargo xtask test`";
    std::env::var_os("PRFACTORY_EMULATOR").expect(why).into()
}

/// The owner's way to an emulator.
pub fn access(emulator: &Emulator) -> Access {
    let secret = Secret::new(KEY.as_bytes());
    Access::new(REGION.to_owned(), Some(emulator.endpoint()), (KEY, &secret), None)
}

/// A deployed system and everything outside that it works with.
pub struct Cloud {
    /// AWS's interface.
    pub emulator: Emulator,
    /// The deployed template.
    pub stack: Stack,
    /// What stands between the functions and that interface.
    pub between: Between,
    /// The scripted model.
    pub model: ScriptedModel,
    /// The git server.
    pub git: GitHost,
    /// The ports, with the operator's credentials.
    pub engine: Engine,
    tracker: LocalTracker,
    secrets: ManagedSecrets,
    http: reqwest::Client,
    dir: TempDir,
}

/// The endpoint of a tenant, counted from 1.
pub fn endpoint(tenant: usize) -> String {
    format!("ep_{tenant:026}")
}

/// The id of a tenant, counted from 1.
pub fn tenant(number: usize) -> String {
    format!("ten_c{number}")
}

fn settings(dir: &Path, git: &GitHost, tenants: usize) -> String {
    let mut text = String::new();
    for number in 1..=tenants {
        let (id, endpoint) = (tenant(number), endpoint(number));
        let (location, token) = (git.url("shop.git"), dir.join("token").display().to_string());
        let _ = write!(
            text,
            "[[tenant]]\nid = \"{id}\"\ninstallations = [{number}]\n\
             [[tenant.member]]\nid = \"mem_ada\"\nname = \"ada\"\nrole = \"admin\"\ngithub = {ADA_GITHUB}\njira = \"{ADA_JIRA}\"\n\
             [[tenant.repository]]\nname = \"octo/shop\"\nlocation = {location:?}\nbase = \"main\"\nprojects = [\"SHOP{number}\"]\ntoken_file = {token:?}\n\
             [[tenant.endpoint]]\nid = \"{endpoint}\"\ngeneration = 1\n"
        );
    }
    text
}

/// A copy of the template for an emulator that never says which keys or context a request names, puts no tag in the
/// place of a variable, and is reached without TLS; all that is left to the tests of the template's own words.
fn for_emulator(mut text: String) -> String {
    for condition in ["dynamodb:LeadingKeys", "aws:SecureTransport"] {
        let asked = format!("\"{condition}\": \"false\"");
        assert!(text.contains(&asked), "the template has other words for {condition}");
        text = text.replace(&asked, &format!("\"{condition}\": \"true\""));
    }
    let (asked, if_said) = ("StringEquals: { \"kms:", "StringEqualsIfExists: { \"kms:");
    assert!(text.contains(asked), "the template has other words for the context of a key");
    text = text.replace(asked, if_said).replace("${!aws:PrincipalTag/tenant}", "*");
    text.replace("T/${aws:PrincipalTag/tenant}/*", "T/*")
}

impl Cloud {
    /// Deploys the template on a fresh emulator and brings in so many tenants, as an operator does it.
    pub async fn start(tenants: usize) -> Self {
        Self::deployed(tenants, false).await
    }

    /// The same, where roles and their policies count: what a function's role does not allow is refused.
    pub async fn with_policies(tenants: usize) -> Self {
        Self::deployed(tenants, true).await
    }

    async fn deployed(tenants: usize, policies: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = usual_files().into_iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), text)).collect();
        let at = "2026-02-01T10:00:00Z".parse().unwrap();
        let history = [Revision { message: "Start".to_owned(), at, files }];
        let repositories = dir.path().join("repositories");
        create_repository(&repositories.join("shop.git"), &BranchName::parse("main").unwrap(), &history).unwrap();
        let basic = STANDARD.encode(format!("x-access-token:{GIT_TOKEN}"));
        let git = GitHost::start(repositories, &format!("Basic {basic}")).await.unwrap();
        let model = ScriptedModel::start().await.unwrap();
        let between = Between::start().await.unwrap();
        let folder = dir.path().join("emulator");
        let wish = Wish { functions: Some(&between.url()), policies, foreground: false };
        let emulator = Emulator::start(&python(), &folder, wish).unwrap();
        between.leads_to(emulator.endpoint());
        let template = std::fs::read_to_string(xtask::program::root().join("template.yaml")).unwrap();
        let template = if policies { for_emulator(template) } else { template };
        let parameters = [("Architecture", "x86_64"), ("ModelUrl", &model.url()), ("ModelName", "scripted")];
        let stack = emulator.deploy(&template, STACK, &parameters).unwrap();
        let output = |name: &str| stack.output(name).unwrap().to_owned();
        let key = json!({ "current": MODEL_KEY }).to_string();
        let put = ["secretsmanager", "put-secret-value", "--secret-id", &output("ModelSecretArn")];
        emulator.aws(&[&put[..], &["--secret-string", &key]].concat()).unwrap();
        let access = access(&emulator);
        let names = [
            ("sealing-key", Kept::Derived(output("SealingSecretArn"))),
            ("github-webhook", Kept::Derived(output("GithubSecretArn"))),
            ("endpoint-master", Kept::Derived(output("JiraSecretArn"))),
        ];
        let secrets = ManagedSecrets::new(&access, Arc::new(SystemClock), names);
        let engine = Engine {
            table: Arc::new(DynamoTable::new(&access, output("TableName"), None)),
            queue: Arc::new(SqsQueue::new(&access, output("QueuePrefix"))),
            blobs: Arc::new(S3Blobs::new(&access, output("BucketName"), None)),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            sealer: Arc::new(Sealer::new(secrets.load("sealing-key").await.unwrap())),
            slots: None,
            model: None,
        };
        let tracker = LocalTracker::new(engine.clone());
        std::fs::write(dir.path().join("token"), GIT_TOKEN).unwrap();
        std::fs::write(dir.path().join("prfactory.toml"), settings(dir.path(), &git, tenants)).unwrap();
        let http = reqwest::Client::new();
        let cloud = Self { emulator, stack, between, model, git, engine, tracker, secrets, http, dir };
        let said = cloud.admin(&["apply", &cloud.dir.path().join("prfactory.toml").display().to_string()]);
        assert_eq!(said["tenants"], json!(tenants));
        cloud
    }

    /// Runs `prfactory admin` as an operator and returns what it says.
    pub fn admin(&self, arguments: &[&str]) -> Value {
        let described = self.emulator.aws(&["cloudformation", "describe-stacks", "--stack-name", STACK]).unwrap();
        let file = self.dir.path().join("stack.json");
        std::fs::write(&file, described.to_string()).unwrap();
        let mut command = Command::new(binary());
        command.args(["--json", "admin", "--stack"]).arg(&file).args(arguments).envs(self.emulator.environment());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Proof to act for a tenant.
    pub fn ctx(&self, number: usize) -> TenantCtx {
        self.engine.sealer.operator(&TenantId::parse(&tenant(number)).unwrap()).unwrap()
    }

    /// The secret that goes by a name.
    pub async fn secret(&self, name: &str) -> Secret {
        self.secrets.load(name).await.unwrap().remove(0)
    }

    /// Sends bytes to the API and returns the status.
    pub async fn post(&self, path: &str, header: (&str, String), body: Vec<u8>) -> u16 {
        let host = format!("{}.execute-api.localhost", self.stack.output("ApiId").unwrap());
        let request = self.http.post(format!("{}{path}", self.emulator.endpoint())).header("host", host);
        request.header(header.0, header.1).body(body).send().await.unwrap().status().as_u16()
    }

    /// Delivers an event of Jira to a tenant's endpoint, signed.
    pub async fn jira(&self, number: usize, event: &Value) -> u16 {
        let (body, id) = (serde_json::to_vec(event).unwrap(), endpoint(number));
        let master = self.secret("endpoint-master").await;
        let secret = endpoint_secret(&master, &EndpointId::parse(&id).unwrap(), 1).unwrap();
        self.post(&format!("/webhooks/jira/{id}/1"), ("x-hub-signature", sign(&secret, &body)), body).await
    }

    /// Sets the label on a ticket of a tenant.
    pub async fn label(&self, number: usize, key: &str, title: &str, body: &str) {
        let event = labelled(SystemClock.now(), key, title, body);
        assert_eq!(self.jira(number, &event).await, 202);
    }

    /// Says a command under a ticket of a tenant.
    pub async fn say(&self, number: usize, key: &str, command: &str) {
        let id = SystemClock.now().as_microsecond().to_string();
        let event = commented(SystemClock.now(), key, &id, &format!("@prfactory {command}"));
        assert_eq!(self.jira(number, &event).await, 202);
    }

    /// The latest workflow of a ticket.
    pub async fn ticket(&self, number: usize, key: &str) -> Option<Ticket> {
        let key = TrackerKey::parse(key).unwrap();
        engine::ticket::latest(&self.engine, &self.ctx(number), &key).await.unwrap().map(|row| row.ticket)
    }

    /// What was said on a ticket.
    pub async fn comments(&self, number: usize, key: &str) -> Vec<String> {
        let all =
            self.tracker.comments(&self.ctx(number), &Place::Ticket(TrackerKey::parse(key).unwrap())).await.unwrap();
        all.into_iter().map(|posted| posted.text).collect()
    }

    /// Waits until a ticket is in one of these states; fails when that takes more than the patience.
    pub async fn reaches(&self, (number, key): (usize, &str), states: &[&str], patience: Duration) -> Ticket {
        let until = SystemClock.now() + patience;
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        while SystemClock.now() < until {
            tick.tick().await;
            if let Some(ticket) = self.ticket(number, key).await {
                if states.contains(&ticket.state.name()) {
                    return ticket;
                }
                assert_ne!(ticket.state.name(), "failed", "{key} failed on its way to {states:?}: {:?}", ticket.state);
            }
        }
        let state = self.ticket(number, key).await.map(|ticket| ticket.state);
        let log = std::fs::read_to_string(self.emulator.log()).unwrap_or_default();
        let tail: Vec<&str> =
            log.lines().rev().filter(|l| l.contains("WARN") || l.contains("ERROR")).take(12).collect();
        panic!("{key} never reached {states:?}; it is {state:?}; the functions said: {tail:#?}");
    }

    /// Waits until a ticket has left a state.
    pub async fn leaves(&self, number: usize, key: &str, state: &str, patience: Duration) {
        let until = SystemClock.now() + patience;
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        while self.ticket(number, key).await.is_none_or(|ticket| ticket.state.name() == state) {
            assert!(SystemClock.now() < until, "{key} never left {state}");
            tick.tick().await;
        }
    }

    /// Waits until a comment says something.
    pub async fn hears(&self, number: usize, key: &str, text: &str, patience: Duration) {
        let until = SystemClock.now() + patience;
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        while !self.comments(number, key).await.iter().any(|comment| comment.contains(text)) {
            assert!(
                SystemClock.now() < until,
                "nobody said {text:?} on {key}: {:#?}",
                self.comments(number, key).await
            );
            tick.tick().await;
        }
    }

    /// Answers and approves what waits until a ticket has its pull request.
    pub async fn guided(&self, number: usize, key: &str, patience: Duration) -> Ticket {
        let waits = ["awaiting_answers", "awaiting_refinement_approval", "awaiting_plan_approval", "in_review"];
        let mut left = waits.to_vec();
        loop {
            let ticket = self.reaches((number, key), &left, patience).await;
            let command = match ticket.state.name() {
                "awaiting_answers" => "skip".to_owned(),
                "awaiting_refinement_approval" => "approve".to_owned(),
                "awaiting_plan_approval" => format!("approve {}", ticket.awaiting().unwrap().hash.short()),
                _ => return ticket,
            };
            left.retain(|state| *state != ticket.state.name());
            self.say(number, key, &command).await;
        }
    }

    /// Runs git on the bare repository and returns what it printed.
    pub fn run_git(&self, arguments: &[&str]) -> String {
        let repository = self.dir.path().join("repositories/shop.git");
        let output = Command::new("git").arg("--git-dir").arg(repository).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// How many messages of each kind a queue has: visible, hidden, delayed.
    pub fn waiting(&self, queue: &str) -> [u64; 3] {
        let url = format!("{}{queue}", self.stack.output("QueuePrefix").unwrap());
        let said = self
            .emulator
            .aws(&["sqs", "get-queue-attributes", "--queue-url", &url, "--attribute-names", "All"])
            .unwrap();
        let names = ["", "NotVisible", "Delayed"];
        names.map(|name| {
            let name = format!("/Attributes/ApproximateNumberOfMessages{name}");
            said.pointer(&name).and_then(Value::as_str).and_then(|count| count.parse().ok()).unwrap_or(0)
        })
    }

    /// Has a function fail at every start, until what this returns is given to [`Cloud::mend`].
    pub fn break_function(&self, name: &str) -> Value {
        let function = format!("{STACK}-{name}");
        let configuration = ["lambda", "get-function-configuration", "--function-name", &function];
        let environment = self.emulator.aws(&configuration).unwrap()["Environment"].clone();
        assert!(environment["Variables"]["QUEUE_PREFIX"].is_string(), "{environment}");
        self.configure(name, &json!({ "Variables": {} }));
        environment
    }

    /// Has a function work again.
    pub fn mend(&self, name: &str, environment: &Value) {
        self.configure(name, environment);
    }

    fn configure(&self, name: &str, environment: &Value) {
        let function = format!("{STACK}-{name}");
        let update = ["lambda", "update-function-configuration", "--function-name", &function, "--environment"];
        self.emulator.aws(&[&update[..], &[&environment.to_string()]].concat()).unwrap();
    }

    /// Hides messages of a queue for so many seconds while they are handled.
    pub fn hidden_for(&self, queue: &str, seconds: u32) {
        let url = format!("{}{queue}", self.stack.output("QueuePrefix").unwrap());
        let wish = json!({ "VisibilityTimeout": seconds.to_string() }).to_string();
        self.emulator.aws(&["sqs", "set-queue-attributes", "--queue-url", &url, "--attributes", &wish]).unwrap();
    }

    /// Lets the timer start sweep, or keeps it from it.
    pub fn sweeps(&self, yes: bool) {
        let function = format!("{STACK}-sweep");
        let limit = ["lambda", "put-function-concurrency", "--function-name", &function];
        let count = if yes { "1" } else { "0" };
        self.emulator.aws(&[&limit[..], &["--reserved-concurrent-executions", count]].concat()).unwrap();
    }

    /// Waits until something holds; fails when that takes more than the patience.
    pub async fn until(&self, what: &str, patience: Duration, holds: impl Fn() -> bool) {
        let until = SystemClock.now() + patience;
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        while SystemClock.now() < until {
            tick.tick().await;
            if holds() {
                return;
            }
        }
        panic!("waited in vain for {what}");
    }

    /// Processes of a function.
    pub fn processes(&self, function: &str) -> Vec<u32> {
        let wanted = format!("AWS_LAMBDA_FUNCTION_NAME={STACK}-{function}");
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // Processes come and go while one looks.
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = format!("HOME={}", self.dir.path().join("emulator").display());
            let has = |text: &str| environment.split(|byte| *byte == 0).any(|variable| variable == text.as_bytes());
            if has(&wanted) && has(&ours) {
                found.push(id);
            }
        }
        found
    }
}
