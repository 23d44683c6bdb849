//! A whole system on AWS's interface: the template deployed, real function binaries, signed deliveries over HTTP.

mod setup;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use aws::{Access, ManagedSecrets};
use clock::SystemClock;
use domain::id::{EndpointId, TenantId};
use domain::name::TrackerKey;
use domain::ticket::Ticket;
use engine::Engine;
use engine::port::{Clock as _, Place, Secret, Secrets as _};
use engine::tenancy::TenantCtx;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::aws::Between;
use testkit::git::GitHost;
use testkit::model::ScriptedModel;
use tracker::LocalTracker;
use webhooks::{endpoint_secret, sign};
use xtask::emulator::{Emulator, KEY, REGION, Stack};

use crate::serve::binary;
use crate::world::{commented, labelled};

/// The repository of every tenant.
pub const SHOP: &str = "octo/shop";
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
    policies: bool,
}

/// The endpoint of a tenant, counted from 1.
pub fn endpoint(tenant: usize) -> String {
    format!("ep_{tenant:026}")
}

/// The id of a tenant, counted from 1.
pub fn tenant(number: usize) -> String {
    format!("ten_c{number}")
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

    /// The bare repository.
    pub fn repository(&self) -> PathBuf {
        self.dir.path().join("repositories/shop.git")
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
        self.guided_by(number, key, patience, async |command| self.say(number, key, &command).await).await
    }

    /// The same, said in another way.
    pub async fn guided_by(&self, number: usize, key: &str, patience: Duration, say: impl AsyncFn(String)) -> Ticket {
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
            say(command).await;
        }
    }

    /// Runs git on the bare repository and returns what it printed.
    pub fn run_git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").arg("--git-dir").arg(self.repository()).args(arguments).output().unwrap();
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
