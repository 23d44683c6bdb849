//! Makes one model call, stores the answer before anything else, and tells the stage that waits.

use std::sync::Arc;
use std::time::Duration;

use domain::error::Failure;
use domain::input::{Happening, Input, Outcome};
use domain::money::Usd;
use domain::principal::Principal;
use domain::ticket::Ticket;
use engine::commit::{Applied, Hold, apply};
use engine::message::{MODEL, ModelMessage};
use engine::port::{Block, Model as ModelPort, ModelRequest, Utterance};
use engine::tenancy::TenantCtx;
use engine::ticket::{Lease, Taken, in_time, release, take};
use engine::{Disposition, Engine, RETRY_SOON, artifact, call, slot, spend};

/// What the function needs; it sees no repository.
#[derive(Clone)]
pub struct Model {
    /// The engine's ports.
    pub engine: Engine,
    /// The provider.
    pub model: Arc<dyn ModelPort>,
}

/// Longest a call may take.
const DEADLINE: Duration = Duration::from_mins(4);
/// The lease outlasts the call, so that nobody makes it a second time meanwhile.
const LEASE: Duration = Duration::from_mins(5);

/// Handles one message of the queue.
pub async fn handle(function: &Model, message: &str) -> Disposition {
    let Ok(opened) = function.engine.sealer.open::<ModelMessage>(MODEL, message) else {
        tracing::warn!("a message without a valid seal was dropped");
        return Disposition::Ack;
    };
    let Some(ctx) = opened.tenant else {
        tracing::warn!("a message of no tenant was dropped");
        return Disposition::Ack;
    };
    match wait_or_answer(function, &ctx, (&opened.body, message)).await {
        Ok(disposition) => disposition,
        Err(failure) => {
            tracing::warn!(tenant.id = %ctx.tenant(), ticket.id = %opened.body.ticket, error = %failure, "an answer could not be committed; its message comes again");
            RETRY_SOON
        }
    }
}

async fn wait_or_answer(
    function: &Model,
    ctx: &TenantCtx,
    (message, text): (&ModelMessage, &str),
) -> Result<Disposition, Failure> {
    let engine = &function.engine;
    let (request, attempt) = (message.request.clone(), message.attempt);
    let still = move |ticket: &Ticket| {
        ticket.pending.as_ref().is_some_and(|call| call.request == request && call.attempt == attempt)
    };
    let Some(slot) = slot::take(engine, ctx, &message.ticket, LEASE).await? else {
        return slot::wait(engine, ctx, &message.ticket, (MODEL, text), &still).await;
    };
    let done = answer(function, ctx, message, &still).await;
    slot::free(engine, &slot).await;
    done
}

async fn answer(
    function: &Model,
    ctx: &TenantCtx,
    message: &ModelMessage,
    still: &(dyn Fn(&Ticket) -> bool + Send + Sync),
) -> Result<Disposition, Failure> {
    let engine = &function.engine;
    let lease = match take(engine, ctx, &message.ticket, still, LEASE).await? {
        Taken::Mine(lease) => lease,
        Taken::Past => return Ok(Disposition::Ack),
        Taken::Elsewhere { rest } => {
            return Ok(Disposition::Retry { after: u32::try_from(rest.as_secs()).unwrap_or(0).clamp(1, 270) });
        }
    };
    let outcome = match outcome(function, ctx, message, &lease).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => {
            release(engine, ctx, &lease).await?;
            return Ok(RETRY_SOON);
        }
        Err(failure) => Outcome::Failed { failure },
    };
    if let Outcome::Answered { cost, .. } = &outcome
        && let Err(failure) =
            spend::settle(engine, ctx, &message.ticket, (&message.request, message.attempt), *cost).await
    {
        // The answer is stored: coming again settles it, and asks nobody a second time.
        release(engine, ctx, &lease).await?;
        return Err(failure);
    }
    let input = Input { by: Principal::System, what: Happening::Outcome(outcome) };
    match apply(engine, ctx, &message.ticket, &input, Hold::Release(&lease), &[]).await? {
        Applied::Committed(_) | Applied::Refused(_) | Applied::Duplicate | Applied::Missing => Ok(Disposition::Ack),
        Applied::Fenced => {
            release(engine, ctx, &lease).await?;
            Ok(RETRY_SOON)
        }
    }
}

/// Finds the stored answer or makes the call; either way it is stored before it is used. `None` when there was no time
/// left for a call, so that nothing was done.
async fn outcome(
    function: &Model,
    ctx: &TenantCtx,
    message: &ModelMessage,
    lease: &Lease,
) -> Result<Option<Outcome>, Failure> {
    let engine = &function.engine;
    let (ticket, key) = (&message.ticket, (&message.request, message.attempt));
    let mut request: ModelRequest = artifact::load(engine, ctx, &message.request).await?;
    load_images(engine, ctx, &mut request).await?;
    // As late as possible: who lost the lease during this very call may still store its answer.
    let record = if let Some(record) = call::find(engine, ctx, ticket, key.0, key.1).await? {
        record
    } else {
        let started = engine.clock.now();
        if !in_time(started, lease.until, DEADLINE) {
            return Ok(None);
        }
        let answer = function.model.call(&request, DEADLINE).await?;
        let latency = engine.clock.now().duration_since(started).as_millis();
        let latency = u64::try_from(latency).unwrap_or(0);
        let id = answer.request_id.as_deref().unwrap_or_default();
        // The template makes a metric of the cost in this very line.
        tracing::info!(tenant.id = %ctx.tenant(), ticket.id = %ticket, request_id = id, duration_ms = latency, cost_usd = dollars(answer.cost), "a model answered");
        call::store(engine, ctx, ticket, key, &answer, (lease.ticket.state.stage(), latency)).await?
    };
    Ok(Some(Outcome::Answered {
        request: message.request.clone(),
        answer: record.answer,
        cost: record.cost,
        incomplete: lease.ticket.attempt > 0,
    }))
}

/// Puts the bytes of images into a request; one that is kept no longer stays empty.
async fn load_images(engine: &Engine, ctx: &TenantCtx, request: &mut ModelRequest) -> Result<(), Failure> {
    let blocks = request.messages.iter_mut().flat_map(|message| match message {
        Utterance::User { blocks } => blocks.as_mut_slice(),
        Utterance::Assistant { .. } => &mut [],
    });
    for block in blocks {
        if let Block::Image(image) = block {
            match engine.blobs.load(ctx, &image.hash).await {
                Ok(bytes) => image.bytes = bytes,
                Err(failure) if failure.fault.is_retryable() => return Err(failure),
                Err(failure) => tracing::warn!(error = %failure, "an image is left out"),
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 millionths of a dollar")]
fn dollars(cost: Usd) -> f64 {
    cost.micros() as f64 / 1e6
}
