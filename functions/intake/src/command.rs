//! What somebody wrote, if it is a command: parsed, checked, and given to the machine.

use std::fmt::Write as _;

use commands::{Command, Found, Markup, find, help};
use domain::artifact::{Answer as QuestionAnswer, ArtifactRef, Questions};
use domain::error::Failure;
use domain::input::{FixWhat, Happening, Input, Request};
use domain::name::{BranchName, CommitSha, RepoName, TrackerKey};
use domain::principal::{Member, Principal, Role};
use domain::refusal::Refusal;
use domain::state::State;
use domain::ticket::{Target, Ticket, TicketText};
use engine::directory;
use engine::inbound::Batch;
use engine::port::{Checks, Place, Reread, Said, SaidKind};
use engine::ticket::{latest, load};
use engine::{artifact, spend};

use crate::record::{Heard, give, ignored, stranger, tell};
use crate::start::{self, Subject};
use crate::{Answer, Case};
use crate::{forge_news, person};

/// A comment, as it was written.
pub(crate) struct Comment {
    pub(crate) place: Place,
    pub(crate) text: TicketText,
    pub(crate) repo: Option<RepoName>,
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) markup: Markup,
    pub(crate) kind: SaidKind,
}

/// Looks for a command in a comment and carries it out.
#[expect(clippy::too_many_lines, reason = "what a comment is worth is found out in one order")]
pub(crate) async fn comment(case: &Case<'_>, said: Comment) -> Result<Answer, Failure> {
    let found = find(&said.body, &case.intake.handle, said.markup);
    if found == Ok(Found::Nothing) {
        return ignored(case, "no command").await;
    }
    let (ticket, key) = match &said.place {
        Place::Ticket(key) => (latest(&case.intake.engine, &case.ctx, key).await?, key.clone()),
        Place::Machine(_) | Place::Thread(..) | Place::Checks(..) => {
            return ignored(case, "a comment where none is taken").await;
        }
        Place::PullRequest(repo, number) => {
            let id = directory::ticket_of_pull_request(&case.intake.engine, &case.ctx, repo, *number).await?;
            let row = match id {
                Some(id) => load(&case.intake.engine, &case.ctx, &id).await?,
                None => None,
            };
            let Some(row) = row else {
                return ignored(case, "a pull request that is not ours").await;
            };
            let key = row.ticket.key.clone();
            // Only starting anew looks past the pull request's own workflow: whoever decides must see on what.
            let anew = matches!(found, Ok(Found::Mention | Found::Command(Command::Analyze)));
            let over = row.ticket.state.is_end();
            let row = if over && anew { latest(&case.intake.engine, &case.ctx, &key).await? } else { Some(row) };
            (row, key)
        }
    };
    // Where the forge has no comments of ours, the ticket is where people are answered.
    let at = match &said.place {
        Place::PullRequest(repo, _) if !speaks(case, repo).await? => Place::Ticket(key.clone()),
        Place::Ticket(_) | Place::Machine(_) | Place::PullRequest(..) | Place::Thread(..) | Place::Checks(..) => {
            said.place.clone()
        }
    };
    let on = match &said.place {
        Place::PullRequest(repo, _) => Some(repo.clone()),
        Place::Ticket(_) | Place::Machine(_) | Place::Thread(..) | Place::Checks(..) => said.repo.clone(),
    };
    let Some(member) = person::acting(case, on.as_ref()).await? else {
        return stranger(case, &said.place, "a command by nobody we know").await;
    };
    // A pull request's own text was written by us: what counts is the ticket's.
    let on_pull_request = matches!(said.place, Place::PullRequest(..));
    let text = match &ticket {
        Some(row) if on_pull_request => row.ticket.text.clone(),
        Some(_) | None => said.text.clone(),
    };
    let ledger_place = format!("{}#{key}", case.source);
    let named = (ledger_place.as_str(), said.id.as_str());
    let heard = Heard { said: Said { place: at.clone(), id: said.id.clone(), kind: said.kind }, named: Some(named) };
    match changed(case, &heard.said, &said).await? {
        Changed::No => {}
        Changed::Edited => {
            let text =
                "That comment was edited after it was written, so I did not act on it. Say it again in a new one.";
            return tell(case, &heard, text.to_owned(), true).await;
        }
        Changed::Gone => return ignored(case, "the comment was deleted before it was read again").await,
    }
    let command = match found {
        Err(error) => return tell(case, &heard, error.to_string(), true).await,
        Ok(Found::Nothing | Found::Mention) => None,
        Ok(Found::Command(command)) => Some(command),
    };
    let subject = Subject { key, at, text, repo: said.repo, base: None };
    carry_out(case, &member, subject, ticket.map(|row| row.ticket), command, &heard).await
}

/// Whether we can speak on the pull requests of a repository.
pub(crate) async fn speaks(case: &Case<'_>, repo: &RepoName) -> Result<bool, Failure> {
    let row = directory::repository(&case.intake.engine, &case.ctx, repo).await?;
    Ok(row.is_some_and(|row| row.github.is_some()))
}

enum Changed {
    No,
    Edited,
    Gone,
}

/// Reads a comment again before anything follows from it: what was signed must be what stands there.
async fn changed(case: &Case<'_>, said: &Said, comment: &Comment) -> Result<Changed, Failure> {
    Ok(match case.intake.tracker.reread(&case.ctx, said).await? {
        Reread::Unasked => Changed::No,
        Reread::Gone => Changed::Gone,
        Reread::There { by, body, edited } => {
            let author = case.actor.as_ref().is_none_or(|actor| actor.id == by);
            // Jira delivers another notation than it answers with.
            let same = comment.markup != Markup::Markdown || body == comment.body;
            if edited || !author || !same { Changed::Edited } else { Changed::No }
        }
    })
}

/// Carries out a command, or a bare mention, on the latest workflow of a ticket.
pub(crate) async fn carry_out(
    case: &Case<'_>,
    member: &Member,
    subject: Subject,
    ticket: Option<Ticket>,
    command: Option<Command>,
    heard: &Heard<'_>,
) -> Result<Answer, Failure> {
    let handle = &case.intake.handle;
    let live = ticket.as_ref().is_some_and(|ticket| !ticket.state.is_end());
    let command = match command {
        None if live => Command::Status,
        None => Command::Analyze,
        Some(command) => command,
    };
    if command == Command::Help {
        return tell(case, heard, help(handle), false).await;
    }
    if command == Command::Config {
        let text = settings(case, ticket.as_ref()).await?;
        return tell(case, heard, text, false).await;
    }
    let Some(ticket) = ticket.filter(|_| live || command != Command::Analyze) else {
        if command == Command::Analyze {
            return start::trigger(case, subject, member, heard).await;
        }
        let text = format!("Work on {} has not been started. Say `@{handle} analyze`.", subject.key);
        return tell(case, heard, text, true).await;
    };
    let role = commands::Verb::find(command.verb()).map_or(Role::Admin, |verb| verb.least);
    if member.role < role {
        let refusal = Refusal::role(command.verb(), member.role, role);
        return tell(case, heard, refusal.message, true).await;
    }
    match request(case, member, &ticket, command).await? {
        Meant::Tell(text, refused) => tell(case, heard, text, refused).await,
        Meant::Ask(request) => {
            let input = Input { by: Principal::Member(member.clone()), what: Happening::Request(*request) };
            give(case, &ticket.id, &input, heard).await
        }
    }
}

enum Meant {
    Ask(Box<Request>),
    Tell(String, bool),
}

/// Turns a command into what the machine understands, storing what comes with it.
async fn request(case: &Case<'_>, member: &Member, ticket: &Ticket, command: Command) -> Result<Meant, Failure> {
    let ask = |request: Request| Ok(Meant::Ask(Box::new(request)));
    match command {
        Command::Status => Ok(Meant::Tell(status(case, ticket).await?, false)),
        Command::Help | Command::Config => Ok(Meant::Tell(help(&case.intake.handle), false)),
        Command::Ask(_) => Ok(Meant::Tell(
            "`ask` is not available here. `status` shows where the ticket stands, `help` what works.".to_owned(),
            true,
        )),
        Command::Analyze => ask(Request::Analyze),
        Command::Answer(given) => match answers(case, member, ticket, ("answer", &given)).await? {
            Ok(answers) => ask(Request::Answer { answers }),
            Err(text) => Ok(Meant::Tell(text, true)),
        },
        Command::Skip => match answers(case, member, ticket, ("skip", &[])).await? {
            Ok(answers) => ask(Request::Skip { answers }),
            Err(text) => Ok(Meant::Tell(text, true)),
        },
        Command::Plan => ask(Request::Plan { answers: answers(case, member, ticket, ("plan", &[])).await?.ok() }),
        Command::Replan(instruction) => ask(Request::Replan { instruction }),
        Command::Approve { hash, note } => ask(Request::Approve { hash, note }),
        Command::Reject(reason) => ask(Request::Reject { reason }),
        Command::Implement => ask(Request::Implement),
        Command::Close => ask(Request::Close),
        Command::Fix { what, instruction } => {
            let batch = match failing(case, ticket, what).await? {
                Failing::NotAsked => {
                    Batch { id: String::new(), by: member.name.clone(), body: instruction.clone(), threads: Vec::new() }
                }
                Failing::Nothing(text) => return Ok(Meant::Tell(text.to_owned(), true)),
                Failing::These(head, checks) => forge_news::failures(&head, &checks),
            };
            let batch = Some(artifact::store(&case.intake.engine, &case.ctx, &batch).await?);
            ask(Request::Fix { what, batch, instruction })
        }
        Command::Autofix(on) => ask(Request::Autofix { on }),
        Command::Retry => ask(Request::Retry),
        Command::Cancel => ask(Request::Cancel),
        Command::Pause => ask(Request::Pause),
        Command::Resume => ask(Request::Resume),
        Command::Budget(None) => Ok(Meant::Tell(budget(case, ticket).await?, false)),
        Command::Budget(Some(add)) => ask(Request::Budget { add }),
        Command::Model(name) => ask(Request::Model { name }),
        Command::Repo { repo, branch } => match target(case, ticket, repo, branch).await? {
            Ok(target) => ask(Request::Repo { target }),
            Err(text) => Ok(Meant::Tell(text, true)),
        },
    }
}

enum Failing {
    NotAsked,
    Nothing(&'static str),
    These(CommitSha, Checks),
}

/// The failing checks that `fix ci` is about.
async fn failing(case: &Case<'_>, ticket: &Ticket, what: FixWhat) -> Result<Failing, Failure> {
    let (Some(target), Some(pull)) = (ticket.target(), &ticket.pull_request) else {
        return Ok(Failing::NotAsked);
    };
    if what != FixWhat::Ci || ticket.state != State::InReview {
        return Ok(Failing::NotAsked);
    }
    let head = pull.head.clone();
    Ok(match case.intake.forge.checks(&case.ctx, &target.repo, &head).await? {
        None => {
            Failing::Nothing("This repository's checks cannot be read here. Say what to fix: `fix review INSTRUCTION`.")
        }
        Some(checks) if checks.failed.is_empty() && checks.running > 0 => {
            Failing::Nothing("No check has failed so far, and some still run. Say it again once they have ended.")
        }
        Some(checks) if checks.failed.is_empty() => Failing::Nothing("No check of the pull request's head has failed."),
        Some(checks) => Failing::These(head, checks),
    })
}

/// Stores answers to the questions that wait; what was left out has its default.
async fn answers(
    case: &Case<'_>,
    member: &Member,
    ticket: &Ticket,
    (verb, given): (&str, &[(u32, String)]),
) -> Result<Result<ArtifactRef, String>, Failure> {
    let engine = &case.intake.engine;
    let waits = ticket.state == State::AwaitingAnswers;
    let Some(asked) = ticket.questions.as_ref().filter(|_| waits) else {
        return Ok(Err(Refusal::state(verb, &ticket.state).message));
    };
    let questions: Questions = artifact::load(engine, &case.ctx, &asked.hash).await?;
    let count = questions.questions.len();
    if let Some((number, _)) = given.iter().find(|(n, _)| !questions.questions.iter().any(|q| q.number == *n)) {
        return Ok(Err(format!(
            "There is no question {number}. The questions are 1 to {count}; say `answer 1: …` or `skip`."
        )));
    }
    let answers: Vec<QuestionAnswer> = questions
        .questions
        .iter()
        .map(|question| match given.iter().find(|(number, _)| *number == question.number) {
            Some((number, text)) => QuestionAnswer { number: *number, text: text.clone(), by: member.name.clone() },
            None => {
                QuestionAnswer { number: question.number, text: question.default.clone(), by: "default".to_owned() }
            }
        })
        .collect();
    let hash = artifact::store(engine, &case.ctx, &answers).await?;
    Ok(Ok(ArtifactRef { version: asked.version, hash, changed: String::new() }))
}

async fn target(
    case: &Case<'_>,
    ticket: &Ticket,
    repo: RepoName,
    branch: Option<BranchName>,
) -> Result<Result<Target, String>, Failure> {
    let Some(repository) = directory::repository(&case.intake.engine, &case.ctx, &repo).await? else {
        return Ok(Err(format!(
            "`{repo}` is not connected to this tenant. Someone with the role *admin* can connect it."
        )));
    };
    let Some(before) = ticket.target() else {
        return Ok(Err("The ticket has no target.".to_owned()));
    };
    let may = person::acting(case, Some(&repo)).await?.is_some_and(|member| member.role >= Role::Approver);
    let hidden = repository.github.as_ref().is_some_and(|github| !github.is_open());
    if !may || (case.source == "github" && hidden && !repository.is_home_of(&ticket.key)) {
        // What a repository holds is not shown on a ticket that other people can read.
        return Ok(Err(format!("`{repo}` cannot be worked on from this ticket.")));
    }
    let base = branch.unwrap_or(repository.base);
    Ok(Ok(Target { repo, base, branch: before.branch.clone(), commit: None, snapshot: None }))
}

async fn status(case: &Case<'_>, ticket: &Ticket) -> Result<String, Failure> {
    let (is, next) = ticket.state.explained();
    let budget = budget(case, ticket).await?;
    Ok(format!("**{}**: {is}. {budget} Next: {next}.", ticket.key))
}

async fn budget(case: &Case<'_>, ticket: &Ticket) -> Result<String, Failure> {
    let month = spend::this_month(&case.intake.engine, &case.ctx).await?;
    let at_least = if ticket.budget.incomplete { "at least " } else { "" };
    Ok(format!(
        "This ticket has spent {at_least}{} of {}; the tenant {month} this month.",
        ticket.budget.spent, ticket.budget.limit
    ))
}

/// Shows every setting in force and where it comes from.
async fn settings(case: &Case<'_>, ticket: Option<&Ticket>) -> Result<String, Failure> {
    let engine = &case.intake.engine;
    let standard = serde_json::to_value(domain::policy::Policy::standard()).unwrap_or_default();
    let tenant = serde_json::to_value(directory::policy_of(engine, &case.ctx, None).await?).unwrap_or_default();
    let force = serde_json::to_value(directory::policy_of(engine, &case.ctx, ticket).await?).unwrap_or_default();
    let mut text = String::from("| setting | value | from |\n|---|---|---|\n");
    for (name, value) in force.as_object().into_iter().flatten() {
        let from = if tenant.get(name) != Some(value) {
            "`.prfactory.toml`"
        } else if standard.get(name) != Some(value) {
            "tenant"
        } else {
            "default"
        };
        let shown = match (name.as_str(), value.as_i64()) {
            ("budget_usd" | "monthly_budget_usd", Some(micros)) => domain::money::Usd::from_micros(micros).to_string(),
            // Whole templates have no place in a table.
            ("prompts", _) => match value.as_object().filter(|own| !own.is_empty()) {
                Some(own) => own.keys().map(|name| format!("own `{name}`")).collect::<Vec<_>>().join(", "),
                None => "built in".to_owned(),
            },
            _ => value.to_string(),
        };
        let _ = writeln!(text, "| `{name}` | {shown} | {from} |");
    }
    Ok(text)
}

/// Finds the latest workflow of a key for the command line.
pub(crate) async fn ticket_of(case: &Case<'_>, key: &TrackerKey) -> Result<Option<Ticket>, Failure> {
    Ok(latest(&case.intake.engine, &case.ctx, key).await?.map(|row| row.ticket))
}
