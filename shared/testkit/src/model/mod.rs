//! A scripted model behind the Messages API: it decides only from the bytes of each request.

mod cache;
mod edit;
mod instruction;
mod script;
mod sse;
mod wire;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use wire::unmarked;

use crate::model::cache::Cache;
use crate::pace::Pace;

/// A scripted model that is listening.
pub struct ScriptedModel {
    address: SocketAddr,
    state: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    calls: AtomicUsize,
    bodies: Mutex<Vec<Value>>,
    unexpected: Mutex<Vec<String>>,
    next: Mutex<Vec<Value>>,
    failures: Mutex<Vec<(u16, String)>>,
    replies: Mutex<Vec<Reply>>,
    refusals: Mutex<Vec<(String, Reply)>>,
    pace: Pace,
    cache: Mutex<Cache>,
}

/// A whole answer to a call, as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// A message as the API streams it.
pub fn streamed(message: &Value) -> String {
    sse::stream(message)
}

/// Largest request that is read; the API's own limit.
const MAX_REQUEST: usize = 32 * 1024 * 1024;

impl ScriptedModel {
    /// Starts on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Shared::default());
        let app = Router::new()
            .route("/v1/messages", post(messages))
            .route("/v1/models", get(models))
            .layer(axum::extract::DefaultBodyLimit::max(MAX_REQUEST))
            .with_state(Arc::clone(&state));
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

    /// How many calls it has answered or refused.
    pub fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// How long it waits before each answer.
    pub fn pace(&self) -> &Pace {
        &self.state.pace
    }

    /// Every request body so far.
    pub fn requests(&self) -> Vec<Value> {
        self.state.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was sent and did not expect; a test fails when there is any.
    pub fn unexpected(&self) -> Vec<String> {
        self.state.unexpected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers the next call with this content instead of the script's; several are used in order.
    pub fn answer_next(&self, content: Value) {
        self.state.next.lock().unwrap_or_else(PoisonError::into_inner).push(content);
    }

    /// Answers the next call with exactly this, once the request was found to be as documented.
    pub fn reply_next(&self, reply: Reply) {
        self.state.replies.lock().unwrap_or_else(PoisonError::into_inner).push(reply);
    }

    /// Answers the first call whose request has a text in it with exactly this.
    pub fn refuse_next(&self, text: &str, reply: Reply) {
        self.state.refusals.lock().unwrap_or_else(PoisonError::into_inner).push((text.to_owned(), reply));
    }

    /// Fails the next call with a status and an error message; several are used in order.
    pub fn fail_next(&self, status: u16, message: &str) {
        self.state.failures.lock().unwrap_or_else(PoisonError::into_inner).push((status, message.to_owned()));
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The list of models, or the next failure.
async fn models(State(state): State<Arc<Shared>>) -> Response {
    match pop(&state.failures) {
        Some((status, message)) => error(status, "api_error", &message),
        None => (StatusCode::OK, [("content-type", "application/json")], "{\"data\":[]}").into_response(),
    }
}

async fn messages(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let number = state.calls.fetch_add(1, Ordering::Relaxed) + 1;
    let planned = pop(&state.failures);
    if let Some((status, message)) = planned {
        return error(status, "api_error", &message);
    }
    let request = match wire::read(&headers, &body) {
        Ok(request) => request,
        Err(problem) => {
            state.unexpected.lock().unwrap_or_else(PoisonError::into_inner).push(problem.clone());
            return error(400, "invalid_request_error", &problem);
        }
    };
    if let Ok(value) = serde_json::from_slice::<Value>(&body) {
        state.bodies.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }
    state.pace.wait().await;
    if let Some(reply) = pop(&state.replies).or_else(|| refused(&state, &body)) {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, reply.body).into_response();
        for (name, value) in reply.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    let content = match pop(&state.next) {
        Some(content) => content,
        None => match script::answer(&request, number) {
            Ok(content) => content,
            Err(problem) => {
                state.unexpected.lock().unwrap_or_else(PoisonError::into_inner).push(problem.clone());
                return error(400, "invalid_request_error", &problem);
            }
        },
    };
    let uses_tool = content
        .as_array()
        .is_some_and(|blocks| blocks.iter().any(|block| block.get("type") == Some(&json!("tool_use"))));
    let answer = answered(&state, &body, number, &content, uses_tool);
    let id = format!("req_{number:06}");
    (StatusCode::OK, [("content-type", "text/event-stream"), ("request-id", id.as_str())], sse::stream(&answer))
        .into_response()
}

/// The whole answer: what the script says after a thought that is bound to all that was said before.
fn answered(state: &Shared, body: &[u8], number: usize, content: &Value, uses_tool: bool) -> Value {
    let output = content.to_string().len() / 4;
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let usage = state.cache.lock().unwrap_or_else(PoisonError::into_inner).serve(&request, output);
    let signature = wire::prefixes(body).pop().unwrap_or_default();
    let mut blocks = vec![json!({ "type": "thinking", "thinking": "", "signature": signature })];
    blocks.extend(content.as_array().cloned().unwrap_or_default());
    json!({
        "id": format!("msg_{number:06}"), "type": "message", "role": "assistant", "model": "scripted",
        "content": blocks,
        "stop_reason": if uses_tool { "tool_use" } else { "end_turn" },
        "stop_sequence": null,
        "usage": usage,
    })
}

/// What a request with this text is refused with.
fn refused(state: &Shared, body: &[u8]) -> Option<Reply> {
    let mut refusals = state.refusals.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(body);
    let at = refusals.iter().position(|(part, _)| text.contains(part.as_str()))?;
    Some(refusals.remove(at).1)
}

fn pop<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    if queue.is_empty() { None } else { Some(queue.remove(0)) }
}

fn error(status: u16, kind: &str, message: &str) -> Response {
    let body = json!({ "type": "error", "error": { "type": kind, "message": message } });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}
