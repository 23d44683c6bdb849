//! Turns an input into one durable transaction: ticket, history, decisions and outbox together.

use domain::Timestamp;
use domain::decide::{Decision, Effect, Event};
use domain::error::{Failure, Fault};
use domain::id::{OutboxId, TicketId};
use domain::input::Input;
use domain::policy::Policy;
use domain::refusal::Refusal;
use domain::ticket::Ticket;
use serde_json::json;

use crate::key::{Key, TicketPartition};
use crate::message::{MODEL, ModelMessage, NOTIFY, NotifyMessage, StageMessage};
use crate::outbox::{self, Pending};
use crate::port::{Condition, Item, TableError, Write, fresh};
use crate::tenancy::TenantCtx;
use crate::ticket::{Lease, TicketRow, load};
use crate::{Engine, directory, open};

/// What became of an input.
#[derive(Debug)]
pub enum Applied {
    /// It is durable.
    Committed(Box<Ticket>),
    /// The machine refused it.
    Refused(Refusal),
    /// One of the caller's own writes says that this was done before.
    Duplicate,
    /// The lease is somebody else's by now: nothing was written, nothing may be repeated.
    Fenced,
    /// There is no such ticket.
    Missing,
}

/// How an input relates to a lease.
#[derive(Debug, Clone, Copy)]
pub enum Hold<'a> {
    /// The input comes from outside a run.
    None,
    /// The input ends the turn that holds this lease.
    Release(&'a Lease),
    /// The input is made during the turn that goes on holding this lease.
    Keep(&'a Lease),
}

/// Most tries against writers in the way; each try decides afresh.
const TRIES: usize = 20;

/// Decides on an input and commits all that follows; `extra` goes into the same transaction.
pub async fn apply(
    engine: &Engine,
    ctx: &TenantCtx,
    id: &TicketId,
    input: &Input,
    hold: Hold<'_>,
    extra: &[Write],
) -> Result<Applied, Failure> {
    for _ in 0..TRIES {
        let Some(row) = load(engine, ctx, id).await? else {
            return Ok(Applied::Missing);
        };
        if let Hold::Release(lease) | Hold::Keep(lease) = hold
            && (row.fence != lease.fence || row.ticket.run != lease.ticket.run)
        {
            return Ok(Applied::Fenced);
        }
        let policy = directory::policy_of(engine, ctx, Some(&row.ticket)).await?;
        let decision = match domain::decide(&row.ticket, input, &policy, engine.clock.now()) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Applied::Refused(refusal)),
        };
        match write(engine, ctx, &row, &decision, hold, extra).await {
            Ok(()) => return Ok(Applied::Committed(Box::new(decision.next))),
            Err(WriteError::Moved) => {}
            Err(WriteError::Duplicate(_)) => return Ok(Applied::Duplicate),
            Err(WriteError::Failed(failure)) => return Err(failure),
        }
    }
    Err(Failure::new(Fault::Conflict, "the ticket kept changing"))
}

/// Commits a new ticket with its guard. A conflict means that another workflow was first: decide again.
pub async fn create(
    engine: &Engine,
    ctx: &TenantCtx,
    ticket: Ticket,
    policy: &Policy,
    guard: Write,
    mut extra: Vec<Write>,
) -> Result<Applied, Failure> {
    extra.insert(0, guard);
    let now = engine.clock.now();
    let by = ticket.requester_name.clone();
    let mut decision = Decision { next: ticket.clone(), events: Vec::new(), effects: Vec::new() };
    decision.next.version = 1;
    decision.next.events = 1;
    let what = format!("started with a budget of {}", policy.budget_usd);
    let to = ticket.state.name().to_owned();
    decision.events.push(Event { at: now, by, what, from: String::new(), to });
    decision.effects.push(Effect::Notify(domain::decide::Notice::Status));
    if let Some(stage) = ticket.state.stage() {
        decision.effects.push(Effect::Run { stage, not_before: None });
    }
    let row = TicketRow { ticket, version: 0, fence: 0, lease_until: None, due: None };
    match write(engine, ctx, &row, &decision, Hold::None, &extra).await {
        Ok(()) => Ok(Applied::Committed(Box::new(decision.next))),
        Err(WriteError::Moved | WriteError::Duplicate(0)) => {
            Err(Failure::new(Fault::Conflict, "another workflow of this ticket was started at the same moment"))
        }
        Err(WriteError::Duplicate(_)) => Ok(Applied::Duplicate),
        Err(WriteError::Failed(failure)) => Err(failure),
    }
}

enum WriteError {
    Moved,
    /// One of the caller's own writes, counted from 0.
    Duplicate(usize),
    Failed(Failure),
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

async fn write(
    engine: &Engine,
    ctx: &TenantCtx,
    row: &TicketRow,
    decision: &Decision,
    hold: Hold<'_>,
    extra: &[Write],
) -> Result<(), WriteError> {
    let now = engine.clock.now();
    let partition = TicketPartition::of(&row.ticket.id);
    let mut next = TicketRow { ticket: decision.next.clone(), ..row.clone() };
    next.lease_until = match hold {
        Hold::Keep(_) => row.lease_until,
        Hold::None if decision.next.run == row.ticket.run || decision.next.intent.is_some() => row.lease_until,
        Hold::None | Hold::Release(_) => None,
    };
    let mut when =
        if row.version == 0 { vec![Condition::NotExists { now }] } else { vec![Condition::VersionIs(row.version)] };
    if let Hold::Release(lease) | Hold::Keep(lease) = hold {
        when.push(Condition::FenceIs(lease.fence));
    }
    let mut writes = vec![Write::Put { item: next.to_item(ctx, now)?, when }];
    writes.extend(open::write(ctx, &row.ticket, &decision.next));
    history(ctx, &partition, decision, now, &mut writes);
    let mut messages = Vec::new();
    for effect in &decision.effects {
        messages.push(message(engine, ctx, &decision.next, effect)?);
    }
    for pending in &messages {
        writes.push(outbox::row(ctx, &partition, pending, now));
    }
    let own = writes.len();
    writes.extend_from_slice(extra);
    match engine.table.transact(writes).await {
        Ok(()) => {}
        Err(TableError::Condition { write }) if write >= own => return Err(WriteError::Duplicate(write - own)),
        Err(TableError::Condition { .. }) => return Err(WriteError::Moved),
        Err(error) => return Err(WriteError::Failed(error.into())),
    }
    for pending in &messages {
        outbox::relay(engine, ctx, &partition, pending).await;
    }
    Ok(())
}

fn history(ctx: &TenantCtx, partition: &TicketPartition, decision: &Decision, now: Timestamp, writes: &mut Vec<Write>) {
    let first = decision.next.events + 1 - u64::try_from(decision.events.len()).unwrap_or(1);
    for (at, event) in (first..).zip(&decision.events) {
        let item = Item::new(Key::ticket(ctx, partition, format!("EVENT#{at:08}")), json!(event));
        writes.push(Write::Put { item, when: vec![Condition::NotExists { now }] });
    }
    for record in &decision.next.decisions {
        let who = record.member.as_ref().map_or("policy", |member| member.as_str());
        let key = Key::ticket(ctx, partition, format!("DECISION#{}#{who}", record.artifact));
        writes.push(Write::Put { item: Item::new(key, json!(record)), when: Vec::new() });
    }
}

fn message(engine: &Engine, ctx: &TenantCtx, next: &Ticket, effect: &Effect) -> Result<Pending, Failure> {
    let ticket = next.id.clone();
    let (queue, body, not_before) = match effect {
        Effect::Run { stage, not_before } => {
            let turn = StageMessage::Turn { ticket, stage: *stage, run: next.run, turn: next.turn };
            (stage.as_str(), engine.sealer.seal(stage.as_str(), Some(ctx), &turn), *not_before)
        }
        Effect::CallModel { call } => {
            let message = ModelMessage { ticket, request: call.request.clone(), attempt: call.attempt };
            (MODEL, engine.sealer.seal(MODEL, Some(ctx), &message), None)
        }
        Effect::ReadBack { intent } => {
            let message = StageMessage::ReadBack { ticket, intent: intent.clone() };
            ("publish", engine.sealer.seal("publish", Some(ctx), &message), None)
        }
        Effect::Notify(notice) => {
            let message = NotifyMessage::Notice { ticket, notice: notice.clone() };
            (NOTIFY, engine.sealer.seal(NOTIFY, Some(ctx), &message), None)
        }
    };
    pending(engine, ctx, queue, body, not_before)
}

/// Makes an answer to what somebody said, to be committed with what it answers.
pub fn reply(engine: &Engine, ctx: &TenantCtx, message: &NotifyMessage) -> Result<Pending, Failure> {
    pending(engine, ctx, NOTIFY, engine.sealer.seal(NOTIFY, Some(ctx), message), None)
}

fn pending(
    engine: &Engine,
    ctx: &TenantCtx,
    queue: &'static str,
    body: Result<String, crate::seal::SealError>,
    not_before: Option<Timestamp>,
) -> Result<Pending, Failure> {
    let bug = |error: String| Failure::new(Fault::Bug, error);
    let body = body.map_err(|error| bug(error.to_string()))?;
    let id: OutboxId =
        fresh(engine.ids.as_ref(), OutboxId::PREFIX).map_err(|error: domain::id::IdError| bug(error.to_string()))?;
    Ok(Pending { id, queue: queue.to_owned(), body, group: ctx.tenant().to_string(), not_before })
}
