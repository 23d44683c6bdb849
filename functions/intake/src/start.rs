//! Starts a ticket, or tells an existing one that it was triggered anew.

use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::id::{IdError, TicketId};
use domain::input::{Happening, Input, Request};
use domain::name::{BranchName, RepoName, TrackerKey};
use domain::principal::{Member, Principal, Role};
use domain::ticket::{NewTicket, Target, Ticket, TicketText};
use engine::commit::{Applied, create};
use engine::directory::{self, Repository};
use engine::ledger;
use engine::port::fresh;
use engine::ticket::{guard, guard_write, latest};

use crate::record::{give, ignored, rows, tell};
use crate::{Answer, Case};

/// A ticket of a tracker, as the delivery shows it.
pub(crate) struct Place {
    pub(crate) key: TrackerKey,
    pub(crate) text: TicketText,
    /// The repository, where it is known.
    pub(crate) repo: Option<RepoName>,
    /// The branch to start from, where somebody named one.
    pub(crate) base: Option<BranchName>,
}

/// A label was set or removed, or somebody assigned us.
pub(crate) async fn labels(
    case: &Case<'_>,
    place: Place,
    (added, removed): (&[String], &[String]),
    at: Option<Timestamp>,
) -> Result<Answer, Failure> {
    let ours = |label: &String| {
        label.eq_ignore_ascii_case(&case.intake.label) || label.eq_ignore_ascii_case(&case.intake.handle)
    };
    let Some(member) = case.member.clone() else {
        return ignored(case, "the change is by nobody we know").await;
    };
    if !removed.iter().chain(added).any(ours) {
        return ignored(case, "no label of ours changed").await;
    }
    let case = &match at {
        None => case.clone(),
        Some(at) => match ledger::label(&case.intake.engine, &case.ctx, &place.key, at).await? {
            Some(mark) => Case { extra: vec![mark], ..case.clone() },
            None => return ignored(case, "a later change of the label was seen before").await,
        },
    };
    if removed.iter().any(ours) {
        let Some(row) = latest(&case.intake.engine, &case.ctx, &place.key).await? else {
            return ignored(case, "no work was under way").await;
        };
        let input = Input { by: Principal::Member(member), what: Happening::Request(Request::Untrigger) };
        return give(case, (&row.ticket.id, &place.key), &input, None).await;
    }
    trigger(case, place, &member, None).await
}

/// Starts a ticket, or goes on with one that failed or is paused.
pub(crate) async fn trigger(
    case: &Case<'_>,
    place: Place,
    member: &Member,
    command: Option<(&str, &str)>,
) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    if let Some(row) = latest(engine, &case.ctx, &place.key).await?
        && !row.ticket.state.is_end()
    {
        let input = Input { by: Principal::Member(member.clone()), what: Happening::Request(Request::Trigger) };
        return give(case, (&row.ticket.id, &place.key), &input, command).await;
    }
    start(case, place, member, command).await
}

async fn refuse(
    case: &Case<'_>,
    key: &TrackerKey,
    command: Option<(&str, &str)>,
    text: String,
) -> Result<Answer, Failure> {
    if let Some(command) = command {
        tell(case, key, command, text, true).await
    } else {
        let hash = domain::hash::ContentHash::of(case.body);
        tell(case, key, ("delivery", hash.short()), text, true).await
    }
}

async fn start(
    case: &Case<'_>,
    place: Place,
    member: &Member,
    command: Option<(&str, &str)>,
) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    if member.role < Role::Writer {
        let refusal = domain::refusal::Refusal::role("analyze", member.role, Role::Writer);
        return refuse(case, &place.key, command, refusal.message).await;
    }
    let long = place.text.title.chars().count() > TicketText::MAX_TITLE || place.text.body.len() > TicketText::MAX_BODY;
    if long || place.text.title.trim().is_empty() {
        let text = "The title must have 1 to 256 characters and the description at most 32 KiB. Shorten the ticket and set the label again.";
        return refuse(case, &place.key, command, text.to_owned()).await;
    }
    let policy = directory::policy_of(engine, &case.ctx, None).await?;
    let repository = match choose(case, &place).await? {
        Ok(repository) if policy.allows(&repository.name) => repository,
        Ok(repository) => {
            let text = format!("`{}` is not among the repositories this tenant allows.", repository.name);
            return refuse(case, &place.key, command, text).await;
        }
        Err(text) => return refuse(case, &place.key, command, text).await,
    };
    let id: TicketId = fresh(engine.ids.as_ref(), TicketId::PREFIX)
        .map_err(|error: IdError| Failure::new(Fault::Bug, error.to_string()))?;
    let seen = guard(engine, &case.ctx, &place.key).await?;
    let Ok(branch) = branch_of(&place, seen.is_some(), &id) else {
        return refuse(case, &place.key, command, "No branch name can be made of this ticket.".to_owned()).await;
    };
    let now = engine.clock.now();
    let ticket = Ticket::new(NewTicket {
        id: id.clone(),
        tenant: case.ctx.tenant().clone(),
        key: place.key.clone(),
        via: member.via,
        connection: case.connection.clone(),
        text: place.text,
        requester: Some(member.id.clone()),
        requester_name: member.name.clone(),
        target: Target {
            base: place.base.unwrap_or_else(|| repository.base.clone()),
            repo: repository.name,
            branch,
            commit: None,
            snapshot: None,
        },
        budget: policy.budget_usd,
        at: now,
    });
    let guard = guard_write(&case.ctx, &place.key, &id, seen.as_ref(), now);
    match create(engine, &case.ctx, ticket, &policy, guard, rows(case, command, "started")).await? {
        Applied::Committed(ticket) => Ok(Answer::Started { ticket: ticket.id.clone() }),
        Applied::Refused(_) | Applied::Duplicate | Applied::Fenced | Applied::Missing => Ok(Answer::Duplicate),
    }
}

/// A key's first workflow has the plain branch; a later one must not meet what the first left behind.
fn branch_of(place: &Place, again: bool, id: &TicketId) -> Result<BranchName, domain::name::NameError> {
    let branch = BranchName::for_ticket(&place.key, &place.text.title)?;
    if !again {
        return Ok(branch);
    }
    let tail: String = id.as_str().chars().rev().take(6).collect();
    BranchName::parse(&format!("{branch}-{tail}"))
}

/// Chooses the repository: named, mapped from the project, or the only one there is.
async fn choose(case: &Case<'_>, place: &Place) -> Result<Result<Repository, String>, Failure> {
    let engine = &case.intake.engine;
    if let Some(name) = &place.repo {
        let found = directory::repository(engine, &case.ctx, name).await?;
        return Ok(found.ok_or_else(|| format!("`{name}` is not connected to this tenant. An admin can connect it.")));
    }
    let all = directory::repositories(engine, &case.ctx).await?;
    let project = place.key.as_str().split('-').next().unwrap_or("");
    let mapped: Vec<&Repository> =
        all.iter().filter(|r| r.projects.iter().any(|p| p.eq_ignore_ascii_case(project))).collect();
    let names = |list: &[&Repository]| list.iter().map(|r| format!("`{}`", r.name)).collect::<Vec<_>>().join(", ");
    let every: Vec<&Repository> = all.iter().collect();
    Ok(match (mapped.as_slice(), every.as_slice()) {
        ([one], _) | ([], [one]) => Ok((*one).clone()),
        ([], []) => Err("No repository is connected to this tenant. An admin can connect one.".to_owned()),
        ([], several) => {
            Err(format!("No repository is mapped to project {project}. Connected are {}.", names(several)))
        }
        (several, _) => Err(format!("Several repositories are mapped to project {project}: {}.", names(several))),
    })
}
