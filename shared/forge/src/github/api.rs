//! One call of GitHub's API: what goes out, what comes back, and whose turn it is to act when it does not.

use std::sync::Arc;

use domain::Timestamp;
use domain::error::{Failure, Fault};
use engine::Engine;
use engine::key::Key;
use engine::port::{Condition, Item, TableError, Write};
use engine::tenancy::TenantCtx;
use http::{HeaderMap, Method};
use jiff::SignedDuration;
use octocrab::Octocrab;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::app::AppSettings;

/// Spans of time in which writes of one installation are counted: name, seconds, and the most in one. Any minute meets
/// two of the first, any hour four of the second: 80 and 500 writes at most, where GitHub draws its lines.
const SPANS: [(&str, i64, i64); 2] = [("MINUTE", 60, 40), ("HOUR", 1_200, 125)];
/// How many of the writes of a short span are left to those who push.
const FOR_PUSHES: i64 = 6;
/// Where a token is ended, which writes nothing.
pub(super) const ENDING: &str = "/installation/token";
/// Where queries go.
const GRAPHQL: &str = "/graphql";
/// How long a secondary limit lasts where GitHub does not say.
const SECONDARY: SignedDuration = SignedDuration::from_mins(1);
/// Most pages of one list: more comments than GitHub allows an issue to have.
const PAGES: usize = 26;

/// Calls GitHub with one token.
#[derive(Clone)]
pub(super) struct Api {
    clients: Clients,
    engine: Engine,
    /// Whose writes are counted, and under which tenant; absent for the App's own calls.
    counted: Option<(TenantCtx, u64)>,
    /// Whether it is to push, which comes before talk.
    pushes: bool,
    /// Told when GitHub no longer takes the token.
    ended: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// What GitHub answered, if it is an answer that callers tell apart.
pub(super) struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    /// Whether it is what was asked for.
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether there is no such thing, or none that the token may see.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.status, 404 | 410)
    }

    /// Whether GitHub understood and does not want to.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.status, 409 | 422)
    }

    /// GitHub's own sentence, without control characters.
    pub(super) fn said(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let details = self.body.get("errors").and_then(Value::as_array).into_iter().flatten();
        let details = details.map(|error| error.get("message").map_or_else(|| text(error), text));
        let first = ["message", "error_description"].into_iter().filter_map(|name| self.body.get(name)).map(text);
        let said = first.chain(details);
        let said = said.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        said.chars().filter(|c| !c.is_control()).take(300).collect()
    }

    /// Reads what was asked for; every other answer is a failure.
    pub(super) fn read<T: DeserializeOwned>(self, what: &str) -> Result<T, Failure> {
        if !self.is_good() {
            return Err(self.failure(what));
        }
        serde_json::from_value(self.body)
            .map_err(|error| Failure::new(Fault::Bug, format!("GitHub's answer to {what} cannot be read: {error}")))
    }

    /// Reads an answer that says in its body alone what came of the request.
    pub(super) fn body<T: DeserializeOwned>(self, what: &str) -> Result<T, Failure> {
        serde_json::from_value(self.body).map_err(|error| {
            Failure::new(
                Fault::Bug,
                format!("GitHub's answer to {what} cannot be read (HTTP {}): {error}", self.status),
            )
        })
    }

    /// The same, with nothing to read.
    pub(super) fn done(self, what: &str) -> Result<(), Failure> {
        if self.is_good() { Ok(()) } else { Err(self.failure(what)) }
    }

    fn failure(&self, what: &str) -> Failure {
        let (status, said) = (self.status, self.said());
        if self.is_missing() {
            let say = format!("{what}: there is no such thing on GitHub, or the App may not see it (HTTP {status})");
            return Failure::new(Fault::Permission, say);
        }
        Failure::new(Fault::Invalid, format!("{what}: GitHub refused (HTTP {status}): {said}"))
    }
}

impl Api {
    pub(super) fn new(
        clients: Clients,
        engine: Engine,
        counted: Option<(TenantCtx, u64)>,
        ended: Option<Arc<dyn Fn() + Send + Sync>>,
    ) -> Self {
        Self { clients, engine, counted, pushes: false, ended }
    }

    /// The same, to push with.
    pub(super) fn pushing(self) -> Self {
        Self { pushes: true, ..self }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Every entry of a list, page by page.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<Vec<T>, Failure> {
        let pages = self.pages(path, what, Vec::len).await?;
        Ok(pages.into_iter().flatten().collect())
    }

    /// Every page of a list that comes with its length around it.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &str,
        count: impl Fn(&T) -> usize,
    ) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        let join = if path.contains('?') { '&' } else { '?' };
        for page in 1..=PAGES {
            let some: T = self.get(&format!("{path}{join}per_page=100&page={page}")).await?.read(what)?;
            let full = count(&some) == 100;
            all.push(some);
            if !full {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::DELETE, path, None).await
    }

    /// One query or mutation of GraphQL. Its own errors arrive with HTTP 200.
    pub(super) async fn graphql(&self, query: &str, variables: Value) -> Result<Value, Failure> {
        let body = json!({ "query": query, "variables": variables });
        let mut answer: Value = self.post(GRAPHQL, body).await?.read("a query")?;
        let error = answer.pointer("/errors/0");
        if let Some(error) = error {
            let kind = error.get("type").and_then(Value::as_str).unwrap_or("");
            let said: String = error.get("message").and_then(Value::as_str).unwrap_or("").chars().take(300).collect();
            let fault = match kind {
                "RATE_LIMITED" => Fault::RateLimited { retry_at: None },
                "FORBIDDEN" | "NOT_FOUND" => Fault::Permission,
                _ => Fault::Invalid,
            };
            return Err(Failure::new(fault, format!("GitHub refused a query: {said}")));
        }
        Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Failure> {
        let reads = method == Method::GET;
        if !reads && path != ENDING {
            self.count().await?;
        }
        let crab = if path == GRAPHQL { &self.clients.graphql } else { &self.clients.rest };
        let sent = match method {
            Method::POST => crab._post(path, body.as_ref()).await,
            Method::PATCH => crab._patch(path, body.as_ref()).await,
            Method::DELETE => crab._delete(path, body.as_ref()).await,
            _ => crab._get(path).await,
        };
        // Nothing tells whether a request that got no answer was carried out.
        let lost = if reads { Fault::Transient } else { Fault::Unknown };
        let response = sent.map_err(|_| Failure::new(lost.clone(), "GitHub cannot be reached, or did not answer"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = crab.body_to_string(response).await;
        let text = text.map_err(|_| Failure::new(lost.clone(), "GitHub broke off in the middle of an answer"))?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let answer = Answer { status, body };
        match status {
            200..=299 | 400 | 404 | 409 | 410 | 422 => Ok(answer),
            401 => match &self.ended {
                Some(ended) => {
                    ended();
                    Err(Failure::new(Fault::Transient, "GitHub ended the token; the next try takes a new one"))
                }
                None => Err(Failure::new(Fault::Auth, "GitHub does not accept the App's number and key")),
            },
            403 | 429 => Err(limited(&answer, &headers, self.engine.clock.now())),
            500..=599 => Err(Failure::new(lost, format!("GitHub failed (HTTP {status})"))),
            _ => Err(answer.failure("a request")),
        }
    }

    /// Counts a write in the table, so that all functions together stay below what GitHub allows an installation.
    async fn count(&self) -> Result<(), Failure> {
        let Some((ctx, installation)) = &self.counted else {
            return Ok(());
        };
        let now = self.engine.clock.now();
        let second = now.as_second();
        let mut writes = Vec::new();
        for (name, length, most) in SPANS {
            let span = format!("{name}#{:012}", second.div_euclid(length));
            let key = Key::of(ctx, &format!("RATE#{installation}"), span);
            if self.engine.table.get(&key).await?.is_none() {
                // Made with an end, since a sum by itself has none. Who makes it first does not matter.
                let mut item = Item::new(key.clone(), json!({ "writes": 0 }));
                item.expires = Some(now + SignedDuration::from_secs(2 * length));
                let put = Write::Put { item, when: vec![Condition::NotExists { now }] };
                match self.engine.table.transact(vec![put]).await {
                    Ok(()) | Err(TableError::Condition { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let kept = if self.pushes || name != "MINUTE" { 0 } else { FOR_PUSHES };
            writes.push(Write::Add { key, field: "writes", amount: 1, at_most: Some(most - kept) });
        }
        let full = match self.engine.table.transact(writes).await {
            Ok(()) => return Ok(()),
            Err(TableError::Condition { write }) => SPANS.get(write).map_or(60, |(_, length, _)| *length),
            Err(error) => return Err(error.into()),
        };
        let retry_at = Some(now + SignedDuration::from_secs(full - second.rem_euclid(full)));
        let say = "this installation has written as much as GitHub allows for now";
        Err(Failure::new(Fault::RateLimited { retry_at }, say))
    }
}

/// A refusal that passes by itself, or one that somebody has to lift.
fn limited(answer: &Answer, headers: &HeaderMap, now: Timestamp) -> Failure {
    let number = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    let wait = number("retry-after").map(|seconds| now + SignedDuration::from_secs(seconds.clamp(1, 24 * 3_600)));
    let reset = number("x-ratelimit-remaining")
        .filter(|left| *left == 0)
        .and_then(|_| Timestamp::from_second(number("x-ratelimit-reset")?).ok());
    let secondary = answer.status == 429 || answer.said().to_lowercase().contains("rate limit");
    let retry_at = wait.or(reset).or(secondary.then(|| now + SECONDARY));
    if retry_at.is_some() {
        Failure::new(Fault::RateLimited { retry_at }, "GitHub asks to wait")
    } else {
        let say = format!("GitHub does not allow the App to do this: {}", answer.said());
        Failure::new(Fault::Permission, say)
    }
}

/// The clients of one GitHub, for all of a process: an Enterprise Server has GraphQL beside its REST API, not below it.
#[derive(Clone)]
pub(super) struct Clients {
    rest: Octocrab,
    graphql: Octocrab,
}

impl Clients {
    /// The clients of a REST API: `https://api.github.com`, or `https://HOST/api/v3`.
    pub(super) fn new(base: &str) -> Result<Self, Failure> {
        let rest = client(base)?;
        let graphql = match AppSettings::server(base) {
            Some(server) => client(&format!("{server}/api"))?,
            None => rest.clone(),
        };
        Ok(Self { rest, graphql })
    }

    /// The same with a token.
    pub(super) fn with_token(&self, token: &str) -> Result<Self, Failure> {
        let with = |crab: &Octocrab| {
            let wrong = |_| Failure::new(Fault::Bug, "a token cannot be used");
            crab.user_access_token(token.to_owned()).map_err(wrong)
        };
        Ok(Self { rest: with(&self.rest)?, graphql: with(&self.graphql)? })
    }
}

/// Nothing in a client tries again: that is decided where the effect is known.
fn client(base: &str) -> Result<Octocrab, Failure> {
    let bug = |what: &str| Failure::new(Fault::Bug, format!("no client for GitHub can be made: {what}"));
    let second = std::time::Duration::from_secs(1);
    let builder = Octocrab::builder().base_uri(base).map_err(|_| bug("its address is none"))?;
    builder
        .set_connect_timeout(Some(second * 5))
        .set_read_timeout(Some(second * 10))
        .set_write_timeout(Some(second * 10))
        .add_header(http::header::HeaderName::from_static("x-github-api-version"), "2022-11-28".to_owned())
        .add_header(http::header::ACCEPT, "application/json".to_owned())
        .build()
        .map_err(|error| bug(&error.to_string()))
}
