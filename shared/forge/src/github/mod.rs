//! The GitHub App: what is delivered to us, and everything we do there, as one repository's guest with one token.

mod access;
mod api;
mod app;
mod claim;
mod commits;
mod deliveries;
mod inbound;
mod pulls;
mod speech;
mod tickets;

use std::sync::Arc;

use domain::error::{Failure, Fault};
use domain::name::{RepoName, TrackerKey};
use engine::directory::{self, ForgeRepo};
use engine::tenancy::TenantCtx;

pub use app::{App, AppSettings, KeySigner};
pub use claim::{Claimable, Claims, DeviceCode};
pub use deliveries::Missed;
pub use inbound::parse;

use api::Api;
use app::Scope;

/// The forge and the tracker that GitHub is, for every tenant that has installed the App.
#[derive(Clone)]
pub struct Github {
    app: Arc<App>,
}

/// A repository with a token for one purpose.
struct Guest {
    api: Api,
    repo: ForgeRepo,
}

impl Guest {
    /// A path below the repository.
    fn at(&self, rest: &str) -> String {
        format!("/repos/{}/{rest}", self.repo.name)
    }
}

impl Github {
    /// Speaks as an App.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The repository behind a name of ours, with a token for a purpose.
    async fn guest(&self, ctx: &TenantCtx, repo: &RepoName, scope: Scope) -> Result<Guest, Failure> {
        let row = directory::repository(self.app.engine(), ctx, repo).await?;
        let repo = row.and_then(|row| row.github).ok_or_else(|| {
            Failure::new(Fault::Permission, format!("`{repo}` is not connected to this tenant through the GitHub App"))
        })?;
        let api = self.app.guest(ctx, &repo, scope).await?;
        Ok(Guest { api, repo })
    }
}

/// The repository and the number that a ticket's key names: `owner/name#7`.
fn issue(key: &TrackerKey) -> Option<(RepoName, u64)> {
    let (repo, number) = key.as_str().split_once('#')?;
    Some((RepoName::parse(repo).ok()?, number.parse().ok()?))
}
