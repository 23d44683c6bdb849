//! Who acts: a member as the tenant has them, held to what the forge itself lets them do at this very moment.

use domain::error::{Failure, Fault};
use domain::id::MemberId;
use domain::name::RepoName;
use domain::principal::{Member, Role, Via};
use engine::directory::{self, MemberRow};
use engine::inbound::Actor;
use engine::port::{Access, Person};
use engine::standing::Standing;

use crate::Case;

/// The member who acts on a repository, with the role that counts now; nobody where the forge knows nothing of them.
pub(crate) async fn acting(case: &Case<'_>, repo: Option<&RepoName>) -> Result<Option<Member>, Failure> {
    let Some((actor, id)) = person(case) else {
        return Ok(case.member.clone());
    };
    let Some(repo) = repo else {
        return Ok(case.member.clone());
    };
    let who = Person { id, login: actor.name.clone() };
    let policy = directory::policy_of(&case.intake.engine, &case.ctx, None).await?;
    let Some(standing) = Standing::of(case.intake.forge.as_ref(), &case.ctx, repo, &policy, &who).await? else {
        return Ok(case.member.clone());
    };
    let named = case.member.clone().filter(|member| member.id.as_str() != directory::collaborator(who.id));
    let mut member = match named {
        Some(member) => member,
        // Nobody named this person, now or earlier: the policy of today decides.
        None if standing.access >= Access::Write && policy.collaborators_may_write => collaborator(case, &who)?,
        None => return Ok(None),
    };
    let Some(role) = standing.hold(member.role) else {
        return Ok(None);
    };
    member.role = role;
    remember(case, &member, who, standing.approves).await?;
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
    let how = |row: &mut MemberRow| {
        row.github = Some(who.clone());
        row.teams = teams;
    };
    let known = directory::change_member(engine, &case.ctx, &member.id, how).await?;
    if known.is_some() || member.id.as_str() != directory::collaborator(who.id) {
        return Ok(());
    }
    let identity = [("github".to_owned(), who.id.to_string())];
    let mut row = MemberRow::new(member.id.clone(), member.name.clone(), Role::Writer);
    (row.github, row.teams) = (Some(who), teams);
    directory::store_member(engine, &case.ctx, &row, &identity).await
}
