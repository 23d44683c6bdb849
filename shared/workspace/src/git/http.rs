//! Our own send-pack over smart HTTP: read the refs, send one pack, read the report.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use engine::port::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use crate::git::object::Object;
use crate::git::pack::pack;

/// A git server and the token for one repository on it.
pub(crate) struct Remote<'a> {
    pub(crate) client: &'a Client,
    pub(crate) url: &'a str,
    pub(crate) token: Option<&'a Secret>,
    pub(crate) now: Timestamp,
}

/// Most bytes of refs and reports that are read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// The value of the `Authorization` header for a token.
pub(crate) fn basic(token: &Secret) -> Option<String> {
    let token = token.expose_text()?;
    Some(format!("Basic {}", STANDARD.encode(format!("x-access-token:{token}"))))
}

/// Says whether a token may be sent to an address: by TLS, or without leaving this machine.
pub(crate) fn may_carry_token(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// A client that follows no redirect and waits for nobody for long.
pub(crate) fn client() -> Result<Client, Failure> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_mins(1))
        .user_agent("git/prfactory")
        .build()
        .map_err(|_| Failure::new(Fault::Bug, "no HTTP client can be made"))
}

impl Remote<'_> {
    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let Some(Ok(mut value)) = self.token.and_then(basic).map(|basic| HeaderValue::from_str(&basic)) else {
            return request;
        };
        value.set_sensitive(true);
        request.header(AUTHORIZATION, value)
    }

    /// The branches the server has.
    pub(crate) async fn refs(&self) -> Result<BTreeMap<String, CommitSha>, Failure> {
        let url = format!("{}/info/refs?service=git-upload-pack", self.url.trim_end_matches('/'));
        let answer = self.authorized(self.client.get(url)).send().await.map_err(|error| sent(&error, true))?;
        let bytes = body(self.checked(answer)?).await?;
        let mut refs = BTreeMap::new();
        for line in lines(&bytes) {
            let text = String::from_utf8_lossy(line);
            let text = text.split('\0').next().unwrap_or("").trim_end();
            if let Some((id, name)) = text.split_once(' ')
                && let (Ok(id), Some(branch)) = (CommitSha::parse(id), name.strip_prefix("refs/heads/"))
            {
                refs.insert(branch.to_owned(), id);
            }
        }
        Ok(refs)
    }

    /// Moves a branch from its old value to a new one, sending the objects that are new; `None` removes it.
    pub(crate) async fn send(
        &self,
        branch: &BranchName,
        old: Option<&CommitSha>,
        new: Option<&CommitSha>,
        objects: &[Object],
    ) -> Result<(), Failure> {
        let (from, to) = (old.map_or(NOTHING, CommitSha::as_str), new.map_or(NOTHING, CommitSha::as_str));
        let command = format!("{from} {to} refs/heads/{branch}\0 report-status atomic agent=prfactory");
        let mut bytes = format!("{:04x}{command}0000", command.len() + 4).into_bytes();
        if new.is_some() {
            let pack =
                pack(objects).map_err(|error| Failure::new(Fault::Bug, format!("a pack cannot be made: {error}")))?;
            bytes.extend_from_slice(&pack);
        }
        let url = format!("{}/git-receive-pack", self.url.trim_end_matches('/'));
        let request = self.client.post(url).header(CONTENT_TYPE, "application/x-git-receive-pack-request").body(bytes);
        let answer = self.authorized(request).send().await.map_err(|error| sent(&error, false))?;
        if answer.status().is_server_error() {
            return Err(Failure::new(Fault::Unknown, "the git server failed while it took the push"));
        }
        let report = body(self.checked(answer)?).await?;
        let report: Vec<String> =
            lines(&report).map(|line| String::from_utf8_lossy(line).trim_end().to_owned()).collect();
        let accepted = format!("ok refs/heads/{branch}");
        if report.iter().any(|line| line == "unpack ok") && report.contains(&accepted) {
            return Ok(());
        }
        let said: String = report.join("; ").chars().filter(|c| !c.is_control()).take(200).collect();
        Err(Failure::new(Fault::Invalid, format!("the git server refused the push: {said}")))
    }

    fn checked(&self, answer: Response) -> Result<Response, Failure> {
        let status = answer.status();
        let failure = |fault: Fault, say: &str| Err(Failure::new(fault, format!("{say} (HTTP {})", status.as_u16())));
        match status {
            StatusCode::OK => Ok(answer),
            StatusCode::UNAUTHORIZED => failure(Fault::Auth, "the git server does not accept the credentials"),
            StatusCode::FORBIDDEN => failure(Fault::Permission, "the git server does not allow this"),
            StatusCode::NOT_FOUND => failure(Fault::Permission, "the git server has no such repository, or hides it"),
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse::<i64>().ok());
                let retry_at = seconds.map(|s| self.now + jiff::SignedDuration::from_secs(s.clamp(0, 86_400)));
                failure(Fault::RateLimited { retry_at }, "the git server asks to wait")
            }
            status if status.is_server_error() => failure(Fault::Transient, "the git server failed"),
            _ => failure(Fault::Invalid, "the git server gave an answer that is not git"),
        }
    }
}

/// An error of the connection: before the request was sent it is harmless, afterwards unknown.
fn sent(error: &reqwest::Error, idempotent: bool) -> Failure {
    let fault = if idempotent || error.is_connect() { Fault::Transient } else { Fault::Unknown };
    let say = if error.is_timeout() { "the git server does not answer" } else { "the git server cannot be reached" };
    Failure::new(fault, say)
}

async fn body(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| sent(&error, false))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(Failure::new(Fault::Invalid, "the git server's answer is larger than 64 MiB"));
        }
    }
    Ok(bytes)
}

/// Splits pkt-lines; flushes and anything malformed end up as nothing.
fn lines(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let (head, rest) = bytes.split_first_chunk::<4>()?;
            let length = usize::from_str_radix(std::str::from_utf8(head).ok()?, 16).ok()?;
            if length < 4 {
                bytes = rest;
                continue;
            }
            let (line, after) = rest.split_at_checked(length - 4)?;
            bytes = after;
            return Some(line);
        }
    })
}
