//! Who acts: a member as the tenant has them, held to what the forge itself lets them do at this very moment.

use domain::error::{Failure, Fault};
use domain::id::MemberId;
use domain::name::RepoName;
use domain::principal::{Member, Role, Via};
use engine::directory::{self, MemberRow};
use engine::inbound::Actor;
use engine::port::{Access, Person};

use crate::Case;

/// The most that a person can be here, by what the forge lets them do.
fn most(access: Access) -> Option<Role> {
    match access {
        Access::None => None,
        Access::Read => Some(Role::Reader),
        Access::Write => Some(Role::Approver),
        Access::Admin => Some(Role::Admin),
    }
}

/// The member who acts on a repository, with the role that counts now; nobody where the forge knows nothing of them.
pub(crate) async fn acting(case: &Case<'_>, repo: Option<&RepoName>) -> Result<Option<Member>, Failure> {
    let Some((actor, id)) = person(case) else {
        return Ok(case.member.clone());
    };
    let Some(repo) = repo else {
        return Ok(case.member.clone());
    };
    let who = Person { id, login: actor.name.clone() };
    let forge = &case.intake.forge;
    let Some(access) = forge.access(&case.ctx, repo, &who).await? else {
        return Ok(case.member.clone());
    };
    let Some(most) = most(access) else {
        return Ok(None);
    };
    let policy = directory::policy_of(&case.intake.engine, &case.ctx, None).await?;
    let mut teams = false;
    for team in &policy.approver_teams {
        teams = teams || forge.in_team(&case.ctx, repo, team, &who).await?;
    }
    let mut member = match case.member.clone() {
        Some(member) => member,
        None if access >= Access::Write && policy.collaborators_may_write => collaborator(case, &who)?,
        None => return Ok(None),
    };
    member.role = if teams { member.role.max(Role::Approver) } else { member.role }.min(most);
    remember(case, &member, who, teams).await?;
    Ok(Some(member))
}

/// The actor, if it is a person of GitHub.
fn person<'a>(case: &'a Case<'_>) -> Option<(&'a Actor, u64)> {
    let actor = case.actor.as_ref().filter(|actor| actor.is_person && actor.provider == "github")?;
    Some((actor, actor.id.parse().ok()?))
}

fn collaborator(case: &Case<'_>, who: &Person) -> Result<Member, Failure> {
    let id = MemberId::parse(&directory::collaborator(who.id))
        .map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
    let (tenant, name) = (case.ctx.tenant().clone(), who.login.clone());
    Ok(Member { tenant, id, name, role: Role::Writer, via: Via::Github })
}

/// Keeps what the person is called on GitHub, so that it can be asked again before a push.
async fn remember(case: &Case<'_>, member: &Member, who: Person, teams: bool) -> Result<(), Failure> {
    let engine = &case.intake.engine;
    let identity = [("github".to_owned(), who.id.to_string())];
    let known = directory::member_row(engine, &case.ctx, &member.id).await?;
    let wanted = match &known {
        Some(row) => MemberRow { github: Some(who), ..row.clone() },
        None => MemberRow { id: member.id.clone(), name: member.name.clone(), role: Role::Writer, github: Some(who), teams },
    };
    let wanted = MemberRow { teams, ..wanted };
    if known.as_ref() == Some(&wanted) {
        return Ok(());
    }
    directory::store_member(engine, &case.ctx, &wanted, &identity).await
}
