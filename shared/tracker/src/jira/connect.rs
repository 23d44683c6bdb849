//! Connecting a site: who we are there, what we may do, and where its deliveries come in.

use domain::error::{Failure, Fault};
use engine::directory::{self, JiraLogin, JiraSite, JiraStatuses};
use engine::port::Secret;
use engine::tenancy::TenantCtx;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::Api;
use super::{Jira, PURPOSE};

/// What the site tells us of.
pub const EVENTS: [&str; 3] = ["jira:issue_created", "jira:issue_updated", "comment_created"];

/// What our account needs, and what for.
const NEEDED: [(&str, &str); 6] = [
    ("BROWSE_PROJECTS", "read issues"),
    ("ADD_COMMENTS", "write comments"),
    ("EDIT_OWN_COMMENTS", "keep the status comment up to date"),
    ("EDIT_ISSUES", "set labels"),
    ("TRANSITION_ISSUES", "move issues to another status"),
    ("LINK_ISSUES", "link the pull request"),
];

/// How to log in.
pub enum Credentials {
    /// A service account with an API token.
    Token {
        /// The account's address.
        email: String,
        /// The token.
        token: Secret,
    },
    /// OAuth 2.0 with a refresh token.
    OAuth {
        /// The site's number at Atlassian.
        cloud: String,
        /// The client, as registered with Atlassian.
        client: String,
        /// Its secret.
        secret: Secret,
        /// The refresh token.
        refresh: Secret,
    },
}

/// What a connection is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What our account is called there.
    pub name: String,
    /// Its `accountId`.
    pub account: String,
    /// What it lacks: the permission's name, and what it would be for.
    pub missing: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Myself {
    account_id: String,
    #[serde(default)]
    display_name: String,
}

#[derive(Deserialize)]
struct Permissions {
    permissions: Map<String, Value>,
}

/// Whether an address is a site of Jira Cloud, or of this machine.
fn is_site(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else {
        return false;
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    let host = url.host_str().unwrap_or_default();
    let cloud = url.scheme() == "https" && host.ends_with(".atlassian.net") && url.port().is_none();
    plain && (cloud || (url.scheme() == "http" && host == "127.0.0.1"))
}

async fn check(api: &Api, project: Option<&str>) -> Result<Checked, Failure> {
    let me: Myself = api.get("/rest/api/3/myself").await?.read("asking who we are")?;
    let names = NEEDED.map(|(name, _)| name).join(",");
    let within = project.map(|project| format!("&projectKey={project}")).unwrap_or_default();
    let path = format!("/rest/api/3/mypermissions?permissions={names}{within}");
    let all: Permissions = api.get(&path).await?.read("asking what we may do")?;
    let has = |name: &str| all.permissions.get(name).and_then(|p| p.get("havePermission")) == Some(&json!(true));
    let missing =
        NEEDED.iter().filter(|(name, _)| !has(name)).map(|(name, why)| ((*name).to_owned(), (*why).to_owned()));
    Ok(Checked { name: me.display_name, account: me.account_id, missing: missing.collect() })
}

impl Jira {
    /// Logs in to a site, and connects the tenant to it; what the connection was told before stays.
    pub async fn connect(
        &self,
        ctx: &TenantCtx,
        site: &str,
        credentials: &Credentials,
        (statuses, field): (Option<JiraStatuses>, Option<String>),
    ) -> Result<Checked, Failure> {
        let site = site.trim_end_matches('/').to_owned();
        if !is_site(&site) {
            return Err(Failure::new(Fault::Invalid, "the site must be an address such as https://acme.atlassian.net"));
        }
        let before = directory::jira(&self.engine, ctx).await?;
        let (api, login) = match credentials {
            Credentials::Token { email, token } => {
                let token = self.vault.seal(ctx, PURPOSE, token).await?;
                (site.clone(), JiraLogin::Token { email: email.clone(), token })
            }
            Credentials::OAuth { cloud, .. } if !cloud.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') => {
                return Err(Failure::new(Fault::Invalid, "the site's number at Atlassian is a UUID"));
            }
            Credentials::OAuth { cloud, client, secret, refresh } => {
                let login = JiraLogin::OAuth {
                    token_url: "https://auth.atlassian.com/oauth/token".to_owned(),
                    client: client.clone(),
                    secret: self.vault.seal(ctx, PURPOSE, secret).await?,
                    refresh: self.vault.seal(ctx, PURPOSE, refresh).await?,
                    access: None,
                    until: None,
                };
                (format!("https://api.atlassian.com/ex/jira/{cloud}"), login)
            }
        };
        let mut row = JiraSite {
            site,
            api,
            account: String::new(),
            login,
            statuses: statuses.or_else(|| before.as_ref().map(|row| row.statuses.clone())).unwrap_or_default(),
            repository_field: field.or_else(|| before.and_then(|row| row.repository_field)),
        };
        if let JiraLogin::OAuth { .. } = &row.login {
            // A refresh token is used up by its first use: the row has to be there to take the next one.
            directory::store_jira(&self.engine, ctx, &row).await?;
        }
        let checked = check(&self.log_in(ctx, &row).await?, None).await?;
        row = directory::jira(&self.engine, ctx)
            .await?
            .filter(|stored| stored.api == row.api && stored.account.is_empty())
            .unwrap_or(row);
        row.account.clone_from(&checked.account);
        directory::store_jira(&self.engine, ctx, &row).await?;
        Ok(checked)
    }

    /// Logs in to the tenant's site and says what our account may not do there, or in one project of it.
    pub async fn test(&self, ctx: &TenantCtx, project: Option<&str>) -> Result<Checked, Failure> {
        let (_, api) = self.site(ctx).await?;
        check(&api, project).await
    }

    /// Has the site deliver to an address with a secret; `false` where our account may not arrange that.
    pub async fn register(&self, ctx: &TenantCtx, address: &str, secret: &Secret) -> Result<bool, Failure> {
        let (site, api) = self.site(ctx).await?;
        if let JiraLogin::OAuth { .. } = site.login {
            // What an app registers for itself has no secret of its own: an administrator adds this one.
            return Ok(false);
        }
        let known = api.get("/rest/webhooks/1.0/webhook").await?;
        if !known.is_good() {
            return Ok(false);
        }
        let known: Vec<Value> = known.read("listing webhooks")?;
        if known.iter().any(|hook| hook.get("url").and_then(Value::as_str) == Some(address)) {
            return Ok(true);
        }
        let hook = json!({
            "name": "PRFactory",
            "url": address,
            "events": EVENTS,
            "excludeBody": false,
            "secret": secret.expose_text(),
        });
        let answer = api.post("/rest/webhooks/1.0/webhook", hook).await?;
        if answer.is_forbidden() || answer.is_missing() {
            return Ok(false);
        }
        answer.done("registering the webhook").map(|()| true)
    }
}
