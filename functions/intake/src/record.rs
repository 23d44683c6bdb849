//! Writes down what became of a delivery, and answers people, in one transaction with the ledger.

use domain::error::Failure;
use domain::id::TicketId;
use domain::input::Input;
use domain::refusal::Why;
use engine::commit::{Applied, Hold, apply, reply};
use engine::key::TicketPartition;
use engine::message::{NOTIFY, NotifyMessage};
use engine::port::{Outgoing, Place, Reaction, Said, TableError, Write};
use engine::{ledger, outbox};

use crate::{Answer, Case};

/// The ledger rows of a delivery; `command` names the comment a command was said in.
pub(crate) fn rows(case: &Case<'_>, command: Option<(&str, &str)>, outcome: &str) -> Vec<Write> {
    let now = case.intake.engine.clock.now();
    let mut rows = vec![ledger::body(&case.ctx, &case.source, case.body, outcome, now)];
    if let Some((place, comment)) = command {
        rows.push(ledger::command(&case.ctx, place, comment, outcome, now));
    }
    rows.extend_from_slice(&case.extra);
    rows
}

/// Remembers a delivery that leads to nothing.
pub(crate) async fn ignored(case: &Case<'_>, why: &str) -> Result<Answer, Failure> {
    match case.intake.engine.table.transact(rows(case, None, why)).await {
        Ok(()) => Ok(Answer::ignored(why)),
        Err(TableError::Condition { .. }) => Ok(Answer::Duplicate),
        Err(error) => Err(error.into()),
    }
}

/// What somebody wrote, and the name under which a command of it is remembered for ever.
pub(crate) struct Heard<'a> {
    pub(crate) said: Said,
    pub(crate) named: Option<(&'a str, &'a str)>,
}

/// Answers a person and changes nothing.
pub(crate) async fn tell(case: &Case<'_>, heard: &Heard<'_>, text: String, refused: bool) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    let (place, id) = heard.named.unwrap_or(("delivery", ""));
    let message =
        NotifyMessage::Reply { place: heard.said.place.clone(), to: format!("{place}-{id}"), text: text.clone() };
    let pending = reply(engine, &case.ctx, &message)?;
    let partition = TicketPartition::none();
    let mut writes = rows(case, heard.named, if refused { "refused" } else { "answered" });
    writes.push(outbox::row(&case.ctx, &partition, &pending, engine.clock.now()));
    match engine.table.transact(writes).await {
        Ok(()) => {
            outbox::relay(engine, &case.ctx, &partition, &pending).await;
            react(case, &heard.said, if refused { Reaction::Refused } else { Reaction::Done }).await;
            Ok(Answer::Told { text, refused })
        }
        Err(TableError::Condition { .. }) => Ok(Answer::Duplicate),
        Err(error) => Err(error.into()),
    }
}

/// A person of the tracker whom no member of the tenant is: told once how that is changed. On GitHub, where anybody
/// may write, silence is the answer.
pub(crate) async fn stranger(case: &Case<'_>, place: &Place, why: &str) -> Result<Answer, Failure> {
    let Some(actor) = case.actor.as_ref().filter(|actor| actor.is_person && actor.provider == "jira") else {
        return ignored(case, why).await;
    };
    let text = format!(
        "I do not know you yet, so nothing was started. Someone with the role *admin* can make you a member with the account id `{}`; then set the label or write again.",
        actor.id
    );
    let said = Said { place: place.clone(), id: String::new(), kind: engine::port::SaidKind::Ticket };
    let hash = domain::hash::ContentHash::of(case.body);
    tell(case, &Heard { said, named: Some(("stranger", hash.short())) }, text, true).await
}

/// Shows a person at once that what they wrote was seen. The answer in words follows in any case, so that a reaction
/// that is lost is not missed.
pub(crate) async fn react(case: &Case<'_>, said: &Said, reaction: Reaction) {
    // Other places have no reactions.
    if case.source != "github" {
        return;
    }
    let engine = &case.intake.engine;
    let message = NotifyMessage::React { said: said.clone(), reaction };
    let Ok(body) = engine.sealer.seal(NOTIFY, Some(&case.ctx), &message) else {
        return;
    };
    let group = case.ctx.tenant().to_string();
    let outgoing = Outgoing { queue: NOTIFY, body, group, delay: std::time::Duration::ZERO };
    if let Err(failure) = engine.queue.send(outgoing).await {
        tracing::debug!(error = %failure, "a reaction was left out");
    }
}

/// Gives an input to a ticket; a refusal is told to the person, if a person asked.
pub(crate) async fn give(case: &Case<'_>, id: &TicketId, input: &Input, heard: &Heard<'_>) -> Result<Answer, Failure> {
    let rows = rows(case, heard.named, "acted");
    match apply(&case.intake.engine, &case.ctx, id, input, Hold::None, &rows).await? {
        Applied::Committed(ticket) => {
            let runs = ticket.state.stage().is_some();
            react(case, &heard.said, if runs { Reaction::Seen } else { Reaction::Done }).await;
            Ok(Answer::Moved { ticket: ticket.id.clone(), state: ticket.state.name() })
        }
        Applied::Duplicate => Ok(Answer::Duplicate),
        Applied::Missing | Applied::Fenced => ignored(case, "there is no such ticket").await,
        Applied::Refused(refusal) if heard.named.is_some() && refusal.why != Why::Outdated => {
            tell(case, heard, refusal.message, true).await
        }
        Applied::Refused(refusal) => ignored(case, &refusal.message).await,
    }
}

/// Gives news of the forge to a ticket, which nobody waits for an answer to.
pub(crate) async fn inform(case: &Case<'_>, id: &TicketId, input: &Input) -> Result<Answer, Failure> {
    let rows = rows(case, None, "acted");
    match apply(&case.intake.engine, &case.ctx, id, input, Hold::None, &rows).await? {
        Applied::Committed(ticket) => Ok(Answer::Moved { ticket: ticket.id.clone(), state: ticket.state.name() }),
        Applied::Duplicate => Ok(Answer::Duplicate),
        Applied::Missing | Applied::Fenced => ignored(case, "there is no such ticket").await,
        Applied::Refused(refusal) => ignored(case, &refusal.message).await,
    }
}
