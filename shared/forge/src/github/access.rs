//! What GitHub itself lets people do: asked anew each time it matters, never taken from what a delivery claims.

use domain::error::{Failure, Fault};
use domain::name::RepoName;
use engine::port::{Access, Person};
use engine::tenancy::TenantCtx;
use serde::Deserialize;

use super::Github;
use super::app::Scope;

#[derive(Deserialize)]
struct Permission {
    permission: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
}

impl Github {
    /// What a person may do with a repository now. A name that somebody else has taken over is nobody.
    pub(super) async fn access_of(&self, ctx: &TenantCtx, repo: &RepoName, who: &Person) -> Result<Access, Failure> {
        let guest = self.guest(ctx, repo, Scope::Look).await?;
        let answer = guest.api.get(&guest.at(&format!("collaborators/{}/permission", who.login))).await?;
        if answer.is_missing() {
            return Ok(Access::None);
        }
        let found: Permission = answer.read("reading a permission")?;
        if found.user.is_none_or(|user| user.id != who.id) {
            return Ok(Access::None);
        }
        // `maintain` and `triage` come as `write` and `read`; `role_name` may be anybody's own word.
        Ok(match found.permission.as_str() {
            "admin" => Access::Admin,
            "write" | "maintain" => Access::Write,
            "read" | "triage" => Access::Read,
            _ => Access::None,
        })
    }

    /// Whether a person is an active member of `organisation/team`.
    pub(super) async fn is_in_team(
        &self,
        ctx: &TenantCtx,
        repo: &RepoName,
        team: &str,
        who: &Person,
    ) -> Result<bool, Failure> {
        let Some((organisation, team)) = team.split_once('/') else {
            return Ok(false);
        };
        // A person's own account has no teams, and an organisation may not have agreed to show its own.
        let guest = match self.guest(ctx, repo, Scope::Teams).await {
            Err(failure) if failure.fault == Fault::Permission => return Ok(false),
            guest => guest?,
        };
        let path = format!("/orgs/{organisation}/teams/{team}/memberships/{}", who.login);
        let answer = guest.api.get(&path).await?;
        if answer.is_missing() {
            return Ok(false);
        }
        Ok(answer.read::<Membership>("reading a team")?.state == "active")
    }
}
