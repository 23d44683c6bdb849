//! What a crash, a lost webhook or the clock left behind: the one timer of the system.

use std::time::Duration;

use domain::error::{Failure, Fault};
use domain::input::{Happening, Input, Outcome};
use domain::principal::Principal;
use domain::state::{Stage, State};
use domain::ticket::Ticket;
use engine::commit::{Hold, apply};
use engine::key::Key;
use engine::message::{INTAKE, MODEL, ModelMessage, NOTIFY, StageMessage};
use engine::outbox::{Pending, relay_rows};
use engine::port::{Delivered, Outgoing};
use engine::seal::SealError;
use engine::tenancy::{SystemCtx, TenantCtx};
use engine::ticket::{Taken, TicketRow, load, postpone, take};
use engine::{Engine, spend};

/// Most rows of one sweep; the next one goes on.
const PAGE: usize = 500;
/// How long a dead letter's ticket is held while its failure is written.
const LEASE: Duration = Duration::from_secs(30);

/// How much there was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Messages that had not left.
    pub relayed: usize,
    /// Tickets whose deadline passed or whose message was lost.
    pub tickets: usize,
    /// Dead letters whose reason was recorded.
    pub dead: usize,
}

/// Sweeps once.
pub async fn handle(engine: &Engine) -> Result<Swept, Failure> {
    let proof = engine.sealer.system().map_err(|error| Failure::new(Fault::Auth, error.to_string()))?;
    let now = engine.clock.now();
    let mut swept = Swept::default();
    let mut waiting = Vec::new();
    for key in engine.table.due(&proof, now, PAGE).await? {
        match sweep_row(engine, &proof, &key, (&mut swept, &mut waiting)).await {
            Ok(()) => {}
            Err(failure) => {
                tracing::warn!(sort = key.sort(), error = %failure, "a due row could not be swept");
            }
        }
    }
    swept.relayed = waiting.len();
    relay_rows(engine, &waiting).await;
    for stage in Stage::ALL {
        for message in engine.queue.receive_dead(stage.as_str(), 100).await? {
            swept.dead += buried(bury_turn(engine, stage, &message).await);
        }
    }
    for message in engine.queue.receive_dead(MODEL, 100).await? {
        swept.dead += buried(bury_call(engine, &message).await);
    }
    for queue in [INTAKE, NOTIFY] {
        for message in engine.queue.receive_dead(queue, 100).await? {
            again(engine, queue, &message).await?;
        }
    }
    Ok(swept)
}

/// One letter that cannot be buried must not keep the others from it.
fn buried(done: Result<bool, Failure>) -> usize {
    match done {
        Ok(done) => usize::from(done),
        Err(failure) => {
            tracing::warn!(error = %failure, "a dead letter could not be buried; the next sweep tries again");
            0
        }
    }
}

/// What was accepted, or has to be said, is never given up: it starts over with a fresh count.
async fn again(engine: &Engine, queue: &'static str, message: &Delivered) -> Result<(), Failure> {
    tracing::warn!(queue, "a message failed several times and starts over");
    let fresh = Outgoing { queue, body: message.body.clone(), group: queue.to_owned(), delay: Duration::ZERO };
    engine.queue.send(fresh).await?;
    engine.queue.ack_dead(queue, &message.receipt).await
}

/// Sees to a due row; a message that has not left joins those that wait.
async fn sweep_row(
    engine: &Engine,
    proof: &SystemCtx,
    key: &Key,
    (swept, waiting): (&mut Swept, &mut Vec<(Key, Pending)>),
) -> Result<(), Failure> {
    let Some(ctx) = proof.tenant_of(key) else {
        return Ok(());
    };
    let Some(item) = engine.table.get(key).await? else {
        return Ok(());
    };
    if key.sort().starts_with("OUTBOX#") {
        waiting.extend(serde_json::from_value::<Pending>(item.body).map(|pending| (key.clone(), pending)));
    } else if key.sort() == "TICKET" {
        if let Ok(ticket) = serde_json::from_value::<Ticket>(item.body)
            && let Some(row) = load(engine, &ctx, &ticket.id).await?
        {
            sweep_ticket(engine, &ctx, &row).await?;
            swept.tickets += 1;
        }
    } else if key.sort().starts_with("RESERVATION#") {
        spend::reclaim(engine, &ctx, &item).await?;
    }
    Ok(())
}

async fn sweep_ticket(engine: &Engine, ctx: &TenantCtx, row: &TicketRow) -> Result<(), Failure> {
    let ticket = &row.ticket;
    if ticket.deadline.is_some_and(|deadline| deadline <= engine.clock.now()) {
        let input = Input { by: Principal::System, what: Happening::DeadlinePassed };
        apply(engine, ctx, &ticket.id, &input, Hold::None, &[]).await?;
        return Ok(());
    }
    // Whoever held the ticket is gone, or its message was lost: the same turn is sent once more.
    if let Some((queue, sealed)) = next_message(engine, ctx, ticket) {
        let body = sealed.map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
        let message = Outgoing { queue, body, group: ctx.tenant().to_string(), delay: Duration::ZERO };
        engine.queue.send(message).await?;
    }
    postpone(engine, ctx, row).await
}

fn next_message(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &Ticket,
) -> Option<(&'static str, Result<String, SealError>)> {
    let id = ticket.id.clone();
    if let Some(call) = &ticket.pending {
        let message = ModelMessage { ticket: id, request: call.request.clone(), attempt: call.attempt };
        return Some((MODEL, engine.sealer.seal(MODEL, Some(ctx), &message)));
    }
    if let State::Cancelling { intent } = &ticket.state {
        let message = StageMessage::ReadBack { ticket: id, intent: intent.clone() };
        return Some(("publish", engine.sealer.seal("publish", Some(ctx), &message)));
    }
    let stage = ticket.state.stage()?;
    let message = StageMessage::Turn { ticket: id, stage, run: ticket.run, turn: ticket.turn };
    Some((stage.as_str(), engine.sealer.seal(stage.as_str(), Some(ctx), &message)))
}

async fn bury_turn(engine: &Engine, stage: Stage, message: &Delivered) -> Result<bool, Failure> {
    let opened = engine.sealer.open::<StageMessage>(stage.as_str(), &message.body);
    if let Ok(opened) = opened
        && let Some(ctx) = opened.tenant
    {
        let StageMessage::Turn { ticket: id, run, turn, .. } = opened.body else {
            // What may have been written outside is read back however long that takes.
            again(engine, stage.as_str(), message).await?;
            return Ok(false);
        };
        let still = move |ticket: &Ticket| ticket.run == run && ticket.turn == turn && ticket.pending.is_none();
        if !fail(engine, &ctx, &id, &still).await? {
            return Ok(false);
        }
    }
    engine.queue.ack_dead(stage.as_str(), &message.receipt).await?;
    Ok(true)
}

async fn bury_call(engine: &Engine, message: &Delivered) -> Result<bool, Failure> {
    if let Ok(opened) = engine.sealer.open::<ModelMessage>(MODEL, &message.body)
        && let Some(ctx) = opened.tenant
    {
        let call = opened.body;
        let id = call.ticket.clone();
        let still = move |ticket: &Ticket| ticket.pending.as_ref().is_some_and(|p| p.request == call.request);
        if !fail(engine, &ctx, &id, &still).await? {
            return Ok(false);
        }
    }
    engine.queue.ack_dead(MODEL, &message.receipt).await?;
    Ok(true)
}

/// Records on the ticket that its message is dead; says false while somebody still holds the ticket.
async fn fail(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: &domain::id::TicketId,
    still: &(dyn Fn(&Ticket) -> bool + Send + Sync),
) -> Result<bool, Failure> {
    match take(engine, ctx, ticket, still, LEASE).await? {
        Taken::Past => Ok(true),
        Taken::Elsewhere { .. } => Ok(false),
        Taken::Mine(lease) => {
            let failure = Failure::new(Fault::Bug, "the step was started several times and never came to an end");
            let input = Input { by: Principal::System, what: Happening::Outcome(Outcome::Failed { failure }) };
            apply(engine, ctx, ticket, &input, Hold::Release(&lease), &[]).await?;
            Ok(true)
        }
    }
}
