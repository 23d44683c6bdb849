//! The API itself: who asks, whether that is allowed, whether it is what the description says, and the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::state::Trouble;
use super::{APP, Inner, answer, graphql, login};
use crate::openapi;

/// Largest request a test makes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// The App, by its signature.
    App,
    /// The App as a guest, by a token.
    Guest(String),
    /// A person who signed in, by number.
    Person(u64),
}

/// One request, understood.
pub(super) struct Ask<'a> {
    pub(super) inner: &'a Inner,
    pub(super) caller: Caller,
    pub(super) places: BTreeMap<String, String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Ask<'_> {
    pub(super) fn place(&self, name: &str) -> &str {
        self.places.get(name).map_or("", String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.place(name).parse().unwrap_or(0)
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// `owner/name` of the path.
    pub(super) fn repo(&self) -> String {
        format!("{}/{}", self.place("owner"), self.place("repo"))
    }
}

/// An answer: status and body.
pub(super) type Reply = (u16, Value);

pub(super) fn missing() -> Reply {
    (404, json!({ "message": "Not Found", "documentation_url": "https://docs.github.com/rest" }))
}

pub(super) fn refused(message: &str) -> Reply {
    let error = json!({ "resource": "Thing", "field": "field", "code": "custom", "message": message });
    let more = "https://docs.github.com/rest";
    (422, json!({ "message": "Validation Failed", "documentation_url": more, "errors": [error] }))
}

fn written((status, body): &Reply, more: &[(&str, String)]) -> Response<Body> {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::IM_A_TEAPOT);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    for (name, value) in more {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse::<header::HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// What an operation needs a token to allow: the permission, and whether to write.
fn needs(operation: &str) -> Option<(&'static str, bool)> {
    Some(match operation {
        "git/get-ref" | "git/get-commit" | "repos/get-commit" => ("contents", false),
        "git/create-blob" | "git/create-tree" | "git/create-commit" | "git/create-ref" | "git/update-ref"
        | "git/delete-ref" => ("contents", true),
        "issues/get" | "issues/list-comments" | "issues/get-comment" => ("issues", false),
        "issues/update"
        | "issues/create-comment"
        | "issues/update-comment"
        | "issues/delete-comment"
        | "issues/add-labels"
        | "issues/remove-label"
        | "reactions/create-for-issue"
        | "reactions/create-for-issue-comment" => ("issues", true),
        "pulls/list"
        | "pulls/get"
        | "pulls/list-reviews"
        | "pulls/list-review-comments"
        | "pulls/get-review-comment"
        | "pulls/list-comments-for-review"
        | "pulls/list-commits" => ("pull_requests", false),
        "pulls/create"
        | "pulls/update"
        | "pulls/create-reply-for-review-comment"
        | "pulls/update-review-comment"
        | "pulls/delete-review-comment"
        | "reactions/create-for-pull-request-review-comment" => ("pull_requests", true),
        "checks/create" | "checks/update" => ("checks", true),
        "repos/get-combined-status-for-ref" => ("statuses", false),
        "checks/list-for-ref" => ("checks", false),
        "repos/get-collaborator-permission-level" | "repos/get" => ("metadata", false),
        "teams/get-membership-for-user-in-org" => ("members", false),
        _ => return None,
    })
}

/// What is asked for; an Enterprise Server has the REST API and GraphQL under addresses of their own, and nothing else.
fn place<'a>(inner: &Inner, path: &'a str) -> Option<&'a str> {
    let elsewhere = path.contains(".git/") || path.starts_with("/login/");
    if !inner.state().enterprise || elsewhere {
        return Some(path);
    }
    match path.strip_prefix("/api/v3") {
        Some(rest) => Some(rest).filter(|rest| *rest != "/graphql"),
        None => path.strip_prefix("/api").filter(|rest| *rest == "/graphql"),
    }
}

/// Answers a request of the API.
pub(super) async fn serve(Shared(inner): Shared<Arc<Inner>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return written(&(413, Value::Null), &[]);
    };
    let Some(path) = place(&inner, parts.uri.path()).map(str::to_owned) else {
        return written(&missing(), &[]);
    };
    if path.contains(".git/") {
        return git(&inner, &parts, &bytes).await;
    }
    if path.starts_with("/login/") {
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        return written(&login::answer(&inner, &path, &body), &[]);
    }
    let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let Some(caller) = inner.caller(given) else {
        return written(&(401, json!({ "message": "Bad credentials" })), &[]);
    };
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let query: Vec<(String, String)> = pairs(parts.uri.query().unwrap_or(""));
    let method = parts.method.as_str();
    if path == "/graphql" {
        let ask = Ask { inner: &inner, caller, places: BTreeMap::new(), query, body };
        return limited(&inner, &ask, "graphql", || graphql::answer(&ask)).await;
    }
    let description = openapi::github();
    let Some((operation, places)) = description.find(method, &path) else {
        inner.wrong(format!("{method} {path}: the description has no such operation"));
        return written(&missing(), &[]);
    };
    let places = places.into_iter().map(|(name, value)| (name, decoded(&value))).collect();
    let sent = (!bytes.is_empty()).then_some(&body);
    for mistake in description.request(operation, &query, sent) {
        inner.wrong(format!("{method} {path}: {mistake}"));
    }
    let ask = Ask { inner: &inner, caller, places, query, body: body.clone() };
    let reply = || {
        let reply = match allowed(&ask, &operation.id) {
            Ok(()) => answer::answer(&ask, &operation.id),
            Err(reply) => reply,
        };
        for mistake in description.response(operation, reply.0, &reply.1) {
            inner.wrong(format!("the answer to {method} {path}: {mistake}"));
        }
        reply
    };
    limited(&inner, &ask, &operation.id, reply).await
}

/// Answers, unless there is trouble or the installation writes too fast.
async fn limited(inner: &Inner, ask: &Ask<'_>, operation: &str, reply: impl Fn() -> Reply) -> Response<Body> {
    inner.pace.wait().await;
    let reads = ["get", "list"].iter().any(|word| operation.split('/').next_back().unwrap_or("").starts_with(word))
        || (operation == "graphql" && !ask.text("query").starts_with("mutation"))
        || ask.caller == Caller::App;
    let trouble = {
        let mut state = inner.state();
        let installation = match &ask.caller {
            Caller::App | Caller::Person(_) => None,
            Caller::Guest(token) => state.tokens.get(token).map(|token| token.installation),
        };
        state.seen.push((operation.to_owned(), installation));
        if let Some(id) = installation.filter(|_| !reads) {
            let now = (inner.clock)();
            let writes = state.writes.entry(id).or_default();
            writes.push(now);
            let recent = writes.iter().filter(|at| now.duration_since(**at).as_secs() < 60).count();
            if recent > 80 {
                state.wrong.push(format!("installation {id} wrote {recent} times within a minute"));
            }
        }
        state.trouble(operation)
    };
    match trouble {
        None => written(&reply(), &[]),
        Some(Trouble::Stale) => {
            let (status, mut body) = reply();
            let list = if body.is_array() { Some(&mut body) } else { body.get_mut("check_runs") };
            if let Some(Value::Array(all)) = list {
                all.pop();
            }
            written(&(status, body), &[])
        }
        Some(Trouble::Before(status)) => written(&(status, json!({ "message": "trouble" })), &[]),
        Some(Trouble::After(status)) => {
            reply();
            written(&(status, json!({ "message": "trouble" })), &[])
        }
        Some(Trouble::Secondary(seconds)) => written(
            &(403, json!({ "message": "You have exceeded a secondary rate limit." })),
            &[("retry-after", seconds.to_string())],
        ),
    }
}

/// Whether the caller may do this; a token sees its own repositories and nothing else.
fn allowed(ask: &Ask<'_>, operation: &str) -> Result<(), Reply> {
    let state = ask.inner.state();
    if let Caller::Person(_) = ask.caller {
        let theirs = login::OPERATIONS.contains(&operation);
        return if theirs { Ok(()) } else { Err((403, json!({ "message": "Resource not accessible" }))) };
    }
    let Some((permission, writes)) = needs(operation) else {
        let own = operation.starts_with("apps/") || operation.starts_with("users/");
        let fits = matches!(ask.caller, Caller::App) || operation == "apps/revoke-installation-access-token";
        return if own && fits { Ok(()) } else { Err((403, json!({ "message": "Resource not accessible" }))) };
    };
    let Caller::Guest(token) = &ask.caller else {
        return Err((403, json!({ "message": "Resource not accessible by the App itself" })));
    };
    let Some(token) = state.tokens.get(token) else {
        return Err(missing());
    };
    if !ask.place("repo").is_empty() {
        let sees = state.repo(&ask.repo()).is_some_and(|repo| token.repos.contains(&repo.id));
        if !sees {
            return Err(missing());
        }
    }
    // A pull request is an issue, too, to whoever may work on it.
    let has = |permission: &str| token.permissions.get(permission).map(String::as_str);
    let level = if permission == "issues" { has("issues").max(has("pull_requests")) } else { has(permission) };
    // What is in a pull request has to be read to open one.
    if operation == "pulls/create" && has("contents").is_none() {
        return Err(refused("not all refs are readable"));
    }
    match (level, writes) {
        (Some("write"), _) | (Some(_), false) => Ok(()),
        _ => Err((403, json!({ "message": "Resource not accessible by integration" }))),
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let all = query.split('&').filter(|part| !part.is_empty());
    all.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

/// A part of an address without its percent signs.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let code: Vec<u8> = bytes.by_ref().take(2).collect();
        let code = std::str::from_utf8(&code).ok().and_then(|code| u8::from_str_radix(code, 16).ok());
        out.extend(code);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Serves a repository by git to a token that may read it.
async fn git(inner: &Inner, parts: &axum::http::request::Parts, body: &axum::body::Bytes) -> Response<Body> {
    let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let decoded = given.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let token = decoded.strip_prefix("x-access-token:").unwrap_or("").to_owned();
    let name = parts.uri.path().trim_start_matches('/').split(".git/").next().unwrap_or("").to_owned();
    let found = {
        let state = inner.state();
        let repo = state.repo(&name).cloned();
        let live = state.tokens.get(&token).filter(|token| token.live);
        let writes = parts.uri.to_string().contains("git-receive-pack");
        match (repo, live) {
            (Some(repo), Some(token)) if token.repos.contains(&repo.id) => {
                let level = token.permissions.get("contents").map(String::as_str);
                if level == Some("write") || (level == Some("read") && !writes) { Ok(repo.path) } else { Err(403) }
            }
            (_, None) => Err(401),
            _ => Err(404),
        }
    };
    let path = match found {
        Ok(path) => path,
        Err(status) => {
            return written(&(status, Value::Null), &[("www-authenticate", "Basic realm=\"git\"".to_owned())]);
        }
    };
    let rest = parts.uri.path().split_once(".git/").map_or("", |(_, rest)| rest);
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let root = path.parent().unwrap_or(&path).to_owned();
    crate::git::served(&root, &format!("/{file}/{rest}"), parts, body).await
}

impl Inner {
    /// Whoever an `Authorization` header proves.
    fn caller(&self, given: &str) -> Option<Caller> {
        let token = given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("token "))?;
        if let Some((message, signature)) = token.rsplit_once('.')
            && message.contains('.')
            && !token.starts_with("ghs_")
        {
            return self.signed(message, signature).then_some(Caller::App);
        }
        let state = self.state();
        if let Some(person) = state.people.get(token) {
            return Some(Caller::Person(*person));
        }
        let live = state.tokens.get(token).is_some_and(|token| {
            token.live && state.installations.iter().any(|i| i.id == token.installation && i.live)
        });
        live.then(|| Caller::Guest(token.to_owned()))
    }

    /// Whether the App's own key signed a message that holds now and for ten minutes at most.
    fn signed(&self, message: &str, signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        let claims = message.split('.').next_back().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let number = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or(0);
        let now = (self.clock)().as_second();
        let (from, until) = (number("iat"), number("exp"));
        let fits = from <= now && now < until && until - from <= 660 && claims["iss"] == json!(APP.to_string());
        fits && self.key.verify(message.as_bytes(), &signature)
    }

    /// Remembers what no GitHub would take.
    pub(super) fn wrong(&self, what: String) {
        self.state().wrong.push(what);
    }
}

/// How long a delivery may take; GitHub gives up after ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
