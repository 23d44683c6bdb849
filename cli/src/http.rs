//! The open side of `serve`: signed webhooks and health, nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response as HttpResponse};
use axum::routing::{any, get};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use webhooks::{MAX_BODY, Receiver, Request, Response};

/// The routes of this machine.
pub(crate) fn router(receiver: Receiver) -> Router {
    Router::new()
        .route(
            "/healthz",
            get(async || {
                answer(Response {
                    status: 200,
                    content_type: "application/json",
                    body: "{\"status\":\"ok\"}".to_owned(),
                })
            }),
        )
        .route(github_webhook::PATH, any(github))
        .route("/webhooks/jira/{endpoint}/{generation}", any(jira))
        .fallback(async || answer(Response::problem(404, "not-found", "Not found", "There is nothing here.")))
        .with_state(Open { receiver, room: Arc::new(Semaphore::new(ROOM)) })
}

/// What the open side needs: where deliveries go, and how many bytes of them may be in memory.
#[derive(Clone)]
struct Open {
    receiver: Receiver,
    room: Arc<Semaphore>,
}

async fn github(State(open): State<Open>, request: HttpRequest) -> HttpResponse {
    match read(&open, request).await {
        Ok((request, _room)) => answer(github_webhook::handle(&open.receiver, &request).await),
        Err(response) => answer(response),
    }
}

async fn jira(State(open): State<Open>, request: HttpRequest) -> HttpResponse {
    match read(&open, request).await {
        Ok((request, _room)) => answer(jira_webhook::handle(&open.receiver, &request).await),
        Err(response) => answer(response),
    }
}

/// Most bytes of a delivery that is too large that are still read, so that its sender can hear the answer.
const MAX_DRAINED: usize = 4 * MAX_BODY;

/// Bytes of all deliveries that are in memory at the same time.
const ROOM: usize = 16 * MAX_BODY;
/// How long a delivery may take to arrive.
const ARRIVES: Duration = Duration::from_secs(15);

/// Reads a request whole within its time, keeping never more than the limit, and never more than there is room for.
async fn read(open: &Open, request: HttpRequest) -> Result<(Request, OwnedSemaphorePermit), Response> {
    let late = |_| Response::problem(408, "late", "Delivery too slow", "A delivery must arrive within 15 seconds.");
    tokio::time::timeout(ARRIVES, arrived(open, request)).await.map_err(late)?
}

async fn arrived(open: &Open, request: HttpRequest) -> Result<(Request, OwnedSemaphorePermit), Response> {
    let full = |_| Response::problem(503, "busy", "Too many deliveries", "There is no room. Send it again later.");
    let (parts, body) = request.into_parts();
    let mut room = Arc::clone(&open.room).try_acquire_many_owned(0).map_err(full)?;
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut total) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let cut_off = |_| Response::problem(400, "cut-off", "Delivery cut off", "The body did not arrive whole.");
        let chunk = chunk.map_err(cut_off)?;
        total += chunk.len();
        if total <= MAX_BODY {
            let more = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            room.merge(Arc::clone(&open.room).try_acquire_many_owned(more).map_err(full)?);
            bytes.extend_from_slice(&chunk);
        } else if total > MAX_DRAINED {
            break;
        }
    }
    if total > MAX_BODY {
        return Err(Response::problem(413, "too-large", "Delivery too large", "A delivery may have at most 6 MiB."));
    }
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let path = parts.uri.path().to_owned();
    Ok((Request { method: parts.method.to_string(), path, headers, body: bytes }, room))
}

fn answer(response: Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, response.content_type)], Body::from(response.body)).into_response()
}
