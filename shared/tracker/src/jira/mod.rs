//! Jira Cloud: what it delivers to us, and what we say there through its REST API, version 3.

mod api;
mod connect;
mod image;
mod inbound;
mod speech;
mod tickets;

use std::sync::Arc;

use domain::error::{Failure, Fault};
use engine::Engine;
use engine::directory::{self, JiraSite};
use engine::port::Vault;
use engine::tenancy::TenantCtx;

pub use connect::{Checked, Credentials, EVENTS};
pub use inbound::parse;

use api::Api;

/// What a tenant's secrets for Jira are sealed for.
pub const PURPOSE: &str = "jira";

/// The sites of Jira of every tenant that is connected to one.
#[derive(Clone)]
pub struct Jira {
    engine: Engine,
    vault: Arc<dyn Vault>,
    client: reqwest::Client,
}

impl Jira {
    /// Reaches tenants' sites with the secrets that a vault holds.
    pub fn new(engine: Engine, vault: Arc<dyn Vault>) -> Result<Self, Failure> {
        let second = std::time::Duration::from_secs(1);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(second * 5)
            .timeout(second * 10)
            .build()
            .map_err(|_| Failure::new(Fault::Bug, "no HTTP client can be made"))?;
        Ok(Self { engine, vault, client })
    }

    /// The tenant's site, logged in.
    async fn site(&self, ctx: &TenantCtx) -> Result<(JiraSite, Api), Failure> {
        let site = directory::jira(&self.engine, ctx).await?;
        let site = site.ok_or_else(|| Failure::new(Fault::Auth, "this tenant is connected to no site of Jira"))?;
        let api = self.log_in(ctx, &site).await?;
        Ok((site, api))
    }
}
