//! A git server over HTTP: the real `git http-backend` behind Basic authentication.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::pace::Pace;

/// A git server that is listening.
pub struct GitHost {
    address: SocketAddr,
    state: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    /// The `Authorization` header every request must carry.
    authorization: String,
    requests: Mutex<Vec<Seen>>,
    refuse: Mutex<Option<u16>>,
    pace: Pace,
}

/// One request, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// Whether it was authorized.
    pub authorized: bool,
    /// Bytes of its body.
    pub bytes: usize,
}

/// Largest push a test makes.
const MAX_BODY: usize = 64 * 1024 * 1024;

impl GitHost {
    /// Serves the repositories below a folder to whoever sends this `Authorization` header.
    pub async fn start(root: PathBuf, authorization: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Shared {
            root,
            authorization: authorization.to_owned(),
            requests: Mutex::default(),
            refuse: Mutex::default(),
            pace: Pace::default(),
        });
        let app = Router::new().fallback(serve).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            // The server ends when it is dropped.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, state, server })
    }

    /// Where a repository is.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// How long it waits before each answer.
    pub fn pace(&self) -> &Pace {
        &self.state.pace
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers everything with a status until told `None`.
    pub fn refuse(&self, status: Option<u16>) {
        *self.state.refuse.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

impl Drop for GitHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"git\""));
    }
    response
}

async fn serve(State(state): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let given = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or("");
    let authorized = given == state.authorization;
    let seen = Seen { method: parts.method.to_string(), uri: parts.uri.to_string(), authorized, bytes: body.len() };
    state.requests.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    state.pace.wait().await;
    let refused = *state.refuse.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(status) = refused.and_then(|status| StatusCode::from_u16(status).ok()) {
        return plain(status);
    }
    if !authorized {
        return plain(StatusCode::UNAUTHORIZED);
    }
    match backend(&state, &parts, &body).await {
        Ok(output) => answer(&output),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn backend(state: &Shared, parts: &axum::http::request::Parts, body: &Bytes) -> std::io::Result<Vec<u8>> {
    let text =
        |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let protocol = parts.headers.get("git-protocol").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GIT_PROJECT_ROOT", &state.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "http.receivepack")
        .env("GIT_CONFIG_VALUE_0", "true")
        .env("GIT_CONFIG_KEY_1", "safe.directory")
        .env("GIT_CONFIG_VALUE_1", "*")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or(""))
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", protocol)
        .env("REMOTE_USER", "tester")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(body).await?;
    }
    Ok(child.wait_with_output().await?.stdout)
}

/// Turns the output of a CGI program into a response.
fn answer(output: &[u8]) -> Response<Body> {
    let split = output.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = split.and_then(|at| output.split_at_checked(at)).unwrap_or((output, b""));
    let head = String::from_utf8_lossy(head).into_owned();
    let mut response = Response::new(Body::from(body.get(4..).unwrap_or_default().to_vec()));
    for line in head.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(500);
            *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse::<header::HeaderValue>())
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
