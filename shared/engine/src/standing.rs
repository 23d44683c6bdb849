//! What a person may do with a repository at this moment: their role here, held to what the forge lets them do.

use domain::error::Failure;
use domain::name::RepoName;
use domain::policy::Policy;
use domain::principal::Role;

use crate::port::{Access, Forge, Person};
use crate::tenancy::TenantCtx;

/// What the forge says of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What they may do with the repository.
    pub access: Access,
    /// Whether they are in a team whose members approve.
    pub approves: bool,
}

impl Standing {
    /// Asks the forge; `None` where it has no say.
    pub async fn of(
        forge: &dyn Forge,
        ctx: &TenantCtx,
        repo: &RepoName,
        policy: &Policy,
        who: &Person,
    ) -> Result<Option<Self>, Failure> {
        let Some(access) = forge.access(ctx, repo, who).await? else {
            return Ok(None);
        };
        let mut approves = false;
        if access != Access::None {
            for team in &policy.approver_teams {
                approves = approves || forge.in_team(ctx, repo, team, who).await?;
            }
        }
        Ok(Some(Self { access, approves }))
    }

    /// What comes of a role here; `None` for whom the forge knows nothing of.
    pub fn hold(self, role: Role) -> Option<Role> {
        let role = if self.approves { role.max(Role::Approver) } else { role };
        self.access.most().map(|most| role.min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_the_least_of_what_it_is_here_and_there_and_a_team_only_lifts_it_to_approver() {
        let held = |access, approves, role| Standing { access, approves }.hold(role);
        assert_eq!(held(Access::None, true, Role::Admin), None);
        assert_eq!(held(Access::Read, true, Role::Admin), Some(Role::Reader));
        assert_eq!(held(Access::Write, false, Role::Admin), Some(Role::Approver));
        assert_eq!(held(Access::Write, false, Role::Writer), Some(Role::Writer));
        assert_eq!(held(Access::Write, true, Role::Writer), Some(Role::Approver));
        assert_eq!(held(Access::Admin, true, Role::Reader), Some(Role::Approver));
        assert_eq!(held(Access::Admin, false, Role::Admin), Some(Role::Admin));
    }
}
