//! The App itself: its signature, and tokens of installations, each for one repository and one purpose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::name::RepoName;
use engine::Engine;
use engine::directory::{self, ForgeRepo};
use engine::port::{RepoTokens, Secret, Signer};
use engine::tenancy::TenantCtx;
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Github;
use super::api::{Api, Clients, ENDING};

/// Which App, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSettings {
    /// The App's number.
    pub id: u64,
    /// Where its API is.
    pub api: String,
    /// Where people and git find repositories.
    pub web: String,
}

impl AppSettings {
    /// Where the API of github.com is.
    pub const API: &'static str = "https://api.github.com";
    /// Where people and git find its repositories.
    pub const WEB: &'static str = "https://github.com";

    /// Where an Enterprise Server is whose API is `https://HOST/api/v3`; nothing for any other API.
    pub fn server(api: &str) -> Option<&str> {
        api.trim_end_matches('/').strip_suffix("/api/v3")
    }
}

/// A private key in memory, as GitHub hands it out: RSA in PEM.
pub struct KeySigner(EncodingKey);

impl KeySigner {
    /// Reads a key.
    pub fn from_pem(pem: &Secret) -> Result<Self, Failure> {
        let key = EncodingKey::from_rsa_pem(pem.expose());
        key.map(Self).map_err(|_| Failure::new(Fault::Auth, "the App's private key is not an RSA key in PEM"))
    }
}

#[async_trait]
impl Signer for KeySigner {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let bug = || Failure::new(Fault::Auth, "the App's private key cannot sign");
        let text = jsonwebtoken::crypto::sign(message, &self.0, Algorithm::RS256).map_err(|_| bug())?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| bug())
    }
}

/// What a token may do; each purpose has its own, and none has more than it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Read the repository by git.
    Read,
    /// See people's permissions, issues, pull requests and checks.
    Look,
    /// See who is in a team; only an organisation can give that.
    Teams,
    /// Speak: comments, reactions, labels, check runs.
    Talk,
    /// Open pull requests, for which GitHub wants to read what is in them.
    Offer,
    /// Resolve threads and make drafts ready, for which GitHub wants the right to push.
    Settle,
    /// Make commits and move the ticket's branch.
    Push,
}

impl Scope {
    fn permissions(self) -> Value {
        match self {
            Self::Read => json!({ "contents": "read", "metadata": "read" }),
            Self::Look => json!({
                "checks": "read", "issues": "read", "metadata": "read", "pull_requests": "read", "statuses": "read",
            }),
            Self::Talk => json!({ "checks": "write", "issues": "write", "metadata": "read", "pull_requests": "write" }),
            Self::Teams => json!({ "members": "read", "metadata": "read" }),
            Self::Offer => json!({ "contents": "read", "metadata": "read", "pull_requests": "write" }),
            Self::Settle => json!({ "contents": "write", "metadata": "read", "pull_requests": "write" }),
            Self::Push => json!({ "contents": "write", "metadata": "read" }),
        }
    }
}

/// Longest token that is taken; what is in it is GitHub's affair.
const MAX_TOKEN: usize = 2_048;
/// How long before its end a token is no longer begun with.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

struct Kept {
    token: Secret,
    until: Timestamp,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
}

#[derive(Deserialize)]
struct Minted {
    token: String,
    expires_at: Timestamp,
}

/// One GitHub App.
pub struct App {
    settings: AppSettings,
    signer: Arc<dyn Signer>,
    engine: Engine,
    clients: Clients,
    kept: Tokens,
    login: OnceLock<String>,
}

/// The tokens that are kept, by installation, repository and purpose.
type Tokens = Arc<Mutex<HashMap<(u64, String, Scope), Kept>>>;

impl App {
    /// Speaks as an App that signs with a key.
    pub fn new(engine: Engine, settings: AppSettings, signer: Arc<dyn Signer>) -> Result<Self, Failure> {
        let clients = Clients::new(&settings.api)?;
        Ok(Self { settings, signer, engine, clients, kept: Tokens::default(), login: OnceLock::new() })
    }

    pub(super) fn settings(&self) -> &AppSettings {
        &self.settings
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the App is called where it writes: no person can have a name with brackets.
    pub(super) async fn login(&self) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Itself {
            slug: String,
        }
        if let Some(login) = self.login.get() {
            return Ok(login.clone());
        }
        let itself: Itself = self.itself().await?.get("/app").await?.read("asking who we are")?;
        Ok(self.login.get_or_init(|| format!("{}[bot]", itself.slug)).clone())
    }

    /// The author that GitHub gives the App's commits.
    pub(super) async fn signature(&self) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct User {
            id: u64,
        }
        let login = self.login().await?;
        let path = format!("/users/{}", login.replace('[', "%5B").replace(']', "%5D"));
        let user: User = self.itself().await?.get(&path).await?.read("asking who we are")?;
        Ok(format!("{login} <{}+{login}@users.noreply.github.com>", user.id))
    }

    /// The App's number.
    pub fn id(&self) -> u64 {
        self.settings.id
    }

    /// Calls as the App, with a signature that holds for nine minutes.
    pub(super) async fn itself(&self) -> Result<Api, Failure> {
        let now = self.engine.clock.now().as_second();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        // A minute early, since GitHub's clock may be behind.
        let claims = json!({ "iat": now - 60, "exp": now + 540, "iss": self.settings.id.to_string() });
        let message = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.signer.sign(message.as_bytes()).await?);
        let clients = self.clients.with_token(&format!("{message}.{signature}"))?;
        Ok(Api::new(clients, self.engine.clone(), None, None))
    }

    /// Calls as the guest of one repository. Tokens to look and to talk are
    /// kept until shortly before they end.
    pub(super) async fn guest(&self, ctx: &TenantCtx, repo: &ForgeRepo, scope: Scope) -> Result<Api, Failure> {
        let installation = self.installation(ctx, repo).await?;
        let token = self.token(installation, repo, scope).await?;
        let clients = self.clients.with_token(token.expose_text().unwrap_or_default())?;
        let kept = Arc::clone(&self.kept);
        // GitHub ended a token before its time: the next call begins with a new one.
        let ended = Arc::new(move || {
            kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, ..), _| *id != installation);
        });
        let api = Api::new(clients, self.engine.clone(), Some((ctx.clone(), installation)), Some(ended));
        Ok(if scope == Scope::Push { api.pushing() } else { api })
    }

    /// The installation, if it still belongs to the tenant; one that was made anew is looked up.
    async fn installation(&self, ctx: &TenantCtx, repo: &ForgeRepo) -> Result<u64, Failure> {
        let ours = |connection: directory::Connection| connection.tenant == *ctx.tenant() && connection.is_live();
        if directory::installation(&self.engine, repo.installation).await?.is_some_and(ours) {
            return Ok(repo.installation);
        }
        let removed = || Failure::new(Fault::Permission, "the GitHub App is no longer installed for this tenant");
        let answer = self.itself().await?.get(&format!("/repos/{}/installation", repo.name)).await?;
        if answer.is_missing() {
            return Err(removed());
        }
        let found: Found = answer.read("looking up an installation")?;
        // Only one that was claimed for this very tenant: whoever installs the App chooses whose repository it sees.
        if directory::installation(&self.engine, found.id).await?.is_some_and(ours) {
            return Ok(found.id);
        }
        Err(removed())
    }

    async fn token(&self, installation: u64, repo: &ForgeRepo, scope: Scope) -> Result<Secret, Failure> {
        let which = (installation, repo.id.map_or_else(|| repo.name.to_string(), |id| id.to_string()), scope);
        let now = self.engine.clock.now();
        // What pushes is ended after use, and what git reads with is asked for once a step.
        let keeps = matches!(scope, Scope::Look | Scope::Talk);
        if keeps
            && let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&which)
            && kept.until > now
        {
            return Ok(kept.token.clone());
        }
        let minted = self.mint(installation, repo, scope).await?;
        let token = Secret::new(minted.token.into_bytes());
        if keeps {
            let kept = Kept { token: token.clone(), until: minted.expires_at - MARGIN };
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(which, kept);
        }
        Ok(token)
    }

    async fn mint(&self, installation: u64, repo: &ForgeRepo, scope: Scope) -> Result<Minted, Failure> {
        let permissions = scope.permissions();
        let body = match repo.id {
            Some(id) => json!({ "permissions": permissions, "repository_ids": [id] }),
            None => json!({ "permissions": permissions, "repositories": [repo.name.as_str().split('/').next_back()] }),
        };
        let answer =
            self.itself().await?.post(&format!("/app/installations/{installation}/access_tokens"), body).await?;
        if answer.is_missing() {
            let say = "the GitHub App is no longer installed there, or is suspended";
            return Err(Failure::new(Fault::Permission, say));
        }
        if answer.is_refused() {
            let say = format!(
                "the GitHub App was not given what it needs on `{}`; an owner must accept its permissions: {}",
                repo.name,
                answer.said()
            );
            return Err(Failure::new(Fault::Permission, say));
        }
        let minted: Minted = answer.read("minting a token")?;
        if minted.token.is_empty() || minted.token.len() > MAX_TOKEN {
            return Err(Failure::new(Fault::Bug, "GitHub minted a token of no use"));
        }
        Ok(minted)
    }
}

/// Ends a token that is no longer needed; where that fails it ends by itself within the hour.
pub(super) async fn revoke(api: &Api) {
    if let Err(failure) = api.delete(ENDING).await {
        tracing::debug!(error = %failure, "a token was left to end by itself");
    }
}

#[async_trait]
impl RepoTokens for Github {
    fn address(&self, name: &RepoName) -> String {
        format!("{}/{name}.git", self.app.settings.web)
    }

    async fn to_read(&self, ctx: &TenantCtx, repo: &RepoName) -> Result<Option<Secret>, Failure> {
        let row = directory::repository(self.app.engine(), ctx, repo).await?;
        let Some(repo) = row.and_then(|row| row.github) else {
            return Ok(None);
        };
        let installation = self.app.installation(ctx, &repo).await?;
        self.app.token(installation, &repo, Scope::Read).await.map(Some)
    }
}
