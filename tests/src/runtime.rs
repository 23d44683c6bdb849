//! Lambda's runtime interface around one function, and as much of AWS as a function asks for at its start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{any, get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};

/// A running function.
pub struct Function {
    process: Child,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<(Value, oneshot::Sender<Value>)>,
    /// How long it took from its start until it asked for its first event.
    pub init: Duration,
}

struct Shared {
    calls: Mutex<BTreeMap<String, u64>>,
    asked: Notify,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Value, oneshot::Sender<Value>)>>,
    open: Mutex<Option<oneshot::Sender<Value>>>,
}

/// The stored secret from which a function derives its own.
pub const ROOT: &str = "root";
/// An ARN of the right shape.
const ARN: &str = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:root";

type Reply = Response<axum::body::Body>;

fn reply(status: u16, headers: &[(&str, &str)], body: String) -> Reply {
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// Waits for an event and hands it to the function.
async fn next(State(shared): State<Arc<Shared>>) -> Reply {
    shared.asked.notify_one();
    let Some((event, answer)) = shared.events.lock().await.recv().await else {
        return reply(500, &[], String::new());
    };
    *shared.open.lock().unwrap() = Some(answer);
    let headers = [
        ("lambda-runtime-aws-request-id", "00000000-0000-0000-0000-000000000000"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:000000000000:function:f"),
    ];
    reply(200, &headers, event.to_string())
}

async fn answered(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    if let Some(open) = shared.open.lock().unwrap().take() {
        // Whoever asked may have given up.
        let _ = open.send(serde_json::from_slice(&body).unwrap_or(Value::Null));
    }
    reply(202, &[], String::new())
}

/// A queue that takes everything, and one secret.
async fn aws(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Reply {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    *shared.calls.lock().unwrap().entry(target.clone()).or_default() += 1;
    let stored = json!({ "current": ROOT }).to_string();
    match target.as_str() {
        "AmazonSQS.SendMessage" => reply(200, &[], json!({ "MessageId": "1", "MD5OfMessageBody": "" }).to_string()),
        "secretsmanager.GetSecretValue" => {
            reply(200, &[], json!({ "ARN": ARN, "Name": "root", "SecretString": stored }).to_string())
        }
        other => panic!("nobody expected {other}"),
    }
}

async fn listen(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // The server ends with the process.
        let _ = axum::serve(listener, app).await;
    });
    address
}

impl Function {
    /// Starts a function and waits until it asks for its first event.
    pub async fn start(bootstrap: &Path) -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            asked: Notify::new(),
            events: tokio::sync::Mutex::new(queue),
            open: Mutex::default(),
        });
        let runtime = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .fallback(any(async || reply(404, &[], String::new())))
            .with_state(Arc::clone(&shared));
        let (runtime, aws) = (listen(runtime).await, Router::new().fallback(any(aws)).with_state(Arc::clone(&shared)));
        let aws = listen(aws).await;
        let started = Instant::now();
        let process = Command::new(bootstrap)
            .env_clear()
            .envs([("AWS_LAMBDA_FUNCTION_NAME", "f"), ("AWS_LAMBDA_FUNCTION_VERSION", "1")])
            .envs([("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"), ("AWS_REGION", "eu-central-1")])
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_SESSION_TOKEN", "test")])
            .envs([("TABLE_NAME", "t"), ("BUCKET_NAME", "b"), ("HANDLE", "prfactory"), ("LABEL", "prfactory")])
            .envs(["GITHUB", "JIRA", "SEALING", "MODEL"].map(|name| (format!("{name}_SECRET_ARN"), ARN)))
            .envs([("TENANT_ROLE_ARN", ARN), ("VAULT_KEY_ARN", ARN), ("MODEL_URL", "http://127.0.0.1:9")])
            .env("QUEUE_PREFIX", format!("http://{aws}/000000000000/"))
            .env("AWS_LAMBDA_RUNTIME_API", runtime.to_string())
            .env("AWS_ENDPOINT_URL", format!("http://{aws}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let patience = tokio::time::timeout(Duration::from_secs(20), shared.asked.notified());
        patience.await.expect("the function never asked for an event");
        Self { process, shared, events, init: started.elapsed() }
    }

    /// Has it handle an event and returns its answer.
    pub async fn handle(&self, event: Value) -> Value {
        let (answer, answered) = oneshot::channel();
        self.events.send((event, answer)).unwrap();
        answered.await.unwrap()
    }

    /// What it asked of AWS since this was asked last.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.shared.calls.lock().unwrap())
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A number of kilobytes that the system keeps of it: `VmRSS`, `VmHWM`.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How long it worked so far, in nanoseconds of processor time.
    pub fn worked(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.id())).unwrap();
        stat.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An event of an HTTP API with a signed delivery of GitHub, as the function of [`ROOT`] checks it.
pub fn delivery(body: &[u8]) -> Value {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mac = Hmac::<sha2::Sha256>::new_from_slice(ROOT.as_bytes()).unwrap();
    let secret = hex::encode(mac.chain_update(b"prfactory-secret-1\0github-webhook").finalize().into_bytes());
    let signature = webhooks::sign(&engine::port::Secret::new(secret.into_bytes()), body);
    json!({
        "version": "2.0", "rawPath": "/webhooks/github", "isBase64Encoded": false,
        "headers": { "x-hub-signature-256": signature, "x-github-event": "issues", "x-github-delivery": "d" },
        "requestContext": { "http": { "method": "POST" } },
        "body": String::from_utf8_lossy(body) })
}
