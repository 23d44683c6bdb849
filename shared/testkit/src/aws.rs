//! A place between functions and AWS's interface: counts calls, sends messages twice, and can hold everything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy that is listening.
pub struct Between {
    address: SocketAddr,
    state: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    upstream: Mutex<String>,
    client: reqwest::Client,
    calls: Mutex<BTreeMap<String, u64>>,
    leases: Mutex<BTreeMap<(String, u64), u64>>,
    twice: AtomicBool,
    trap: Mutex<Option<&'static str>>,
    gate: watch::Sender<bool>,
    held: AtomicUsize,
}

/// Largest request that is passed on.
const MAX_BODY: usize = 512 * 1024 * 1024;

impl Between {
    /// Starts on a free loopback port; where it passes calls on to is said later.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Shared {
            upstream: Mutex::default(),
            client: reqwest::Client::new(),
            calls: Mutex::default(),
            leases: Mutex::default(),
            twice: AtomicBool::new(false),
            trap: Mutex::default(),
            gate: watch::Sender::new(true),
            held: AtomicUsize::new(0),
        });
        let app = Router::new().fallback(pass).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            // The server ends when it is dropped.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, state, server })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Passes calls on to there.
    pub fn leads_to(&self, upstream: String) {
        *lock(&self.state.upstream) = upstream;
    }

    /// How often each operation was called, since the last time this was asked: `dynamodb.GetItem`, `s3.PUT`; and, as
    /// `dynamodb.writes` and `dynamodb.reads`, the units DynamoDB bills, reckoned from what went over the wire.
    pub fn counted(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut lock(&self.state.calls))
    }

    /// Leases of tickets that more than one holder was given: row and fence.
    pub fn doubled_leases(&self) -> Vec<(String, u64)> {
        lock(&self.state.leases).iter().filter(|(_, count)| **count > 1).map(|(lease, _)| lease.clone()).collect()
    }

    /// How many leases were given.
    pub fn leases(&self) -> usize {
        lock(&self.state.leases).len()
    }

    /// Sends every message to a queue twice from now on, or once again.
    pub fn twice(&self, twice: bool) {
        self.state.twice.store(twice, Ordering::Relaxed);
    }

    /// Holds every call once a lease was taken on a row that says this, so that its holder can be caught at work.
    pub fn hold_once_leased(&self, row: &'static str) {
        *lock(&self.state.trap) = Some(row);
    }

    /// How many calls are held.
    pub fn held(&self) -> usize {
        self.state.held.load(Ordering::Relaxed)
    }

    /// Lets what was held go on.
    pub fn release(&self) {
        self.state.gate.send_replace(true);
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an operation is called.
fn named(method: &Method, headers: &HeaderMap, body: &[u8]) -> String {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if let Some((service, operation)) = target.and_then(|target| target.split_once('.')) {
        let service = match service {
            "AmazonSQS" => "sqs",
            "TrentService" => "kms",
            "secretsmanager" => "secretsmanager",
            _ => "dynamodb",
        };
        return format!("{service}.{operation}");
    }
    let text = String::from_utf8_lossy(body.get(..200.min(body.len())).unwrap_or_default()).into_owned();
    match text.split("Action=").nth(1).and_then(|rest| rest.split('&').next()) {
        Some(action) => format!("sts.{action}"),
        None => format!("s3.{method}"),
    }
}

/// The lease on a ticket that a write takes: one that asks for the row to be free.
fn taken(operation: &str, body: &[u8]) -> Option<(String, u64)> {
    if operation != "dynamodb.PutItem" {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let free = body.get("ConditionExpression")?.as_str()?.contains("lease <=");
    let text = |name: &str, kind: &str| Some(body.get("Item")?.get(name)?.get(kind)?.as_str()?.to_owned());
    let row = format!("{}/{}", text("pk", "S")?, text("sk", "S")?);
    text("lease", "N").filter(|_| free && row.ends_with("/TICKET"))?;
    Some((row, text("fence", "N")?.parse().ok()?))
}

/// Units of writing: one a begun kilobyte of an item, one for each entry of an index that comes and goes, all of it twice
/// in a transaction.
fn writes(operation: &str, body: &Value) -> u64 {
    let put = |put: &Value| {
        let item = put.get("Item").and_then(Value::as_object);
        let size = item.map_or(1, |item| u64::try_from(Value::Object(item.clone()).to_string().len()).unwrap_or(1));
        let entries = ["lpk", "dpk"].iter().filter(|name| item.is_some_and(|item| item.contains_key(**name))).count();
        size.div_ceil(1024) + 2 * u64::try_from(entries).unwrap_or(0)
    };
    match operation {
        "dynamodb.PutItem" => put(body),
        // What goes leaves one index at the most behind.
        "dynamodb.DeleteItem" => 2,
        "dynamodb.UpdateItem" => 1,
        "dynamodb.TransactWriteItems" => {
            let all = body.get("TransactItems").and_then(Value::as_array).cloned().unwrap_or_default();
            2 * all.iter().map(|one| one.get("Put").map_or(1, put)).sum::<u64>()
        }
        _ => 0,
    }
}

/// Units of strongly consistent reading: one a begun four kilobytes.
fn reads(operation: &str, answer: &[u8]) -> u64 {
    let reading = ["dynamodb.GetItem", "dynamodb.Query", "dynamodb.BatchGetItem"].contains(&operation);
    if reading { u64::try_from(answer.len()).unwrap_or(0).div_ceil(4096).max(1) } else { 0 }
}

async fn pass(State(state): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return answer(StatusCode::BAD_REQUEST, &HeaderMap::new(), Bytes::new());
    };
    let operation = named(&parts.method, &parts.headers, &body);
    let mut gate = state.gate.subscribe();
    if !*gate.borrow() {
        state.held.fetch_add(1, Ordering::Relaxed);
        // The sender lives as long as the state.
        let _ = gate.wait_for(|open| *open).await;
        state.held.fetch_sub(1, Ordering::Relaxed);
    }
    *lock(&state.calls).entry(operation.clone()).or_default() += 1;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", lock(&state.upstream));
    let send =
        || state.client.request(parts.method.clone(), &url).headers(parts.headers.clone()).body(body.clone()).send();
    if state.twice.load(Ordering::Relaxed) && operation.starts_with("sqs.SendMessage") {
        // The first of the two is the one nobody hears of.
        let _ = send().await;
    }
    let Ok(response) = send().await else {
        return answer(StatusCode::BAD_GATEWAY, &HeaderMap::new(), Bytes::new());
    };
    let (status, headers) = (response.status(), response.headers().clone());
    let Ok(bytes) = response.bytes().await else {
        return answer(StatusCode::BAD_GATEWAY, &HeaderMap::new(), Bytes::new());
    };
    let wish = serde_json::from_slice(&body).unwrap_or(Value::Null);
    for (name, units) in [("writes", writes(&operation, &wish)), ("reads", reads(&operation, &bytes))] {
        if units > 0 {
            *lock(&state.calls).entry(format!("dynamodb.{name}")).or_default() += units;
        }
    }
    if status.is_success()
        && let Some(lease) = taken(&operation, &body)
    {
        *lock(&state.leases).entry(lease).or_default() += 1;
        let mut trap = lock(&state.trap);
        if trap.is_some_and(|row| String::from_utf8_lossy(&body).contains(row)) {
            *trap = None;
            state.gate.send_replace(false);
        }
    }
    answer(status, &headers, bytes)
}

fn answer(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        if name != "transfer-encoding" && name != "content-length" && name != "connection" {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}
