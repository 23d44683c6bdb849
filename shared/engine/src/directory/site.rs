//! Sites of Jira: where they are, how we log in, and what their statuses are called.

use domain::error::Failure;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{parsed, put, row};
use crate::Engine;
use crate::key::Key;
use crate::port::{Condition, Item, TableError, Write};
use crate::tenancy::TenantCtx;

/// The site of Jira whose tickets a tenant has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JiraSite {
    /// What people open: `https://acme.atlassian.net`.
    pub site: String,
    /// Where the API is: the site itself, or Atlassian's gateway to it.
    pub api: String,
    /// The `accountId` that we are there.
    pub account: String,
    /// How we log in.
    pub login: JiraLogin,
    /// The statuses tickets go through; what is absent is left to people.
    #[serde(default)]
    pub statuses: JiraStatuses,
    /// The field that names a ticket's repository, such as `customfield_10050`.
    #[serde(default)]
    pub repository_field: Option<String>,
}

/// How we log in to a site of Jira; secrets are sealed by the vault for the purpose `jira`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JiraLogin {
    /// A service account with an API token.
    Token {
        /// The account's address.
        email: String,
        /// The token, sealed.
        token: String,
    },
    /// OAuth 2.0 with a refresh token that is a new one after each use.
    OAuth {
        /// Where tokens are made.
        token_url: String,
        /// The client, as registered with Atlassian.
        client: String,
        /// The client's secret, sealed.
        secret: String,
        /// The refresh token, sealed.
        refresh: String,
        /// The access token, sealed; absent before the first use.
        access: Option<String>,
        /// Until when the access token is good.
        until: Option<domain::Timestamp>,
    },
}

/// Names of statuses in Jira.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JiraStatuses {
    /// Once work has begun.
    pub in_progress: Option<String>,
    /// Once the pull request is open.
    pub in_review: Option<String>,
    /// Once it is merged.
    pub done: Option<String>,
}

/// Connects a tenant to a site of Jira.
pub async fn store_jira(engine: &Engine, ctx: &TenantCtx, site: &JiraSite) -> Result<(), Failure> {
    put(engine, Key::of(ctx, "", JIRA), json!(site)).await
}

/// The row of a tenant's site of Jira.
const JIRA: &str = "CONNECTION#jira";

/// The site of Jira that a tenant is connected to.
pub async fn jira(engine: &Engine, ctx: &TenantCtx) -> Result<Option<JiraSite>, Failure> {
    row(engine, &Key::of(ctx, "", JIRA)).await
}

/// Stores a site of Jira in place of exactly the one that was read; says whether nobody else was faster.
pub async fn replace_jira(
    engine: &Engine,
    ctx: &TenantCtx,
    before: &JiraSite,
    after: &JiraSite,
) -> Result<bool, Failure> {
    let key = Key::of(ctx, "", JIRA);
    let Some(item) = engine.table.get(&key).await? else {
        return Ok(false);
    };
    let seen = item.version;
    if parsed::<JiraSite>(item)? != *before {
        return Ok(false);
    }
    let mut item = Item::new(key, json!(after));
    item.version = seen + 1;
    match engine.table.transact(vec![Write::Put { item, when: vec![Condition::VersionIs(seen)] }]).await {
        Ok(()) => Ok(true),
        Err(TableError::Condition { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
