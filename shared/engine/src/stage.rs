//! Runs one turn of a stage: lease, work, heartbeat, one commit, then the acknowledgement.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::artifact::Answer;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::id::TicketId;
use domain::input::{Happening, Input, Outcome};
use domain::money::Usd;
use domain::policy::Policy;
use domain::principal::Principal;
use domain::state::{Stage, State};
use domain::ticket::{PendingCall, Ticket};
use futures_util::future::{Either, select};

use crate::commit::{Applied, Hold, apply};
use crate::message::StageMessage;
use crate::port::{ModelAnswer, ModelRequest, Permit, Write};
use crate::slot::{self, Slot};
use crate::tenancy::TenantCtx;
use crate::ticket::{Lease, Taken, release, renew, take};
use crate::{Disposition, Engine, RETRY_SOON, artifact, call, directory, spend};

/// How long a turn is leased; a heartbeat renews it while work goes on.
pub const LEASE: Duration = Duration::from_mins(2);
/// How long a ticket is leased while something is written outside.
const WRITE_LEASE: Duration = Duration::from_mins(5);
/// How often the lease is renewed.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What a turn starts from.
pub struct TurnInput {
    /// Whose it is.
    pub ctx: TenantCtx,
    /// The ticket, as leased.
    pub ticket: Ticket,
    /// The policy in force.
    pub policy: Policy,
    /// The answer the run waited for.
    pub answer: Option<ModelAnswer>,
    /// Where the run stands; absent on its first turn.
    pub checkpoint: Option<Vec<u8>>,
    /// What people answered to what the run asked them.
    pub reply: Option<Vec<Answer>>,
    /// When the turn began.
    pub now: Timestamp,
}

/// Where a turn got.
pub enum Turn {
    /// The run is over.
    Done {
        /// How.
        outcome: Box<Outcome>,
        /// Rows that go into the same transaction.
        rows: Vec<Write>,
    },
    /// The run needs a model's answer.
    Ask {
        /// The request.
        request: Box<ModelRequest>,
        /// Most it can cost.
        reserve: Usd,
        /// Where the run stands.
        checkpoint: Vec<u8>,
    },
}

impl Turn {
    /// Ends the run.
    pub fn done(outcome: Outcome, rows: Vec<Write>) -> Self {
        Self::Done { outcome: Box::new(outcome), rows }
    }
}

/// What a turn may do to the ticket while it holds it.
pub struct Holder<'a> {
    engine: &'a Engine,
    ctx: &'a TenantCtx,
    lease: &'a Lease,
}

impl Holder<'_> {
    /// Commits that a write to the outside is about to start; an error means that it must not.
    ///
    /// The commit stands or falls with `checks` and with the connection. The permit is for the one write that is meant;
    /// whatever it needs is loaded before.
    pub async fn intend(&self, intent: &str, mut checks: Vec<Write>) -> Result<Permit, Failure> {
        let taken = || Failure::new(Fault::Conflict, "the ticket was taken away before the write started");
        if let Some(connection) = &self.lease.ticket.connection {
            match directory::connected(self.engine, connection).await? {
                Some(check) => checks.push(check),
                None => {
                    return Err(Failure::new(Fault::Permission, "the connection to the repository was removed"));
                }
            }
        }
        let until = self.engine.clock.now() + WRITE_LEASE;
        if !renew(self.engine, self.ctx, self.lease, WRITE_LEASE).await? {
            return Err(taken());
        }
        let started = Outcome::IntentStarted { intent: intent.to_owned() };
        let input = Input { by: Principal::System, what: Happening::Outcome(started) };
        match apply(self.engine, self.ctx, &self.lease.ticket.id, &input, Hold::Keep(self.lease), &checks).await? {
            Applied::Committed(_) => {
                let permit = Permit::new(Arc::clone(&self.engine.clock), until);
                permit.holds().map(|()| permit)
            }
            Applied::Refused(_) | Applied::Duplicate | Applied::Fenced | Applied::Missing => Err(taken()),
        }
    }
}

/// What one stage does in one turn.
#[async_trait]
pub trait Work: Send + Sync {
    /// The stage.
    fn stage(&self) -> Stage;

    /// Takes one turn; never waits for a model or a person.
    async fn turn(&self, holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure>;

    /// Reads back, and undoes where permitted, a write that was under way; says what is left outside.
    async fn read_back(&self, _ctx: &TenantCtx, _ticket: &Ticket) -> Result<String, Failure> {
        Ok("nothing was written".to_owned())
    }
}

/// Handles one message of a stage's queue.
pub async fn handle(engine: &Engine, work: &dyn Work, text: &str) -> Disposition {
    let stage = work.stage();
    let Ok(opened) = engine.sealer.open::<StageMessage>(stage.as_str(), text) else {
        tracing::warn!(stage = stage.as_str(), "a message without a valid seal was dropped");
        return Disposition::Ack;
    };
    let Some(ctx) = opened.tenant else {
        tracing::warn!(stage = stage.as_str(), "a message of no tenant was dropped");
        return Disposition::Ack;
    };
    let done = match &opened.body {
        StageMessage::Turn { run, turn, .. } => {
            take_turn(engine, work, &ctx, (&opened.body, text), (*run, *turn)).await
        }
        StageMessage::ReadBack { intent, .. } => read_back(engine, work, &ctx, &opened.body, intent).await,
    };
    match done {
        Ok(disposition) => disposition,
        Err(failure) => {
            let ticket = opened.body.ticket().as_str();
            tracing::warn!(tenant.id = %ctx.tenant(), ticket.id = ticket, stage = stage.as_str(), error = %failure, "a turn could not be committed; its message comes again");
            RETRY_SOON
        }
    }
}

/// Puts a message back until whoever holds its ticket is done at the latest.
fn after(rest: Duration) -> Disposition {
    Disposition::Retry { after: u32::try_from(rest.as_secs()).unwrap_or(0).clamp(1, 120) + 1 }
}

async fn take_turn(
    engine: &Engine,
    work: &dyn Work,
    ctx: &TenantCtx,
    (message, text): (&StageMessage, &str),
    (run, turn): (u64, u64),
) -> Result<Disposition, Failure> {
    let stage = work.stage();
    let still = move |ticket: &Ticket| {
        ticket.run == run && ticket.turn == turn && ticket.pending.is_none() && ticket.state.stage() == Some(stage)
    };
    let Some(slot) = slot::take(engine, ctx, message.ticket(), LEASE).await? else {
        return slot::wait(engine, ctx, message.ticket(), (stage.as_str(), text), &still).await;
    };
    let done = turn_in(engine, work, ctx, &slot, message.ticket(), &still).await;
    slot::free(engine, &slot).await;
    done
}

/// Takes a turn in a slot.
async fn turn_in(
    engine: &Engine,
    work: &dyn Work,
    ctx: &TenantCtx,
    slot: &Slot,
    ticket: &TicketId,
    still: &(dyn Fn(&Ticket) -> bool + Send + Sync),
) -> Result<Disposition, Failure> {
    let stage = work.stage();
    let lease = match take(engine, ctx, ticket, still, LEASE).await? {
        Taken::Mine(lease) => lease,
        Taken::Past => return Ok(Disposition::Ack),
        Taken::Elsewhere { rest } => return Ok(after(rest)),
    };
    let turn = {
        let worked = pin!(one_turn(engine, work, ctx, &lease));
        let lost = pin!(heartbeat(engine, ctx, &lease, slot));
        match select(worked, lost).await {
            Either::Left((turn, _)) => turn,
            Either::Right(((), _)) => return Ok(RETRY_SOON),
        }
    };
    let (outcome, rows) = match settle(engine, ctx, &lease, turn).await {
        Ok(done) => done,
        Err(failure) => (Outcome::Failed { failure }, Vec::new()),
    };
    let input = Input { by: Principal::System, what: Happening::Outcome(outcome) };
    match apply(engine, ctx, &lease.ticket.id, &input, Hold::Release(&lease), &rows).await? {
        Applied::Committed(_) | Applied::Duplicate | Applied::Missing => Ok(Disposition::Ack),
        Applied::Refused(refusal) => {
            tracing::warn!(tenant.id = %ctx.tenant(), ticket.id = %lease.ticket.id, stage = stage.as_str(), refusal = %refusal, "the outcome of a turn was refused");
            Ok(Disposition::Ack)
        }
        Applied::Fenced => {
            release(engine, ctx, &lease).await?;
            Ok(RETRY_SOON)
        }
    }
}

async fn one_turn(engine: &Engine, work: &dyn Work, ctx: &TenantCtx, lease: &Lease) -> Result<Turn, Failure> {
    let ticket = lease.ticket.clone();
    let policy = directory::policy_of(engine, ctx, Some(&ticket)).await?;
    let answer = match &ticket.answer {
        Some(hash) => Some(artifact::load(engine, ctx, hash).await?),
        None => None,
    };
    let checkpoint = match &ticket.checkpoint {
        Some(hash) => Some(engine.blobs.load(ctx, hash).await?),
        None => None,
    };
    let reply = match &ticket.answers {
        Some(answers) if checkpoint.is_some() && answer.is_none() => {
            Some(artifact::load(engine, ctx, &answers.hash).await?)
        }
        _ => None,
    };
    let holder = Holder { engine, ctx, lease };
    let now = engine.clock.now();
    work.turn(&holder, TurnInput { ctx: ctx.clone(), ticket, policy, answer, checkpoint, reply, now }).await
}

/// Turns what a stage returned into an outcome; a question to the model is stored and reserved first.
async fn settle(
    engine: &Engine,
    ctx: &TenantCtx,
    lease: &Lease,
    turn: Result<Turn, Failure>,
) -> Result<(Outcome, Vec<Write>), Failure> {
    match turn? {
        Turn::Done { outcome, rows } => Ok((*outcome, rows)),
        Turn::Ask { request, reserve, checkpoint } => {
            let ticket = &lease.ticket;
            let checkpoint: ContentHash = engine.blobs.put(ctx, &checkpoint).await?;
            let hash = artifact::store(engine, ctx, &*request).await?;
            let attempt = ticket.next_call();
            let policy = directory::policy_of(engine, ctx, Some(ticket)).await?;
            let call = (&hash, attempt);
            let known = call::find(engine, ctx, &ticket.id, &hash, attempt).await?.is_some();
            if !known && !spend::reserve(engine, ctx, &ticket.id, call, reserve, policy.monthly_budget_usd).await? {
                return Ok((Outcome::OverMonthlyBudget { checkpoint }, Vec::new()));
            }
            let call = PendingCall { request: hash, attempt, reserved: reserve };
            Ok((Outcome::Asked { call, checkpoint }, Vec::new()))
        }
    }
}

/// Comes back only when the lease is lost.
async fn heartbeat(engine: &Engine, ctx: &TenantCtx, lease: &Lease, slot: &Slot) {
    loop {
        engine.clock.sleep(HEARTBEAT).await;
        if let Err(failure) = slot::renew(engine, slot, LEASE).await {
            tracing::warn!(ticket.id = %lease.ticket.id, error = %failure, "a slot could not be renewed");
        }
        match renew(engine, ctx, lease, LEASE).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => {
                tracing::warn!(ticket.id = %lease.ticket.id, error = %failure, "a lease could not be renewed");
            }
        }
    }
}

async fn read_back(
    engine: &Engine,
    work: &dyn Work,
    ctx: &TenantCtx,
    message: &StageMessage,
    intent: &str,
) -> Result<Disposition, Failure> {
    let intent = intent.to_owned();
    let still = move |ticket: &Ticket| matches!(&ticket.state, State::Cancelling { intent: i } if *i == intent);
    let lease = match take(engine, ctx, message.ticket(), &still, LEASE).await? {
        Taken::Mine(lease) => lease,
        Taken::Past => return Ok(Disposition::Ack),
        Taken::Elsewhere { rest } => return Ok(after(rest)),
    };
    let outcome = match work.read_back(ctx, &lease.ticket).await {
        Ok(left) => Outcome::CancelSettled { left },
        Err(failure) if failure.fault.is_retryable() => {
            tracing::warn!(tenant.id = %ctx.tenant(), ticket.id = %lease.ticket.id, error = %failure, "a write cannot be read back yet");
            release(engine, ctx, &lease).await?;
            return Ok(Disposition::Retry { after: 30 });
        }
        Err(failure) => Outcome::Failed { failure },
    };
    let input = Input { by: Principal::System, what: Happening::Outcome(outcome) };
    apply(engine, ctx, &lease.ticket.id, &input, Hold::Release(&lease), &[]).await?;
    Ok(Disposition::Ack)
}

impl TurnInput {
    /// Opens the snapshot the ticket works on.
    pub async fn open(
        &self,
        workspace: &dyn crate::port::Workspace,
    ) -> Result<std::sync::Arc<dyn crate::port::SourceTree>, Failure> {
        let snapshot = self.ticket.target().and_then(|target| target.snapshot.as_ref());
        let snapshot = snapshot.ok_or_else(|| Failure::new(Fault::Bug, "the ticket has no snapshot"))?;
        workspace.open(&self.ctx, snapshot).await
    }
}
