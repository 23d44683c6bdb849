//! Turns a verified delivery into one decision: tenant, ledger, identity, then one transaction.

mod cli;
mod command;
mod forge_news;
mod installed;
mod person;
mod record;
mod start;

use std::sync::Arc;

use commands::{Found, Markup};
use domain::error::{Failure, Fault};
use domain::id::TicketId;
use domain::name::{RepoName, TrackerKey};
use domain::principal::{Member, Via};
use domain::ticket::TicketText;
use engine::inbound::{Actor, Inbound, InboundError, InboundNews, Thread};
use engine::message::{DeliveryMessage, INTAKE, Source};
use engine::port::{Forge, Place, SaidKind, Tracker, Write};
use engine::tenancy::TenantCtx;
use engine::{Disposition, Engine, directory};
use serde::Serialize;

pub use cli::{CliRequest, CliWish};

/// What the function needs.
#[derive(Clone)]
pub struct Intake {
    /// The engine's ports.
    pub engine: Engine,
    /// The name people mention, without `@`.
    pub handle: String,
    /// The label that starts work.
    pub label: String,
    /// Knows what people may do with a repository.
    pub forge: Arc<dyn Forge>,
    /// Where people write.
    pub tracker: Arc<dyn Tracker>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    /// A ticket was started.
    Started {
        /// Which.
        ticket: TicketId,
    },
    /// A ticket moved.
    Moved {
        /// Which.
        ticket: TicketId,
        /// Where it stands now.
        state: &'static str,
    },
    /// Somebody was told something and nothing else happened.
    Told {
        /// What.
        text: String,
        /// Whether it is a refusal.
        refused: bool,
    },
    /// It was accepted before.
    Duplicate,
    /// It is not for us, or not from anybody we know.
    Ignored {
        /// Why.
        why: String,
    },
}

impl Answer {
    pub(crate) fn ignored(why: impl Into<String>) -> Self {
        Self::Ignored { why: why.into() }
    }
}

/// One delivery with everything intake found out about it.
#[derive(Clone)]
pub(crate) struct Case<'a> {
    pub(crate) intake: &'a Intake,
    pub(crate) ctx: TenantCtx,
    pub(crate) member: Option<Member>,
    /// Whoever acted, as the provider names them.
    pub(crate) actor: Option<Actor>,
    /// Where ledger entries of this delivery stand: provider and, for Jira, the endpoint.
    pub(crate) source: String,
    /// The connection it came through, where that can be removed.
    pub(crate) connection: Option<String>,
    /// The raw bytes.
    pub(crate) body: &'a [u8],
    /// Rows that stand or fall with the ledger's.
    pub(crate) extra: Vec<Write>,
}

/// What the function that takes deliveries of GitHub is called among those whose seals are opened.
pub const GITHUB: &str = "github";
/// What the function that takes deliveries of Jira is called there.
pub const JIRA: &str = "jira";

/// Five tries span two minutes, and then sweep starts over.
const RETRY_LATER: Disposition = Disposition::Retry { after: 30 };

/// Handles one message of the queue.
pub async fn handle(intake: &Intake, message: &str) -> Disposition {
    match Box::pin(accept(intake, message)).await {
        Ok(answer) => {
            tracing::info!(outcome = ?serde_json::to_value(&answer).ok().and_then(|v| v.get("outcome").cloned()), "a delivery was taken in");
            Disposition::Ack
        }
        Err(failure) if failure.fault.is_retryable() || failure.fault == Fault::Bug => {
            tracing::warn!(error = %failure, "a delivery could not be taken in yet");
            RETRY_LATER
        }
        Err(failure) => {
            tracing::error!(error = %failure, "a delivery cannot be taken in");
            Disposition::Ack
        }
    }
}

/// Takes in one sealed delivery and says what became of it.
pub async fn accept(intake: &Intake, message: &str) -> Result<Answer, Failure> {
    let opened = intake
        .engine
        .sealer
        .open::<DeliveryMessage>(INTAKE, message)
        .map_err(|error| Failure::new(Fault::Auth, format!("a delivery was not sealed by us: {error}")))?;
    let delivery = opened.body;
    // Who has but the key of one webhook function speaks for its provider, and for nobody else.
    let own = match (&delivery.source, opened.by) {
        (_, None) | (Source::Github, Some(GITHUB)) | (Source::Jira { .. }, Some(JIRA)) => true,
        (Source::Github | Source::Jira { .. } | Source::Cli { .. }, Some(_)) => false,
    };
    if !own {
        return Err(Failure::new(Fault::Auth, "a delivery was sealed by a function that takes others"));
    }
    let body = webhooks::unpack(&delivery.body)?;
    match &delivery.source {
        Source::Github => Box::pin(github(intake, &delivery, &body)).await,
        Source::Jira { endpoint, generation } => {
            let Some(ctx) = directory::tenant_of_endpoint(&intake.engine, endpoint, *generation).await? else {
                return Ok(Answer::ignored("the endpoint is unknown, or its secret was replaced"));
            };
            let site = directory::jira(&intake.engine, &ctx).await?;
            let account = site.as_ref().map(|site| site.account.as_str());
            let inbound = match tracker::jira::parse(&body, &intake.handle, account) {
                Ok(inbound) => inbound,
                Err(error) => return Ok(unreadable(&error)),
            };
            let member = known(intake, &ctx, inbound.actor.as_ref(), Via::Jira).await?;
            let case = Case {
                intake,
                ctx,
                member,
                actor: inbound.actor.clone(),
                source: format!("jira:{endpoint}"),
                connection: None,
                body: &body,
                extra: Vec::new(),
            };
            Box::pin(route(&case, inbound)).await
        }
        Source::Cli { member } => {
            let Some(ctx) = opened.tenant else {
                return Ok(Answer::ignored("a request of the command line without a tenant"));
            };
            let member = directory::member(&intake.engine, &ctx, member, Via::Cli).await?;
            let case = Case {
                intake,
                ctx,
                member,
                actor: None,
                source: "cli".to_owned(),
                connection: None,
                body: &body,
                extra: Vec::new(),
            };
            Box::pin(cli::accept(&case)).await
        }
    }
}

async fn github(intake: &Intake, delivery: &DeliveryMessage, body: &[u8]) -> Result<Answer, Failure> {
    let mut inbound = match forge::github::parse(&delivery.event, body, &intake.handle) {
        Ok(inbound) => inbound,
        Err(error) => return Ok(unreadable(&error)),
    };
    let Some(installation) = inbound.installation else {
        return Ok(Answer::ignored("the delivery names no installation"));
    };
    let about_itself = matches!(inbound.news, InboundNews::Uninstalled { .. } | InboundNews::Installed { .. });
    let ctx = if about_itself {
        directory::owner_of_installation(&intake.engine, installation).await?
    } else {
        directory::tenant_of_installation(&intake.engine, installation).await?
    };
    let Some(ctx) = ctx else {
        return Ok(Answer::ignored("the installation is not connected to any tenant"));
    };
    if let Some(named) = &inbound.repository {
        match installed::ours(intake, &ctx, installation, named).await? {
            installed::Ours::Named(name) => under(&mut inbound.news, &named.name, &name),
            installed::Ours::AnotherOne => {
                return Ok(Answer::ignored("a repository that has the name of a connected one, and is another"));
            }
            installed::Ours::Unknown => {}
        }
    }
    let member = known(intake, &ctx, inbound.actor.as_ref(), Via::Github).await?;
    let case = Case {
        intake,
        ctx,
        member,
        actor: inbound.actor.clone(),
        source: "github".to_owned(),
        connection: Some(directory::installation_name(installation)),
        body,
        extra: Vec::new(),
    };
    if let InboundNews::Uninstalled { suspended } = inbound.news {
        return forge_news::uninstalled(&case, installation, suspended).await;
    }
    if about_itself && !installed::active(&case, installation).await? {
        return record::ignored(&case, "the installation was removed").await;
    }
    Box::pin(route(&case, inbound)).await
}

/// The name a repository was connected by, in place of what it is called now.
fn under(news: &mut InboundNews, now: &RepoName, ours: &RepoName) {
    if now == ours {
        return;
    }
    let name = |repo: &mut RepoName| {
        if repo == now {
            *repo = ours.clone();
        }
    };
    let key = |key: &mut TrackerKey| {
        let number = key.as_str().strip_prefix(now.as_str()).filter(|rest| rest.starts_with('#'));
        if let Some(Ok(renamed)) = number.map(|number| TrackerKey::parse(&format!("{ours}{number}"))) {
            *key = renamed;
        }
    };
    match news {
        InboundNews::Labels { key: of, repo, .. } => {
            key(of);
            repo.iter_mut().for_each(name);
        }
        InboundNews::Comment { place, repo, .. } => {
            match place {
                Place::Ticket(of) | Place::Machine(of) => key(of),
                Place::PullRequest(repo, _) | Place::Thread(repo, ..) | Place::Checks(repo, _) => name(repo),
            }
            repo.iter_mut().for_each(name);
        }
        InboundNews::PullRequestClosed { repo, .. }
        | InboundNews::Review { repo, .. }
        | InboundNews::ReviewComment { repo, .. }
        | InboundNews::Pushed { repo, .. }
        | InboundNews::Advanced { repo, .. }
        | InboundNews::Checks { repo, .. } => name(repo),
        InboundNews::Ignored(_)
        | InboundNews::Installed { .. }
        | InboundNews::Repositories { .. }
        | InboundNews::Renamed
        | InboundNews::Uninstalled { .. } => {}
    }
}

fn unreadable(error: &InboundError) -> Answer {
    tracing::warn!(error = %error, "a delivery has another shape than documented");
    Answer::ignored(error.to_string())
}

/// The member behind a provider's user; bots, apps, portal customers and strangers are nobody.
async fn known(intake: &Intake, ctx: &TenantCtx, actor: Option<&Actor>, via: Via) -> Result<Option<Member>, Failure> {
    match actor.filter(|actor| actor.is_person) {
        Some(actor) => directory::member_of(&intake.engine, ctx, actor.provider, &actor.id, via).await,
        None => Ok(None),
    }
}

/// Whether a remark on a line speaks to us.
fn is_command(case: &Case<'_>, thread: &Thread) -> bool {
    commands::find(&thread.body, &case.intake.handle, Markup::Markdown) != Ok(Found::Nothing)
}

async fn route(case: &Case<'_>, inbound: Inbound) -> Result<Answer, Failure> {
    match inbound.news {
        InboundNews::Ignored(why) => record::ignored(case, why).await,
        InboundNews::Installed { repositories } => installed::changed(case, &repositories, &[]).await,
        InboundNews::Repositories { added, removed } => installed::changed(case, &added, &removed).await,
        // What it is called now was learned on the way here.
        InboundNews::Renamed => record::ignored(case, "the repository is known by its number").await,
        InboundNews::Pushed { repo, number, head } => forge_news::pushed(case, &repo, number, head).await,
        InboundNews::Uninstalled { .. } => record::ignored(case, "not an installation's own delivery").await,
        InboundNews::Labels { key, text, repo, added, removed, at } => {
            let at_ticket = Place::Ticket(key.clone());
            let subject = start::Subject { key, at: at_ticket, text, repo, base: None };
            start::labels(case, subject, (&added, &removed), at).await
        }
        InboundNews::Comment { place, text, repo, id, body, markup } => {
            let said = command::Comment { place, text, repo, id, body, markup, kind: SaidKind::Comment };
            Box::pin(command::comment(case, said)).await
        }
        InboundNews::PullRequestClosed { repo, number, merged } => {
            forge_news::closed(case, &repo, number, merged).await
        }
        InboundNews::Review { repo, number, id, node, asks_for_changes, body } => {
            forge_news::review(case, (&repo, number), (&id, node), asks_for_changes, body).await
        }
        InboundNews::ReviewComment { repo, number, thread, .. } if is_command(case, &thread) => {
            let text = TicketText { title: String::new(), body: String::new() };
            let place = Place::PullRequest(repo.clone(), number);
            let (id, body, kind) = (thread.id, thread.body, SaidKind::Remark);
            let said = command::Comment { place, text, repo: Some(repo), id, body, markup: Markup::Markdown, kind };
            Box::pin(command::comment(case, said)).await
        }
        InboundNews::ReviewComment { repo, number, review, thread } => {
            forge_news::thread(case, (&repo, number), review.as_deref(), &thread).await
        }
        InboundNews::Checks { app, .. } if app.is_some() && app == case.intake.forge.app() => {
            record::ignored(case, "our own checks").await
        }
        InboundNews::Checks { repo, head, branches, numbers, .. } => {
            forge_news::checks(case, &repo, &head, (&branches, &numbers)).await
        }
        InboundNews::Advanced { repo, branch } => forge_news::advanced(case, &repo, &branch).await,
    }
}
