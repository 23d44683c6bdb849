//! The open side of `serve`: signed webhooks and health, nothing else.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response as HttpResponse};
use axum::routing::{any, get};
use futures_util::StreamExt as _;
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
        .with_state(receiver)
}

async fn github(State(receiver): State<Receiver>, request: HttpRequest) -> HttpResponse {
    match read(request).await {
        Ok(request) => answer(github_webhook::handle(&receiver, &request).await),
        Err(response) => answer(response),
    }
}

async fn jira(State(receiver): State<Receiver>, request: HttpRequest) -> HttpResponse {
    match read(request).await {
        Ok(request) => answer(jira_webhook::handle(&receiver, &request).await),
        Err(response) => answer(response),
    }
}

/// Most bytes of a delivery that is too large that are still read, so that its sender can hear the answer.
const MAX_DRAINED: usize = 4 * MAX_BODY;

/// Reads a request whole, keeping never more than the limit.
async fn read(request: HttpRequest) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut total) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let cut_off = |_| Response::problem(400, "cut-off", "Delivery cut off", "The body did not arrive whole.");
        let chunk = chunk.map_err(cut_off)?;
        total += chunk.len();
        if total <= MAX_BODY {
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
    Ok(Request { method: parts.method.to_string(), path: parts.uri.path().to_owned(), headers, body: bytes })
}

fn answer(response: Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, response.content_type)], Body::from(response.body)).into_response()
}
