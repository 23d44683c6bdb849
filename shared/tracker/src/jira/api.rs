//! One call of Jira's API, and the two ways to log in for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::error::{Failure, Fault};
use engine::Engine;
use engine::directory::{self, JiraLogin, JiraSite};
use engine::key::Key;
use engine::port::{Condition, Item, Secret, TableError, Write};
use engine::tenancy::TenantCtx;
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Jira, PURPOSE};

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// How long before its end an access token is no longer begun with.
const MARGIN: SignedDuration = SignedDuration::from_mins(2);
/// How long Atlassian's access tokens last.
const TOKENS_LAST: SignedDuration = SignedDuration::from_hours(1);
/// How old a token is at the most that cannot have ended yet.
const YOUNG: SignedDuration = SignedDuration::from_mins(2);
/// How long one process keeps others from asking for a new token at the same time.
const REFRESHING: SignedDuration = SignedDuration::from_secs(30);

/// Calls one site.
pub(super) struct Api {
    client: reqwest::Client,
    engine: Engine,
    base: String,
    authorization: Secret,
    /// Whose access token it is, where it is one.
    renews: Option<(TenantCtx, JiraSite)>,
}

/// What Jira answered, if it is an answer that callers tell apart.
pub(super) struct Answer {
    status: StatusCode,
    bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(super) fn is_forbidden(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    pub(super) fn is_good(&self) -> bool {
        self.status.is_success()
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Jira's own sentences.
    pub(super) fn said(&self) -> String {
        let body: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        let messages = body.get("errorMessages").and_then(Value::as_array).into_iter().flatten();
        let fields = body.get("errors").and_then(Value::as_object).into_iter().flat_map(|errors| errors.values());
        let said = messages.chain(fields).filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
        said.chars().filter(|c| !c.is_control()).take(300).collect()
    }

    pub(super) fn read<T: DeserializeOwned>(self, what: &str) -> Result<T, Failure> {
        if !self.is_good() {
            return Err(self.failure(what));
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|error| Failure::new(Fault::Bug, format!("Jira's answer to {what} cannot be read: {error}")))
    }

    pub(super) fn done(self, what: &str) -> Result<(), Failure> {
        if self.is_good() { Ok(()) } else { Err(self.failure(what)) }
    }

    fn failure(&self, what: &str) -> Failure {
        let (status, said) = (self.status.as_u16(), self.said());
        let (fault, say) = match status {
            403 => (Fault::Permission, format!("{what}: Jira does not allow our account to do this: {said}")),
            404 => {
                (Fault::Permission, format!("{what}: there is no such thing in Jira, or our account may not see it"))
            }
            _ => (Fault::Invalid, format!("{what}: Jira refused (HTTP {status}): {said}")),
        };
        Failure::new(fault, say)
    }
}

impl Api {
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Failure> {
        let reads = method == Method::GET;
        let lost = if reads { Fault::Transient } else { Fault::Unknown };
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request
            .header("authorization", self.authorization.expose())
            .header("accept", "application/json")
            .header("x-atlassian-token", "no-check");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await;
        let mut answer = answer.map_err(|error| {
            let fault = if error.is_connect() { Fault::Transient } else { lost.clone() };
            Failure::new(fault, "Jira cannot be reached, or did not answer")
        })?;
        let status = answer.status();
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| Failure::new(lost.clone(), "Jira broke off"))? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(Failure::new(Fault::Invalid, "Jira answered with more than 8 MB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        match status.as_u16() {
            401 if String::from_utf8_lossy(&bytes).contains("scope does not match") => {
                let say = "the app of this login lacks a scope for this: it needs read:jira-work, write:jira-work and read:jira-user; add them and connect the site again";
                Err(Failure::new(Fault::Permission, say))
            }
            401 => Err(self.unaccepted().await?),
            // What answers that Jira is away does not know what became of a write.
            code if code == 429 || (code == 503 && reads && wait.is_some()) => {
                let wait = SignedDuration::from_secs(wait.unwrap_or(60).clamp(1, 24 * 3_600));
                let retry_at = Some(self.engine.clock.now() + wait);
                Err(Failure::new(Fault::RateLimited { retry_at }, "Jira asks to wait"))
            }
            500..=599 => Err(Failure::new(lost, format!("Jira failed (HTTP {})", status.as_u16()))),
            _ => Ok(Answer { status, bytes }),
        }
    }
}

impl Api {
    /// Our login is no longer good; an access token that ended early is forgotten, so that the next try renews it.
    async fn unaccepted(&self) -> Result<Failure, Failure> {
        let over = Failure::new(Fault::Auth, "Jira does not accept our account's token; connect the site again");
        let Some((ctx, before)) = &self.renews else {
            return Ok(over);
        };
        let mut after = before.clone();
        if let JiraLogin::OAuth { access, until, .. } = &mut after.login {
            // One that was made a moment ago did not end: renewing it once more would bring the same.
            let young = self.engine.clock.now() + TOKENS_LAST - YOUNG;
            if until.is_none_or(|until| until > young) {
                return Ok(over);
            }
            (*access, *until) = (None, None);
        }
        directory::replace_jira(&self.engine, ctx, before, &after).await?;
        Ok(Failure::new(Fault::Transient, "Atlassian ended the token early; the next try renews it"))
    }
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    expires_in: i64,
    refresh_token: Option<String>,
}

impl Jira {
    /// Logs in to a site as its row says.
    pub(super) async fn log_in(&self, ctx: &TenantCtx, site: &JiraSite) -> Result<Api, Failure> {
        let authorization = match &site.login {
            JiraLogin::Token { email, token } => {
                let token = self.vault.open(ctx, PURPOSE, token).await?;
                basic(email, &token)
            }
            JiraLogin::OAuth { .. } => {
                let token = self.access_token(ctx, site).await?;
                Secret::new(format!("Bearer {}", token.expose_text().unwrap_or_default()).into_bytes())
            }
        };
        let renews = matches!(site.login, JiraLogin::OAuth { .. }).then(|| (ctx.clone(), site.clone()));
        Ok(Api { renews, ..self.api(&site.api, authorization) })
    }

    pub(super) fn api(&self, base: &str, authorization: Secret) -> Api {
        let base = base.trim_end_matches('/').to_owned();
        Api { client: self.client.clone(), engine: self.engine.clone(), base, authorization, renews: None }
    }

    /// An access token that is good for a while; a new one replaces the refresh token, too, in one write.
    async fn access_token(&self, ctx: &TenantCtx, site: &JiraSite) -> Result<Secret, Failure> {
        let JiraLogin::OAuth { token_url, client, secret, refresh, access, until } = &site.login else {
            return Err(Failure::new(Fault::Bug, "the site has no OAuth login"));
        };
        let now = self.engine.clock.now();
        if let (Some(access), Some(until)) = (access, until)
            && now + MARGIN < *until
        {
            return self.vault.open(ctx, PURPOSE, access).await;
        }
        self.alone(ctx, now).await?;
        // Whoever was alone before may have left a new one.
        let fresh = directory::jira(&self.engine, ctx).await?.unwrap_or_else(|| site.clone());
        if fresh.login != site.login {
            return Err(Failure::new(Fault::Transient, "the login to Jira was renewed a moment ago"));
        }
        let (secret, refresh) =
            (self.vault.open(ctx, PURPOSE, secret).await?, self.vault.open(ctx, PURPOSE, refresh).await?);
        let body = json!({
            "grant_type": "refresh_token",
            "client_id": client,
            "client_secret": secret.expose_text(),
            "refresh_token": refresh.expose_text(),
        });
        let sent = self.client.post(token_url).json(&body).send().await;
        let answer = sent.map_err(|_| Failure::new(Fault::Transient, "Atlassian's login cannot be reached"))?;
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure::new(Fault::Transient, "Atlassian's login failed"));
        }
        if !status.is_success() {
            let say = "Atlassian no longer takes the refresh token; connect the site again";
            return Err(Failure::new(Fault::Auth, say));
        }
        let tokens: Tokens =
            answer.json().await.map_err(|_| Failure::new(Fault::Transient, "Atlassian's login sent no token"))?;
        let access = Secret::new(tokens.access_token.into_bytes());
        let sealed = self.vault.seal(ctx, PURPOSE, &access).await?;
        let refresh = match tokens.refresh_token {
            Some(next) => self.vault.seal(ctx, PURPOSE, &Secret::new(next.into_bytes())).await?,
            None => match &site.login {
                JiraLogin::OAuth { refresh, .. } => refresh.clone(),
                JiraLogin::Token { .. } => String::new(),
            },
        };
        let until = now + SignedDuration::from_secs(tokens.expires_in.clamp(0, 24 * 3_600));
        for _ in 0..5 {
            // Only the login is ours to change; what else the row says may have changed meanwhile.
            let Some(before) = directory::jira(&self.engine, ctx).await? else { break };
            let mut after = before.clone();
            if let JiraLogin::OAuth { refresh: kept, access, until: end, .. } = &mut after.login {
                kept.clone_from(&refresh);
                (*access, *end) = (Some(sealed.clone()), Some(until));
            }
            if directory::replace_jira(&self.engine, ctx, &before, &after).await? {
                break;
            }
        }
        Ok(access)
    }

    /// One at a time: a refresh token that is used twice ends the whole login.
    async fn alone(&self, ctx: &TenantCtx, now: Timestamp) -> Result<(), Failure> {
        let mut item = Item::new(Key::of(ctx, "", "CONNECTION#jira-refresh"), json!({}));
        item.lease_until = Some(now + REFRESHING);
        let put = Write::Put { item, when: vec![Condition::NotBefore(now)] };
        match self.engine.table.transact(vec![put]).await {
            Ok(()) => Ok(()),
            Err(TableError::Condition { .. }) => {
                Err(Failure::new(Fault::Transient, "the login to Jira is being renewed"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The header of an account with an API token.
pub(super) fn basic(email: &str, token: &Secret) -> Secret {
    let text = STANDARD.encode(format!("{email}:{}", token.expose_text().unwrap_or_default()));
    Secret::new(format!("Basic {text}").into_bytes())
}
