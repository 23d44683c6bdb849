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
use engine::inbound::{Attached, TicketContext};
use engine::port::{Content, Image, Place, Reaction, Said, SaidKind, TicketView, fresh};
use engine::ticket::{guard, guard_write, latest};
use engine::{artifact, ledger};

use crate::person;
use crate::record::{Heard, give, ignored, react, rows, stranger, tell};
use crate::{Answer, Case};

/// A ticket of a tracker, as the delivery shows it.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) key: TrackerKey,
    /// Where somebody asked for it, and is answered.
    pub(crate) at: Place,
    pub(crate) text: TicketText,
    /// The repository, where it is known.
    pub(crate) repo: Option<RepoName>,
    /// The branch to start from, where somebody named one.
    pub(crate) base: Option<BranchName>,
}

/// A label was set or removed, or somebody assigned us.
pub(crate) async fn labels(
    case: &Case<'_>,
    subject: Subject,
    (added, removed): (&[String], &[String]),
    at: Option<Timestamp>,
) -> Result<Answer, Failure> {
    let ours = |label: &String| {
        label.eq_ignore_ascii_case(&case.intake.label) || label.eq_ignore_ascii_case(&case.intake.handle)
    };
    if !removed.iter().chain(added).any(ours) {
        return ignored(case, "no label of ours changed").await;
    }
    let Some(member) = person::acting(case, subject.repo.as_ref()).await? else {
        return stranger(case, &subject.at, "the change is by nobody we know").await;
    };
    let case = &match at {
        None => case.clone(),
        Some(at) => match ledger::label(&case.intake.engine, &case.ctx, &subject.key, at).await? {
            Some(mark) => Case { extra: vec![mark], ..case.clone() },
            None => return ignored(case, "a later change of the label was seen before").await,
        },
    };
    if removed.iter().any(ours) {
        let Some(row) = latest(&case.intake.engine, &case.ctx, &subject.key).await? else {
            return ignored(case, "no work was under way").await;
        };
        let input = Input { by: Principal::Member(member), what: Happening::Request(Request::Untrigger) };
        let said = Said { place: subject.at, id: String::new(), kind: SaidKind::Ticket };
        return give(case, &row.ticket.id, &input, &Heard { said, named: None }).await;
    }
    let said = Said { place: subject.at.clone(), id: String::new(), kind: SaidKind::Ticket };
    trigger(case, subject, &member, &Heard { said, named: None }).await
}

/// Starts a ticket, or goes on with one that failed or is paused.
pub(crate) async fn trigger(
    case: &Case<'_>,
    subject: Subject,
    member: &Member,
    heard: &Heard<'_>,
) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    if let Some(row) = latest(engine, &case.ctx, &subject.key).await?
        && !row.ticket.state.is_end()
    {
        let input = Input { by: Principal::Member(member.clone()), what: Happening::Request(Request::Trigger) };
        return give(case, &row.ticket.id, &input, heard).await;
    }
    start(case, subject, member, heard).await
}

async fn refuse(case: &Case<'_>, heard: &Heard<'_>, text: String) -> Result<Answer, Failure> {
    if heard.named.is_some() {
        return tell(case, heard, text, true).await;
    }
    let hash = domain::hash::ContentHash::of(case.body);
    tell(case, &Heard { said: heard.said.clone(), named: Some(("delivery", hash.short())) }, text, true).await
}

#[expect(clippy::too_many_lines, reason = "what a start needs is found out in one order, each with its own refusal")]
async fn start(case: &Case<'_>, mut subject: Subject, member: &Member, heard: &Heard<'_>) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    if member.role < Role::Writer {
        let refusal = domain::refusal::Refusal::role("analyze", member.role, Role::Writer);
        return refuse(case, heard, refusal.message).await;
    }
    let policy = directory::policy_of(engine, &case.ctx, None).await?;
    let view = view(case, &subject).await?;
    // A comment of Jira is delivered with the head of its ticket alone.
    if let Some(view) = view.as_ref().filter(|_| subject.text.body.is_empty() && subject.repo.is_none()) {
        subject.text = view.text.clone();
    }
    let long =
        subject.text.title.chars().count() > TicketText::MAX_TITLE || subject.text.body.len() > TicketText::MAX_BODY;
    if long || subject.text.title.trim().is_empty() {
        let text = "The title must have 1 to 256 characters and the description at most 32 KiB. Shorten the ticket and set the label again.";
        return refuse(case, heard, text.to_owned()).await;
    }
    let components = view.as_ref().map(|view| view.components.as_slice()).unwrap_or_default();
    let repository = match choose(case, &subject, components).await? {
        Ok(repository) if policy.allows(&repository.name) => {
            let name = repository.name.clone();
            match seen(case, repository).await {
                Ok(repository) => repository,
                Err(failure) if failure.fault.is_retryable() => return Err(failure),
                Err(failure) => {
                    let text = format!("`{name}` cannot be worked on: {}.", failure.message);
                    return refuse(case, heard, text).await;
                }
            }
        }
        Ok(repository) => {
            let text = format!("`{}` is not among the repositories this tenant allows.", repository.name);
            return refuse(case, heard, text).await;
        }
        Err(text) => return refuse(case, heard, text).await,
    };
    let id: TicketId = fresh(engine.ids.as_ref(), TicketId::PREFIX)
        .map_err(|error: IdError| Failure::new(Fault::Bug, error.to_string()))?;
    let guarded = guard(engine, &case.ctx, &subject.key).await?;
    let shown = repository.may_tell(&subject.key, &policy);
    let Ok(branch) = branch_of(&subject, shown, guarded.is_some(), &id) else {
        return refuse(case, heard, "No branch name can be made of this ticket.".to_owned()).await;
    };
    let now = engine.clock.now();
    let through = repository.github.as_ref().map(|github| directory::installation_name(github.installation));
    let context = match view {
        Some(view) if !view.remarks.is_empty() || !view.attachments.is_empty() => Some(kept(case, view).await?),
        Some(_) | None => None,
    };
    let mut ticket = Ticket::new(NewTicket {
        id: id.clone(),
        tenant: case.ctx.tenant().clone(),
        key: subject.key.clone(),
        via: member.via,
        // What reaches the repository fences the work off when it is removed, wherever the ticket lives.
        connection: through.or_else(|| case.connection.clone()),
        text: subject.text,
        requester: Some(member.id.clone()),
        requester_name: member.name.clone(),
        target: Target {
            base: subject.base.unwrap_or_else(|| repository.base.clone()),
            repo: repository.name,
            branch,
            commit: None,
            snapshot: None,
        },
        budget: policy.budget_usd,
        at: now,
    });
    if let Some(context) = context {
        let images = context.attachments.iter().filter_map(|file| file.image.as_ref());
        ticket.images = images.map(|image| image.hash.clone()).collect();
        ticket.context = Some(artifact::store(engine, &case.ctx, &context).await?);
    }
    let guard = guard_write(&case.ctx, &subject.key, &id, guarded.as_ref(), now);
    match create(engine, &case.ctx, ticket, &policy, guard, rows(case, heard.named, "started")).await? {
        Applied::Committed(ticket) => {
            react(case, &heard.said, Reaction::Seen).await;
            Ok(Answer::Started { ticket: ticket.id.clone() })
        }
        Applied::Refused(_) | Applied::Duplicate | Applied::Fenced | Applied::Missing => Ok(Answer::Duplicate),
    }
}

/// What people said and attached, with its images stored as blobs.
async fn kept(case: &Case<'_>, view: TicketView) -> Result<TicketContext, Failure> {
    let mut attachments = Vec::with_capacity(view.attachments.len());
    for file in view.attachments {
        let (text, image) = match file.content {
            Content::Unread => (None, None),
            Content::Text(text) => (Some(text), None),
            Content::Image { kind, bytes } => {
                let hash = case.intake.engine.blobs.put(&case.ctx, &bytes).await?;
                (None, Some(Image { kind: kind.to_owned(), hash, bytes: Vec::new() }))
            }
        };
        attachments.push(Attached { name: file.name, kind: file.kind, text, image });
    }
    Ok(TicketContext { remarks: view.remarks, attachments })
}

/// A key's first workflow has the plain branch; a later one must not meet what the first left behind.
fn branch_of(
    subject: &Subject,
    shown: bool,
    again: bool,
    id: &TicketId,
) -> Result<BranchName, domain::name::NameError> {
    let title = if shown { subject.text.title.as_str() } else { "" };
    let branch = BranchName::for_ticket(&subject.key, title)?;
    if !again {
        return Ok(branch);
    }
    let tail: String = id.as_str().chars().rev().take(6).collect();
    BranchName::parse(&format!("{branch}-{tail}"))
}

/// The repository as it is now: whether everybody can read it is asked, not remembered.
async fn seen(case: &Case<'_>, repository: Repository) -> Result<Repository, Failure> {
    let Some(installation) = repository.github.as_ref().map(|github| github.installation) else {
        return Ok(repository);
    };
    let Some(named) = case.intake.forge.about(&case.ctx, &repository.name).await? else {
        return Ok(repository);
    };
    let known = directory::known_as(&case.intake.engine, &case.ctx, installation, &named).await?;
    let another = || Failure::new(Fault::Permission, format!("`{}` is another repository by now", repository.name));
    known.filter(|known| known.name == repository.name).ok_or_else(another)
}

/// The ticket as it stands in its tracker; a tracker that cannot be asked now keeps nobody from starting.
async fn view(case: &Case<'_>, subject: &Subject) -> Result<Option<TicketView>, Failure> {
    if !matches!(subject.at, Place::Ticket(_)) {
        return Ok(None);
    }
    match case.intake.tracker.read(&case.ctx, &subject.key).await {
        Ok(view) => Ok(view),
        Err(failure) if failure.fault.is_retryable() => Err(failure),
        Err(failure) => {
            tracing::warn!(ticket = %subject.key, error = %failure, "a ticket is started without its remarks");
            Ok(None)
        }
    }
}

/// Chooses the repository: named, mapped from the project, or the only one there is.
async fn choose(
    case: &Case<'_>,
    subject: &Subject,
    components: &[String],
) -> Result<Result<Repository, String>, Failure> {
    let engine = &case.intake.engine;
    if let Some(name) = &subject.repo {
        let found = directory::repository(engine, &case.ctx, name).await?;
        return Ok(found.ok_or_else(|| format!("`{name}` is not connected to this tenant. An admin can connect it.")));
    }
    let all = directory::repositories(engine, &case.ctx).await?;
    let asks = "Say `repo OWNER/NAME` with the trigger, or have an admin map it.";
    for named in components {
        // The field may hold the repository itself, or a component that is mapped to one.
        let is = |r: &&Repository| {
            r.name.as_str().eq_ignore_ascii_case(named) || r.components.iter().any(|c| c.eq_ignore_ascii_case(named))
        };
        match all.iter().filter(is).collect::<Vec<_>>().as_slice() {
            [] if RepoName::parse(named).is_ok() => {
                return Ok(Err(format!("The ticket names `{named}`, which is not connected to this tenant. {asks}")));
            }
            [] => {}
            [one] => return Ok(Ok((*one).clone())),
            several => {
                let names = several.iter().map(|r| format!("`{}`", r.name)).collect::<Vec<_>>().join(", ");
                return Ok(Err(format!("Several repositories are mapped to {named}: {names}. {asks}")));
            }
        }
    }
    let project = subject.key.as_str().split('-').next().unwrap_or("");
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
