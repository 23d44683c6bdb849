//! All that people read: one comment a kind and place, found again by its marker, edited in place.

mod render;
mod split;
mod status;
mod threads;
mod write;

use std::sync::Arc;
use std::time::Duration;

use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::principal::Via;
use domain::ticket::Ticket;
use engine::message::{NOTIFY, NotifyMessage};
use engine::port::{Conclusion, Forge, Outgoing, Place, Reaction, Said, SaidKind, Tracker, Workspace};
use engine::tenancy::TenantCtx;
use engine::{Disposition, Engine};

use domain::decide::Notice;
use write::post;

/// What the function needs.
#[derive(Clone)]
pub struct Notify {
    /// The engine's ports.
    pub engine: Engine,
    /// Where people read.
    pub tracker: Arc<dyn Tracker>,
    /// Where pull requests live.
    pub forge: Arc<dyn Forge>,
    /// Opens the snapshot a diff is shown against.
    pub workspace: Arc<dyn Workspace>,
    /// The name people mention.
    pub handle: String,
}

/// Five tries span two minutes, and then sweep starts over.
const RETRY_LATER: Disposition = Disposition::Retry { after: 30 };
/// Longest a queue holds a message back.
const MAX_DELAY: u64 = 15 * 60;

/// What goes with a comment once it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Newer ones replace it: it is folded away.
    Fold,
    /// Its thread is dealt with.
    Resolve,
}

/// One text to be said under one name.
pub(crate) struct Say {
    /// Where, if it is not the ticket.
    pub(crate) place: Option<Place>,
    /// What kind of comment it is; one a place.
    pub(crate) kind: String,
    /// Markdown without the marker.
    pub(crate) text: String,
    /// How a check ended; for nothing but checks.
    pub(crate) conclusion: Option<Conclusion>,
    /// What goes with it.
    pub(crate) then: Option<Then>,
}

impl Say {
    /// Something said on the ticket.
    pub(crate) fn new(kind: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: None, kind: kind.into(), text: text.into(), conclusion: None, then: None }
    }

    fn hash(&self) -> ContentHash {
        match self.conclusion {
            None => ContentHash::of(self.text.as_bytes()),
            Some(conclusion) => ContentHash::of(format!("{conclusion:?} {}", self.text).as_bytes()),
        }
    }
}

/// How far the ticket was that a text was made of: older news never replaces newer.
type Version = u64;

/// Handles one message of the queue.
pub async fn handle(function: &Notify, message: &str) -> Disposition {
    let Ok(opened) = function.engine.sealer.open::<NotifyMessage>(NOTIFY, message) else {
        tracing::warn!("a message without a valid seal was dropped");
        return Disposition::Ack;
    };
    let Some(ctx) = opened.tenant else {
        tracing::warn!("a message of no tenant was dropped");
        return Disposition::Ack;
    };
    match tell(function, &ctx, &opened.body).await {
        Ok(None) => Disposition::Ack,
        Ok(Some(after)) => later(function, &ctx, message, u64::from(after)).await,
        Err(failure) => {
            if let Fault::RateLimited { retry_at: Some(at) } = failure.fault {
                let wait = at.duration_since(function.engine.clock.now()).as_secs();
                return later(function, &ctx, message, u64::try_from(wait).unwrap_or(0) + 1).await;
            }
            if failure.fault.is_retryable() || failure.fault == Fault::Bug {
                tracing::warn!(tenant.id = %ctx.tenant(), error = %failure, "people could not be told yet");
                return RETRY_LATER;
            }
            tracing::error!(tenant.id = %ctx.tenant(), error = %failure, "people cannot be told");
            Disposition::Ack
        }
    }
}

/// Puts a message back as one that was never received: waiting as asked is no failure.
async fn later(function: &Notify, ctx: &TenantCtx, message: &str, seconds: u64) -> Disposition {
    let delay = Duration::from_secs(seconds.min(MAX_DELAY));
    let (body, group) = (message.to_owned(), ctx.tenant().to_string());
    match function.engine.queue.send(Outgoing { queue: NOTIFY, body, group, delay }).await {
        Ok(()) => Disposition::Ack,
        Err(failure) => {
            tracing::warn!(tenant.id = %ctx.tenant(), error = %failure, "a message that waits could not be put back");
            RETRY_LATER
        }
    }
}

/// Where a ticket is read.
pub(crate) fn place_of(ticket: &Ticket) -> Place {
    match ticket.via {
        Via::Cli => Place::Machine(ticket.key.clone()),
        Via::Github | Via::Jira => Place::Ticket(ticket.key.clone()),
    }
}

/// Says everything a message asks for, or how many seconds another writer may still be at one of the comments.
async fn tell(function: &Notify, ctx: &TenantCtx, message: &NotifyMessage) -> Result<Option<u32>, Failure> {
    match message {
        NotifyMessage::Reply { place, to, text } => {
            let say = Say::new(format!("reply-{to}"), text.clone());
            post(function, ctx, place, 0, &say).await
        }
        NotifyMessage::React { said, reaction } => {
            let reacted = function.tracker.react(ctx, said, *reaction).await;
            // What was answered with it is answered in words, too.
            if let Err(failure) = reacted {
                tracing::debug!(tenant.id = %ctx.tenant(), error = %failure, "a reaction was left out");
            }
            Ok(None)
        }
        NotifyMessage::Notice { ticket, notice } => {
            let Some(row) = engine::ticket::load(&function.engine, ctx, ticket).await? else {
                return Ok(None);
            };
            notice_of(function, ctx, &row.ticket, notice).await
        }
    }
}

/// Says all that belongs to a notice; what fails in one place keeps nobody from being told in the others.
async fn notice_of(
    function: &Notify,
    ctx: &TenantCtx,
    ticket: &Ticket,
    notice: &Notice,
) -> Result<Option<u32>, Failure> {
    let (mut wait, mut trouble) = (None, None);
    let says = render::render(function, ctx, ticket, notice).await?;
    let home = place_of(ticket);
    let room = function.tracker.room();
    for say in says.into_iter().flat_map(|say| split::fitting(say, room)) {
        // Names of checks are people's to know; those of comments have to differ from ticket to ticket.
        let kind = if say.conclusion.is_some() { say.kind } else { format!("{}-{}", ticket.id, say.kind) };
        let say = Say { kind, ..say };
        let place = say.place.as_ref().unwrap_or(&home);
        match post(function, ctx, place, ticket.version, &say).await {
            Ok(rest) => wait = wait.max(rest),
            Err(failure) => trouble = trouble.or(Some(failure)),
        }
    }
    match status::beside(function, ctx, ticket, notice).await {
        Ok(rest) => wait = wait.max(rest),
        Err(failure) => trouble = trouble.or(Some(failure)),
    }
    trouble.map_or(Ok(wait), Err)
}

/// Shows on a ticket itself that its pull request is open.
pub(crate) async fn rocket(function: &Notify, ctx: &TenantCtx, ticket: &Ticket) {
    let said = Said { place: place_of(ticket), id: String::new(), kind: SaidKind::Ticket };
    if let Err(failure) = function.tracker.react(ctx, &said, Reaction::Opened).await {
        tracing::debug!(tenant.id = %ctx.tenant(), error = %failure, "a reaction was left out");
    }
}
