//! The open side of `serve`: signed webhooks and health, nothing else.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response as HttpResponse};
use axum::routing::{any, get};
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

/// Reads a request whole, never more than the limit.
async fn read(request: HttpRequest) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    let too_large = || Response::problem(413, "too-large", "Delivery too large", "A delivery may have at most 6 MiB.");
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|_| too_large())?;
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Request { method: parts.method.to_string(), path: parts.uri.path().to_owned(), headers, body: bytes.to_vec() })
}

fn answer(response: Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, response.content_type)], Body::from(response.body)).into_response()
}
