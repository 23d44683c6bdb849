//! Writes down what became of a delivery, and answers people, in one transaction with the ledger.

use domain::error::Failure;
use domain::id::TicketId;
use domain::input::Input;
use domain::name::TrackerKey;
use domain::refusal::Why;
use engine::commit::{Applied, Hold, apply, reply};
use engine::key::TicketPartition;
use engine::message::NotifyMessage;
use engine::port::{TableError, Write};
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

/// Answers a person and changes nothing.
pub(crate) async fn tell(
    case: &Case<'_>,
    key: &TrackerKey,
    command: (&str, &str),
    text: String,
    refused: bool,
) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    let to = format!("{}-{}", command.0, command.1);
    let message = NotifyMessage::Reply { key: key.clone(), to, text: text.clone() };
    let pending = reply(engine, &case.ctx, &message)?;
    let partition = TicketPartition::none();
    let mut writes = rows(case, Some(command), if refused { "refused" } else { "answered" });
    writes.push(outbox::row(&case.ctx, &partition, &pending, engine.clock.now()));
    match engine.table.transact(writes).await {
        Ok(()) => {
            outbox::relay(engine, &case.ctx, &partition, &pending).await;
            Ok(Answer::Told { text, refused })
        }
        Err(TableError::Condition { .. }) => Ok(Answer::Duplicate),
        Err(error) => Err(error.into()),
    }
}

/// Gives an input to a ticket; a refusal is told to the person, if a person asked.
pub(crate) async fn give(
    case: &Case<'_>,
    (id, key): (&TicketId, &TrackerKey),
    input: &Input,
    command: Option<(&str, &str)>,
) -> Result<Answer, Failure> {
    let rows = rows(case, command, "acted");
    match apply(&case.intake.engine, &case.ctx, id, input, Hold::None, &rows).await? {
        Applied::Committed(ticket) => Ok(Answer::Moved { ticket: ticket.id.clone(), state: ticket.state.name() }),
        Applied::Duplicate => Ok(Answer::Duplicate),
        Applied::Missing | Applied::Fenced => ignored(case, "there is no such ticket").await,
        Applied::Refused(refusal) => match command {
            Some(command) if refusal.why != Why::Outdated => tell(case, key, command, refusal.message, true).await,
            _ => ignored(case, &refusal.message).await,
        },
    }
}
