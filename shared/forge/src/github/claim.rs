//! Claiming an installation: its number is no secret, so whoever connects it signs in and must administer its account.

use std::time::Duration;

use domain::error::{Failure, Fault};
use domain::name::RepoName;
use engine::Engine;
use engine::inbound::Named;
use engine::port::{Person, Secret};
use serde::Deserialize;
use serde_json::json;

use super::Github;
use super::api::{Api, Clients};
use super::app::AppSettings;

/// How much slower GitHub wants to be asked when it says so.
const SLOWER: Duration = Duration::from_secs(5);

/// Lets people prove what they administer, by GitHub's device flow: no secret of ours and no page is needed for it.
pub struct Claims {
    engine: Engine,
    client: String,
    web: Api,
    clients: Clients,
}

/// What a person enters at GitHub to sign in here, once and within minutes.
#[derive(Debug, Clone, Deserialize)]
pub struct DeviceCode {
    /// What to enter.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    #[serde(rename = "device_code")]
    secret: String,
    expires_in: u64,
    interval: u64,
}

/// An installation that a person may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimable {
    /// Its number.
    pub installation: u64,
    /// The account it was made for.
    pub account: String,
    /// What it may see.
    pub repositories: Vec<Named>,
}

#[derive(Deserialize)]
struct Signed {
    access_token: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Me {
    id: u64,
    login: String,
}

impl From<Me> for Person {
    fn from(Me { id, login }: Me) -> Self {
        Self { id, login }
    }
}

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: Option<String>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct Installations {
    installations: Vec<Installation>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
    role: String,
}

#[derive(Deserialize)]
struct Repositories {
    repositories: Vec<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
    full_name: String,
    private: bool,
    default_branch: Option<String>,
}

impl Claims {
    /// For the App with this client id, at these addresses.
    pub fn new(engine: Engine, api: &str, web: &str, client_id: &str) -> Result<Self, Failure> {
        let web = Api::new(Clients::new(web)?, engine.clone(), None, None);
        Ok(Self { clients: Clients::new(api)?, engine, client: client_id.to_owned(), web })
    }

    /// Begins: GitHub gives a code for a person to enter.
    pub async fn begin(&self) -> Result<DeviceCode, Failure> {
        let answer = self.web.post("/login/device/code", json!({ "client_id": self.client })).await?;
        if answer.is_missing() {
            let say =
                "GitHub does not know this App, or its device flow is off: an owner enables it in the App's settings";
            return Err(Failure::new(Fault::Permission, say));
        }
        answer.read("asking for a code to sign in with")
    }

    /// Waits until the person has entered the code; the token is theirs and is forgotten after use.
    pub async fn signed_in(&self, code: &DeviceCode) -> Result<Secret, Failure> {
        let refused = |say: &str| Err(Failure::new(Fault::Permission, say));
        let body = json!({
            "client_id": self.client,
            "device_code": code.secret,
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        });
        let (mut wait, mut waited) = (Duration::from_secs(code.interval.clamp(1, 60)), Duration::ZERO);
        while waited < Duration::from_secs(code.expires_in) {
            tokio::time::sleep(wait).await;
            waited += wait;
            let answer = match self.web.post("/login/oauth/access_token", body.clone()).await {
                Err(failure) if failure.fault.is_retryable() => continue,
                answer => answer?,
            };
            let signed: Signed = answer.body("asking whether somebody signed in")?;
            if let Some(token) = signed.access_token {
                return Ok(Secret::new(token.into_bytes()));
            }
            match signed.error.as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => wait += SLOWER,
                Some("access_denied") => return refused("the person declined"),
                Some("device_flow_disabled") => {
                    return refused("the App's device flow is off: an owner enables it in the App's settings");
                }
                Some("expired_token") | None => break,
                Some(other) => return refused(&format!("GitHub does not sign anybody in: {other}")),
            }
        }
        refused("nobody entered the code in time; begin again")
    }

    /// Who signed in, and the installations of this App on accounts that they administer: their own, and organisations
    /// they own.
    pub async fn claimable(&self, token: &Secret) -> Result<(Person, Vec<Claimable>), Failure> {
        let clients = self.clients.with_token(token.expose_text().unwrap_or_default())?;
        let api = Api::new(clients, self.engine.clone(), None, None);
        let me: Person = api.get("/user").await?.read::<Me>("asking who signed in")?.into();
        let mut found = Vec::new();
        let count = |page: &Installations| page.installations.len();
        let pages = api.pages("/user/installations", "listing installations", count).await?;
        for installation in pages.into_iter().flat_map(|page| page.installations) {
            // An enterprise has no login, and nobody who could be asked for.
            let Some(account) = installation.account else { continue };
            let Some(login) = account.login else { continue };
            let organisation = account.r#type.as_deref() == Some("Organization");
            let owns = account.id == me.id || (organisation && administers(&api, &login).await?);
            if owns {
                let path = format!("/user/installations/{}/repositories", installation.id);
                let count = |page: &Repositories| page.repositories.len();
                let pages = api.pages(&path, "listing what an installation may see", count).await?;
                let repositories = pages.into_iter().flat_map(|page| page.repositories);
                found.push(Claimable {
                    installation: installation.id,
                    account: login,
                    repositories: repositories.filter_map(named).collect(),
                });
            }
        }
        Ok((me, found))
    }
}

/// Who can merely see a repository of an organisation sees its installation, too, and may not give it away.
async fn administers(api: &Api, organisation: &str) -> Result<bool, Failure> {
    let answer = match api.get(&format!("/user/memberships/orgs/{organisation}")).await {
        Err(failure) if failure.fault == Fault::Permission => return Ok(false),
        answer => answer?,
    };
    if answer.is_missing() {
        return Ok(false);
    }
    let membership: Membership = answer.read("asking for a membership")?;
    Ok(membership.state == "active" && membership.role == "admin")
}

fn named(repository: Repository) -> Option<Named> {
    Some(Named {
        id: repository.id,
        name: RepoName::parse(&repository.full_name).ok()?,
        public: Some(!repository.private),
        base: repository.default_branch,
    })
}

impl Github {
    /// How people claim installations of this App.
    pub async fn claims(&self) -> Result<Claims, Failure> {
        #[derive(Deserialize)]
        struct Itself {
            client_id: Option<String>,
        }
        let itself: Itself = self.app.itself().await?.get("/app").await?.read("asking who we are")?;
        let unknown = || Failure::new(Fault::Permission, "GitHub does not say what the App's client id is");
        let AppSettings { api, web, .. } = self.app.settings();
        Claims::new(self.app.engine().clone(), api, web, &itself.client_id.ok_or_else(unknown)?)
    }
}
