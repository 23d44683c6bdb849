//! What happens to pull requests and connections on the forge's side.

use std::fmt::Write as _;

use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::input::{Happening, Input, News};
use domain::name::{BranchName, CommitSha, RepoName};
use domain::principal::{Principal, Role};
use domain::ticket::Ticket;
use engine::directory::{self, Connection};
use engine::inbound::{Batch, Thread};
use engine::key::Key;
use engine::open::{self, Open};
use engine::port::{Checks, Index, Item, Place, Said, SaidKind, Write};
use engine::ticket::{list, load};
use engine::{artifact, commit};
use futures_util::future::join_all;
use serde_json::json;

use crate::command::speaks;
use crate::person;
use crate::record::{Heard, give, ignored, inform};
use crate::{Answer, Case};

async fn ticket(case: &Case<'_>, repo: &RepoName, number: u64) -> Result<Option<Ticket>, Failure> {
    let engine = &case.intake.engine;
    match directory::ticket_of_pull_request(engine, &case.ctx, repo, number).await? {
        Some(id) => Ok(load(engine, &case.ctx, &id).await?.map(|row| row.ticket)),
        None => Ok(None),
    }
}

fn news(what: News) -> Input {
    Input { by: Principal::System, what: Happening::News(what) }
}

/// A pull request was merged or closed by whoever may do that.
pub(crate) async fn closed(case: &Case<'_>, repo: &RepoName, number: u64, merged: bool) -> Result<Answer, Failure> {
    let Some(ticket) = ticket(case, repo, number).await? else {
        return ignored(case, "a pull request that is not ours").await;
    };
    let input = news(if merged { News::Merged } else { News::PullRequestClosed });
    inform(case, &ticket.id, &input).await
}

fn threads_of(repo: &RepoName, number: u64, review: &str) -> String {
    format!("REVIEW#{repo}#{number}#{review}")
}

/// A remark on a line is kept until its review is submitted.
pub(crate) async fn thread(
    case: &Case<'_>,
    (repo, number): (&RepoName, u64),
    review: Option<&str>,
    thread: &Thread,
) -> Result<Answer, Failure> {
    let Some(ticket) = ticket(case, repo, number).await? else {
        return ignored(case, "a pull request that is not ours").await;
    };
    if person::acting(case, Some(repo)).await?.is_none_or(|member| member.role < Role::Writer) {
        return ignored(case, "a remark by nobody who may ask for changes").await;
    }
    if review.is_some() && speaks(case, repo).await? {
        // The review itself is asked for all of them at once.
        return ignored(case, "it comes with its review").await;
    }
    let under = threads_of(repo, number, review.unwrap_or("none"));
    let key = Key::of(&case.ctx, &under, format!("THREAD#{}", thread.id));
    let engine = &case.intake.engine;
    engine.table.transact(vec![Write::Put { item: Item::new(key, json!(thread)), when: Vec::new() }]).await?;
    if engine.table.get(&Key::of(&case.ctx, &under, SUBMITTED)).await?.is_none() {
        return ignored(case, "kept for its review").await;
    }
    // The review itself was here first: the remark is worked through on its own.
    let id = review.unwrap_or_default().to_owned();
    let batch = Batch { id, by: thread.by.clone(), body: String::new(), threads: vec![thread.clone()] };
    let batch = artifact::store(engine, &case.ctx, &batch).await?;
    inform(case, &ticket.id, &news(News::ReviewSubmitted { batch })).await
}

/// How many pull requests are looked at together.
const AT_ONCE: usize = 10;
/// How many are looked at in one go; GitHub may take ten seconds for each ten of them.
const AT_MOST: usize = 30;

/// The row that says that a review was submitted; its remarks stand beside it.
const SUBMITTED: &str = "SUBMITTED";

/// A submitted review is one batch, if it asks for changes and its author may.
pub(crate) async fn review(
    case: &Case<'_>,
    (repo, number): (&RepoName, u64),
    (id, node): (&str, String),
    asks_for_changes: bool,
    body: String,
) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    let Some(ticket) = ticket(case, repo, number).await? else {
        return ignored(case, "a pull request that is not ours").await;
    };
    if !asks_for_changes {
        return ignored(case, "a review that asks for no changes").await;
    }
    let Some(member) = person::acting(case, Some(repo)).await?.filter(|member| member.role >= Role::Writer) else {
        return ignored(case, "a review by nobody who may ask for changes").await;
    };
    let threads = match case.intake.forge.remarks(&case.ctx, repo, number, id).await? {
        Some(threads) => threads,
        None => kept(case, (repo, number), id).await?,
    };
    let batch = Batch { id: id.to_owned(), by: member.name.clone(), body, threads };
    let batch: ContentHash = artifact::store(engine, &case.ctx, &batch).await?;
    let said = Said { place: Place::PullRequest(repo.clone(), number), id: node, kind: SaidKind::Review };
    give(case, &ticket.id, &news(News::ReviewSubmitted { batch }), &Heard { said, named: None }).await
}

/// The remarks that were delivered before their review; those that come later are worked through on their own.
async fn kept(case: &Case<'_>, (repo, number): (&RepoName, u64), id: &str) -> Result<Vec<Thread>, Failure> {
    let engine = &case.intake.engine;
    let under = threads_of(repo, number, id);
    let submitted = Item::new(Key::of(&case.ctx, &under, SUBMITTED), json!({}));
    engine.table.transact(vec![Write::Put { item: submitted, when: Vec::new() }]).await?;
    let partition = Key::partition_of(&case.ctx, &under);
    let all = engine.table.all(Index::Primary, &partition, "THREAD#").await?;
    Ok(all.into_iter().filter_map(|item| serde_json::from_value(item.body).ok()).collect())
}

/// Checks of a commit ended: once all of them have, their outcome is news.
pub(crate) async fn checks(
    case: &Case<'_>,
    repo: &RepoName,
    head: &CommitSha,
    (branches, numbers): (&[BranchName], &[u64]),
) -> Result<Answer, Failure> {
    let mut tickets = Vec::new();
    for number in numbers {
        tickets.extend(ticket(case, repo, *number).await?);
    }
    let mut publishing = false;
    if !branches.is_empty() {
        let open = open::in_repository(&case.intake.engine, &case.ctx, repo).await?;
        publishing = open.iter().any(|open| open.head.is_none() && branches.contains(&open.branch));
        if tickets.is_empty() {
            tickets = loaded(case, open.iter().filter(|open| open.head.as_ref() == Some(head))).await?;
        }
    }
    for ticket in tickets {
        if ticket.pull_request.as_ref().is_none_or(|pull| pull.head != *head) {
            continue;
        }
        if conflicted(case, &ticket).await? {
            inform_too(case, &ticket, News::Conflicted).await?;
        }
        let Some(checks) = case.intake.forge.checks(&case.ctx, repo, head).await? else {
            return ignored(case, "checks of a forge that has none").await;
        };
        if checks.running > 0 {
            return ignored(case, "other checks still run").await;
        }
        if checks.failed.is_empty() && checks.passed < checks.total.max(1) {
            return ignored(case, "checks that neither failed nor passed").await;
        }
        if checks.failed.is_empty() {
            return inform(case, &ticket.id, &news(News::ChecksPassed)).await;
        }
        let batch = artifact::store(&case.intake.engine, &case.ctx, &failures(head, &checks)).await?;
        return inform(case, &ticket.id, &news(News::ChecksFailed { batch })).await;
    }
    if publishing {
        // Faster than we are: they are news once the pull request is.
        return Err(Failure::new(Fault::Transient, "checks ended before their pull request was open"));
    }
    ignored(case, "checks of a commit we do not show").await
}

/// What failed, as something to work through; the same failure of the same commit reads the same.
pub(crate) fn failures(head: &CommitSha, checks: &Checks) -> Batch {
    let mut body = format!("Checks of {} failed.", head.short());
    for (name, said) in &checks.failed {
        let _ = write!(body, "\n\n{name}: {said}");
    }
    Batch { id: head.to_string(), by: "checks".to_owned(), body, threads: Vec::new() }
}

/// The tickets themselves.
async fn loaded(case: &Case<'_>, open: impl Iterator<Item = &Open>) -> Result<Vec<Ticket>, Failure> {
    let found = join_all(open.map(|open| load(&case.intake.engine, &case.ctx, &open.ticket))).await;
    found.into_iter().filter_map(|row| Some(row.transpose()?.map(|row| row.ticket))).collect()
}

async fn conflicted(case: &Case<'_>, ticket: &Ticket) -> Result<bool, Failure> {
    let (Some(target), Some(pull)) = (ticket.target(), &ticket.pull_request) else {
        return Ok(false);
    };
    Ok(case.intake.forge.mergeable(&case.ctx, target, pull.number).await? == Some(false))
}

/// A base branch moved on: whoever's pull request conflicts with it now is told.
pub(crate) async fn advanced(case: &Case<'_>, repo: &RepoName, branch: &BranchName) -> Result<Answer, Failure> {
    let open = open::in_repository(&case.intake.engine, &case.ctx, repo).await?;
    let based: Vec<&Open> = open.iter().filter(|open| open.head.is_some() && open.base == *branch).collect();
    // What was begun last is looked at; the others are when their checks end.
    let open = loaded(case, based.iter().rev().take(AT_MOST).copied()).await?;
    let mut told = 0;
    // A forge takes a while to find out, and does so for all at the same time.
    for some in open.chunks(AT_ONCE) {
        let found = join_all(some.iter().map(|ticket| conflicted(case, ticket))).await;
        for (ticket, conflicted) in some.iter().zip(found) {
            if conflicted? {
                inform_too(case, ticket, News::Conflicted).await?;
                told += 1;
            }
        }
    }
    ignored(case, &format!("a base branch moved; {told} pull request(s) conflict with it")).await
}

/// Gives more news of the same delivery, whose own rows come with the last of it.
async fn inform_too(case: &Case<'_>, ticket: &Ticket, what: News) -> Result<(), Failure> {
    commit::apply(&case.intake.engine, &case.ctx, &ticket.id, &news(what), commit::Hold::None, &[]).await.map(|_| ())
}

/// Somebody pushed to a pull request of ours.
pub(crate) async fn pushed(case: &Case<'_>, repo: &RepoName, number: u64, head: CommitSha) -> Result<Answer, Failure> {
    if case.actor.as_ref().is_none_or(|actor| !actor.is_person) {
        return ignored(case, "a push by no person").await;
    }
    let Some(ticket) = ticket(case, repo, number).await? else {
        return ignored(case, "a pull request that is not ours").await;
    };
    inform(case, &ticket.id, &news(News::Pushed { head })).await
}

/// The app was removed: the connection is fenced off first, then every ticket that came through it ends.
pub(crate) async fn uninstalled(case: &Case<'_>, installation: u64, suspended: bool) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    let before = directory::installation(engine, installation).await?;
    let generation = before.map_or(1, |connection| connection.generation + 1);
    let tenant = case.ctx.tenant().clone();
    let connection = Connection { tenant, generation, revoked: !suspended, suspended };
    directory::store_installation(engine, installation, &connection).await?;
    let mut trouble = None;
    for ticket in list(engine, &case.ctx).await? {
        if ticket.connection != case.connection || ticket.state.is_end() {
            continue;
        }
        let input = news(News::Uninstalled);
        let cancelled = commit::apply(engine, &case.ctx, &ticket.id, &input, commit::Hold::None, &[]).await;
        trouble = cancelled.err().or(trouble);
    }
    match trouble {
        // The delivery comes again and finds what is left.
        Some(failure) => Err(failure),
        None => ignored(case, "the installation was removed").await,
    }
}
