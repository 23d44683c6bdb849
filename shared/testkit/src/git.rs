//! A git server over HTTP: the real `git http-backend` behind Basic authentication.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    trouble: Mutex<Option<(Trouble, &'static str)>>,
    pace: Pace,
}

/// What a git server may do instead of serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It answers with a status and nothing else; 429 with `Retry-After: 1`.
    Status(u16),
    /// It never answers.
    Hang,
    /// It does what it is asked to and breaks off in the middle of the answer.
    CutOff,
    /// It sends a byte now and then and never comes to an end.
    Drip,
    /// It refuses, and repeats the sender's credentials while it does.
    Blab,
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
            trouble: Mutex::default(),
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

    /// Makes trouble for requests whose address holds a text, until told `None`.
    pub fn trouble(&self, trouble: Option<(Trouble, &'static str)>) {
        *self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
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
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// An error of git's protocol with the `Authorization` header and what it decodes to in it.
fn blab(given: &str) -> Response<Body> {
    let decoded = given.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let line = format!("ERR go away, {} {given}", String::from_utf8_lossy(&decoded));
    Response::new(Body::from(format!("{:04x}{line}", line.len() + 4)))
}

/// An answer that goes on for ever without being one.
fn drip() -> Response<Body> {
    // The head of a long packet first, so that whoever reads waits for the rest.
    let drops = futures_util::stream::unfold(b"fff0".as_slice(), |drop| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(drop)), b"x".as_slice()))
    });
    Response::new(Body::from_stream(drops))
}

/// The first half of an answer, and then the connection is gone.
async fn cut_off(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = bytes.slice(..bytes.len() / 2);
    let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let chunks = futures_util::stream::iter([Ok(half), Err(gone)]);
    Response::from_parts(parts, Body::from_stream(chunks))
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
    let trouble = *state.trouble.lock().unwrap_or_else(PoisonError::into_inner);
    let trouble = trouble.filter(|(_, at)| parts.uri.to_string().contains(at)).map(|(trouble, _)| trouble);
    match trouble {
        Some(Trouble::Status(status)) => return plain(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT)),
        Some(Trouble::Hang) => return std::future::pending().await,
        Some(Trouble::Blab) => return blab(given),
        Some(Trouble::Drip) => return drip(),
        Some(Trouble::CutOff) | None => {}
    }
    if !authorized {
        return plain(StatusCode::UNAUTHORIZED);
    }
    match backend(&state.root, parts.uri.path(), &parts, &body).await {
        Ok(output) if trouble.is_some() => cut_off(answer(&output)).await,
        Ok(output) => answer(&output),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Serves one request of git from the repositories below a folder, whoever asks.
pub(crate) async fn served(
    root: &Path,
    path: &str,
    parts: &axum::http::request::Parts,
    body: &Bytes,
) -> Response<Body> {
    match backend(root, path, parts, body).await {
        Ok(output) => answer(&output),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Where programs are looked for.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The real git, by its whole path: a program that has yet to be found in another `PATH` is started by a fork, and to
/// copy a test's memory map takes longer than what git does.
pub(crate) fn program() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = PATH.split(':').map(|folder| Path::new(folder).join("git")).find(|path| path.exists());
        found.unwrap_or_else(|| "git".into())
    })
}

async fn backend(
    root: &Path,
    path: &str,
    parts: &axum::http::request::Parts,
    body: &Bytes,
) -> std::io::Result<Vec<u8>> {
    let text =
        |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let protocol = parts.headers.get("git-protocol").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let mut child = Command::new(program())
        .arg("http-backend")
        .env_clear()
        .env("PATH", PATH)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "http.receivepack")
        .env("GIT_CONFIG_VALUE_0", "true")
        .env("GIT_CONFIG_KEY_1", "safe.directory")
        .env("GIT_CONFIG_VALUE_1", "*")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", path)
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
