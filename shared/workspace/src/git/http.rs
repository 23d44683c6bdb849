//! Smart HTTP with a git server: one client, typed answers, and packets read as they arrive.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::error::{Failure, Fault};
use engine::port::Secret;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use crate::git::fetch::Known;

/// A git server and the token for one repository on it.
pub(crate) struct Remote<'a> {
    pub(crate) client: &'a Client,
    pub(crate) url: &'a str,
    pub(crate) token: Option<&'a Secret>,
    pub(crate) known: &'a Known,
    pub(crate) now: Timestamp,
}

/// A token as Basic authentication has it.
fn basic(token: &Secret) -> Option<String> {
    token.expose_text().map(|token| STANDARD.encode(format!("x-access-token:{token}")))
}

/// Says whether a token may be sent to an address: by TLS, or without leaving this machine.
pub(crate) fn may_carry_token(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// A client that follows no redirect and gives up on a server that is silent for longer than its patience.
pub(crate) fn client(patience: Duration) -> Result<Client, Failure> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(patience)
        .read_timeout(patience)
        .user_agent("git/prfactory")
        .build()
        .map_err(|_| Failure::new(Fault::Bug, "no HTTP client can be made"))
}

impl Remote<'_> {
    /// An address below the repository's.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }

    /// Sends a request with the token; `idempotent` says that sending it twice does no harm.
    pub(crate) async fn send(&self, request: RequestBuilder, idempotent: bool) -> Result<Packets, Failure> {
        let answer = self.authorized(request).send().await.map_err(|error| broken(&error, idempotent))?;
        if answer.status().is_server_error() && !idempotent {
            return Err(Failure::new(Fault::Unknown, "the git server failed while it took the push"));
        }
        Ok(Packets { answer: self.checked(answer)?, held: Vec::new(), at: 0, idempotent })
    }

    /// What the server said, fit to be shown: short, on one line, without the token.
    pub(crate) fn quoted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if let Some(token) = self.token {
            text = token.redact(&text);
            if let Some(basic) = basic(token) {
                text = text.replace(&basic, "***");
            }
        }
        text.chars().filter(|c| !c.is_control()).take(200).collect()
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let basic = self.token.and_then(basic);
        let Some(Ok(mut value)) = basic.map(|basic| HeaderValue::from_str(&format!("Basic {basic}"))) else {
            return request;
        };
        value.set_sensitive(true);
        request.header(AUTHORIZATION, value)
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
fn broken(error: &reqwest::Error, idempotent: bool) -> Failure {
    let fault = if idempotent || error.is_connect() { Fault::Transient } else { Fault::Unknown };
    let say = if error.is_timeout() {
        "the git server does not answer"
    } else if error.is_connect() {
        "the git server cannot be reached"
    } else {
        "the git server broke off in the middle of its answer"
    };
    Failure::new(fault, say)
}

/// One packet of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A line with its content.
    Line(Vec<u8>),
    /// The end of a section or of everything.
    Mark,
    /// The server has said everything.
    End,
}

/// An answer, read packet by packet: never more of it is held than one packet and what came with it.
pub(crate) struct Packets {
    answer: Response,
    held: Vec<u8>,
    at: usize,
    idempotent: bool,
}

impl Packets {
    /// The next packet.
    pub(crate) async fn next(&mut self) -> Result<Packet, Failure> {
        if !self.fill(4).await? {
            return Ok(Packet::End);
        }
        let head = self.take(4);
        let length = std::str::from_utf8(&head).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        match length {
            Some(0..4) => Ok(Packet::Mark),
            Some(length) if self.fill(length - 4).await? => Ok(Packet::Line(self.take(length - 4))),
            Some(_) => Err(self.cut_off()),
            None => Err(Failure::new(Fault::Invalid, "the git server gave an answer that is not git")),
        }
    }

    fn cut_off(&self) -> Failure {
        let fault = if self.idempotent { Fault::Transient } else { Fault::Unknown };
        Failure::new(fault, "the git server broke off in the middle of its answer")
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.held.get(self.at..self.at + count).unwrap_or_default().to_vec();
        self.at += count;
        bytes
    }

    /// Reads on until so many bytes are there; says whether they are, and that the end is not inside them.
    async fn fill(&mut self, count: usize) -> Result<bool, Failure> {
        while self.held.len() - self.at < count {
            let Some(chunk) = self.answer.chunk().await.map_err(|error| broken(&error, self.idempotent))? else {
                return if self.held.len() == self.at { Ok(false) } else { Err(self.cut_off()) };
            };
            self.held.drain(..self.at);
            self.at = 0;
            self.held.extend_from_slice(&chunk);
        }
        Ok(true)
    }
}

/// Writes a packet.
pub(crate) fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}
