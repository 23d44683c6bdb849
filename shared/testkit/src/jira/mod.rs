//! A stand-in for a site of Jira Cloud: its REST API, people who write and label, deliveries to one endpoint.
//!
//! It keeps state, checks every request and every answer of its own against the published description, lets nobody do
//! what their permissions do not allow, and remembers whatever no Jira would take.
#![allow(clippy::indexing_slicing, reason = "a JSON value answers with null to a name that it does not have")]

mod answer;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::github::{Clock, Trouble};
use crate::openapi;

/// The account that we have there.
pub const ACCOUNT: &str = "712020:00000000-0000-4000-8000-0000000000ff";
/// Its address.
pub const EMAIL: &str = "prfactory@example.com";
/// Its token.
pub const TOKEN: &str = "canary-jira-token-3c9d";

/// Somebody with an account.
#[derive(Debug, Clone)]
struct User {
    account: String,
    name: String,
    /// `atlassian`, `app` or `customer`.
    kind: &'static str,
}

#[derive(Debug, Clone)]
struct Comment {
    id: u64,
    by: String,
    body: Value,
    /// What a person typed; deliveries carry that.
    typed: String,
    properties: Vec<Value>,
    created: Timestamp,
    updated: Timestamp,
    internal: bool,
}

#[derive(Debug, Clone)]
struct File {
    id: u64,
    name: String,
    kind: String,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Issue {
    id: u64,
    summary: String,
    /// What a person typed.
    description: String,
    labels: BTreeSet<String>,
    status: String,
    components: Vec<String>,
    fields: BTreeMap<String, Value>,
    comments: Vec<Comment>,
    files: Vec<File>,
    links: BTreeMap<String, Value>,
    assignee: Option<String>,
}

#[derive(Default)]
struct State {
    last: u64,
    users: Vec<User>,
    issues: BTreeMap<String, Issue>,
    /// The ways between statuses: from, to.
    ways: Vec<(String, String)>,
    /// What our account may not do.
    forbidden: BTreeSet<String>,
    hooks: Vec<Value>,
    hook: Option<(String, Vec<u8>)>,
    troubles: Vec<(String, Trouble, usize)>,
    wrong: Vec<String>,
    seen: Vec<String>,
    /// The refresh and access tokens that are good, where OAuth is used.
    refresh: Option<String>,
    access: Option<String>,
}

impl State {
    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

struct Inner {
    state: Mutex<State>,
    clock: Clock,
    http: reqwest::Client,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrong(&self, what: String) {
        self.state().wrong.push(what);
    }
}

/// A site that is listening.
pub struct JiraHost {
    address: SocketAddr,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

/// A comment as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its number.
    pub id: u64,
    /// The name of whoever wrote it.
    pub by: String,
    /// What it says, in ADF.
    pub body: Value,
}

/// Most bytes of a request.
const MAX_BODY: usize = 8 * 1024 * 1024;

impl JiraHost {
    /// Starts a site that knows our account and nobody else.
    pub async fn start(clock: Clock) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let us = User { account: ACCOUNT.to_owned(), name: "PRFactory".to_owned(), kind: "atlassian" };
        let steps = [("To Do", "In Progress"), ("In Progress", "In Review"), ("In Review", "Done")];
        let ways = steps.map(|(from, to)| (from.to_owned(), to.to_owned())).to_vec();
        let state = State { last: 10_000, users: vec![us], ways, ..State::default() };
        let inner = Arc::new(Inner { state: Mutex::new(state), clock, http: reqwest::Client::new() });
        let app = Router::new().fallback(serve).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            // The server ends when it is dropped.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, inner, server })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends events to an address from now on, signed with a secret.
    pub fn connect(&self, url: &str, secret: &[u8]) {
        self.inner.state().hook = Some((url.to_owned(), secret.to_vec()));
    }

    /// The webhooks that were registered by the API.
    pub fn hooks(&self) -> Vec<Value> {
        self.inner.state().hooks.clone()
    }

    /// Makes trouble for an operation so many times.
    pub fn trouble(&self, operation: &str, trouble: Trouble, times: usize) {
        self.inner.state().troubles.push((operation.to_owned(), trouble, times));
    }

    /// Somebody with an account: `atlassian`, `app` or `customer`.
    pub fn user(&self, account: &str, name: &str, kind: &'static str) {
        self.inner.state().users.push(User { account: account.to_owned(), name: name.to_owned(), kind });
    }

    /// Takes a permission from our account, or gives it back.
    pub fn forbid(&self, permission: &str, forbidden: bool) {
        let mut state = self.inner.state();
        if forbidden {
            state.forbidden.insert(permission.to_owned())
        } else {
            state.forbidden.remove(permission)
        };
    }

    /// Has our account log in by OAuth with a first refresh token.
    pub fn refreshes(&self, token: &str) {
        self.inner.state().refresh = Some(token.to_owned());
    }

    /// Ends the access token before its time.
    pub fn ends_access(&self) {
        self.inner.state().access = None;
    }

    /// What stands on an issue.
    pub fn seen(&self, key: &str) -> Vec<Seen> {
        let state = self.inner.state();
        let all = state.issues.get(key).map(|issue| issue.comments.clone()).unwrap_or_default();
        let name = |account: &str| {
            let found = state.users.iter().find(|user| user.account == account);
            found.map_or_else(|| account.to_owned(), |user| user.name.clone())
        };
        all.into_iter().map(|comment| Seen { id: comment.id, by: name(&comment.by), body: comment.body }).collect()
    }

    /// An issue's status, its labels, and the addresses it is linked to.
    pub fn issue(&self, key: &str) -> Option<(String, Vec<String>, Vec<String>)> {
        let state = self.inner.state();
        let issue = state.issues.get(key)?;
        let links = issue.links.values().filter_map(|link| link.pointer("/object/url")?.as_str().map(str::to_owned));
        Some((issue.status.clone(), issue.labels.iter().cloned().collect(), links.collect()))
    }

    /// What came that no Jira would take.
    pub fn wrong(&self) -> Vec<String> {
        self.inner.state().wrong.clone()
    }

    /// Every operation that was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.inner.state().seen.clone()
    }
}

impl Drop for JiraHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An answer: status and body.
type Reply = (u16, Value);

fn missing() -> Reply {
    (404, json!({ "errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {} }))
}

fn written((status, body): &Reply, wait: Option<u64>) -> Response<Body> {
    let bytes = match body {
        Value::Null => Vec::new(),
        // An attachment is whatever it is.
        Value::String(text) => text.chars().filter_map(|char| u8::try_from(char).ok()).collect(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => body.to_string().into_bytes(),
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::IM_A_TEAPOT);
    if let Some(Ok(wait)) = wait.map(|wait| wait.to_string().parse()) {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

async fn serve(Shared(inner): Shared<Arc<Inner>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return written(&(413, Value::Null), None);
    };
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    if path == "/oauth/token" {
        return written(&answer::token(&inner, &body), None);
    }
    let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !inner.knows(given) {
        return written(&(401, json!({ "message": "Client must be authenticated to access this resource." })), None);
    }
    if path == "/rest/webhooks/1.0/webhook" {
        // Jira documents this one in words alone.
        return written(&answer::hooks(&inner, method, body), None);
    }
    let description = openapi::jira();
    let Some((operation, places)) = description.find(method, path) else {
        inner.wrong(format!("{method} {path}: the description has no such operation"));
        return written(&missing(), None);
    };
    let query: Vec<(String, String)> = answer::pairs(parts.uri.query().unwrap_or(""));
    let sent = (!bytes.is_empty()).then_some(&body);
    for mistake in description.request(operation, &query, sent) {
        inner.wrong(format!("{method} {path}: {mistake}"));
    }
    let trouble = {
        let mut state = inner.state();
        state.seen.push(operation.id.clone());
        let at = state.troubles.iter().position(|(id, _, left)| *id == operation.id && *left > 0);
        at.and_then(|at| state.troubles.get_mut(at)).map(|(_, trouble, left)| {
            *left -= 1;
            *trouble
        })
    };
    let reply = || {
        let reply = answer::answer(&inner, &operation.id, &places, &query, &body);
        for mistake in description.response(operation, reply.0, &reply.1) {
            inner.wrong(format!("the answer to {method} {path}: {mistake}"));
        }
        reply
    };
    troubled(trouble, reply)
}

/// The answer, or what trouble makes of it.
fn troubled(trouble: Option<Trouble>, reply: impl FnOnce() -> Reply) -> Response<Body> {
    match trouble {
        None => written(&reply(), None),
        Some(Trouble::Stale) => {
            let (status, mut body) = reply();
            if let Some(Value::Array(all)) = body.get_mut("comments") {
                all.pop();
                body["total"] = json!(body["total"].as_u64().unwrap_or(0).saturating_sub(1));
            }
            written(&(status, body), None)
        }
        Some(Trouble::Before(status)) => written(&(status, json!({ "errorMessages": ["trouble"] })), None),
        Some(Trouble::After(status)) => {
            reply();
            // A gateway that gives up waiting says when to come again.
            written(&(status, json!({ "errorMessages": ["trouble"] })), (status == 503).then_some(5))
        }
        Some(Trouble::Secondary(seconds)) => written(&(429, json!({ "errorMessages": ["wait"] })), Some(seconds)),
    }
}

impl Inner {
    /// Whether an `Authorization` header proves our account.
    fn knows(&self, given: &str) -> bool {
        let basic = STANDARD.encode(format!("{EMAIL}:{TOKEN}"));
        let state = self.state();
        let bearer = state.access.as_ref().is_some_and(|access| given == format!("Bearer {access}"));
        given == format!("Basic {basic}") || bearer
    }
}
