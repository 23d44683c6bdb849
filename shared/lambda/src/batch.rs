//! Messages from SQS: each is parsed, handled and answered for on its own, within the time the function has.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use domain::error::Failure;
use engine::Disposition;
use engine::port::{Clock, Queue};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use tracing::Instrument as _;

use crate::handler::Handler;
use crate::metric;
use crate::stack::Stack;
use crate::start::{StartError, run};

/// What is left of a function's time when it stops working by itself: enough to say which messages come again.
const MARGIN: Duration = Duration::from_secs(10);
/// When a message comes again that ran out of time or whose handling panicked, in seconds.
const SOON: u32 = 5;

/// How the handling of a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Again { after: u32 },
    Late,
    Panicked,
}

/// Runs a function that reads a queue.
pub fn consume<S>(name: &'static str, start: S) -> ExitCode
where
    S: AsyncFnOnce() -> Result<(Stack, Handler<String, Disposition>), StartError>,
{
    run(
        async move {
            let (stack, handle) = start().await?;
            let Stack { engine, queue, keys, .. } = stack;
            let consumer = Consumer { name, queue: Arc::new(queue), clock: engine.clock, handle };
            until_taken_away(name).await;
            let service = service_fn(move |event: LambdaEvent<SqsEvent>| {
                let (consumer, keys) = (consumer.clone(), Arc::clone(&keys));
                async move {
                    keys.follow().await;
                    Ok::<_, lambda_runtime::Error>(consumer.batch(event).await)
                }
            });
            lambda_runtime::run_concurrent(service).await.map_err(|error| StartError::Runtime(error.to_string()))
        },
        true,
    )
}

/// Runs a function that a schedule starts; what it says is counted as a metric by that name.
pub fn each_minute<S>(name: &'static str, start: S) -> ExitCode
where
    S: AsyncFnOnce() -> Result<(Stack, Handler<(), Result<Vec<(&'static str, usize)>, Failure>>), StartError>,
{
    run(
        async move {
            let (stack, handle) = start().await?;
            let (clock, keys) = (stack.engine.clock, stack.keys);
            until_taken_away(name).await;
            let service = service_fn(move |_: LambdaEvent<IgnoredAny>| {
                let (clock, keys, handle) = (Arc::clone(&clock), Arc::clone(&keys), Arc::clone(&handle));
                async move {
                    keys.follow().await;
                    let counts =
                        handle(()).await.map_err(|failure| lambda_runtime::Error::from(failure.to_string()))?;
                    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 of anything")]
                    let counts: Vec<_> =
                        counts.into_iter().map(|(name, count)| (name, "Count", count as f64)).collect();
                    metric::emit(name, clock.now(), &counts);
                    Ok::<_, lambda_runtime::Error>(())
                }
            });
            lambda_runtime::run_concurrent(service).await.map_err(|error| StartError::Runtime(error.to_string()))
        },
        true,
    )
}

/// Listens for the end of this environment. Nothing is in hand then, so that saying so is all there is to do; where
/// the platform has no such news, nothing is said.
async fn until_taken_away(name: &'static str) {
    let hook = move || async move { tracing::info!(function = name, "the environment is taken away") };
    if tokio::spawn(lambda_runtime::spawn_graceful_shutdown_handler(hook)).await.is_err() {
        tracing::warn!(function = name, "the platform does not announce the end of an environment");
    }
}

#[derive(Clone)]
struct Consumer {
    name: &'static str,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    handle: Handler<String, Disposition>,
}

impl Consumer {
    /// Handles a batch; what is not done comes again, each message by itself.
    async fn batch(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        let started = self.clock.now();
        let time = self.time(&event.context);
        let count = event.payload.records.len();
        let ends = join_all(event.payload.records.into_iter().map(|message| self.one(message, time))).await;
        let mut response = SqsBatchResponse::default();
        let mut of = [0.0; 3];
        for (id, end) in ends {
            match end {
                End::Done => continue,
                End::Again { .. } => of[0] += 1.0,
                End::Late => of[1] += 1.0,
                End::Panicked => of[2] += 1.0,
            }
            response.add_failure(id);
        }
        let took = self.clock.now().duration_since(started).as_secs_f64() * 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most ten messages")]
        let count = count as f64;
        metric::emit(
            self.name,
            self.clock.now(),
            &[
                ("Messages", "Count", count),
                ("Again", "Count", of[0]),
                ("Late", "Count", of[1]),
                ("Panics", "Count", of[2]),
                ("Duration", "Milliseconds", took),
            ],
        );
        response
    }

    /// How long the function may still work.
    fn time(&self, context: &Context) -> Duration {
        let now = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        let left = Duration::from_millis(context.deadline.saturating_sub(now));
        left.saturating_sub(MARGIN.min(left / 5))
    }

    async fn one(&self, message: SqsMessage, time: Duration) -> (String, End) {
        let id = message.message_id.unwrap_or_default();
        let receives = message.attributes.get("ApproximateReceiveCount").cloned().unwrap_or_default();
        let span = tracing::info_span!("message", queue = self.name, message.id = %id, receives);
        let (receipt, body) = (message.receipt_handle.unwrap_or_default(), message.body.unwrap_or_default());
        (id, self.handled(receipt, body, time).instrument(span).await)
    }

    async fn handled(&self, receipt: String, body: String, time: Duration) -> End {
        let work = AssertUnwindSafe((self.handle)(body)).catch_unwind();
        let end = match tokio::time::timeout(time, work).await {
            Ok(Ok(Disposition::Ack)) => return End::Done,
            Ok(Ok(Disposition::Retry { after })) => End::Again { after },
            Ok(Err(_)) => End::Panicked,
            Err(_) => End::Late,
        };
        let after = match end {
            End::Again { after } => after,
            End::Late | End::Panicked | End::Done => {
                tracing::error!(end = ?end, "a message could not be handled; it comes again");
                SOON
            }
        };
        if let Err(failure) = self.queue.hide(self.name, &receipt, Duration::from_secs(u64::from(after))).await {
            tracing::warn!(error = %failure, "a message comes again later than it was meant to");
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use clock::SystemClock;
    use engine::port::{Delivered, Outgoing};

    use super::*;
    use crate::handler::handler;

    /// A queue that notes what is hidden for how long.
    #[derive(Default)]
    struct Hides(Mutex<Vec<(String, u64)>>);

    #[async_trait]
    impl Queue for Hides {
        async fn send(&self, _: Outgoing) -> Result<(), Failure> {
            Ok(())
        }
        async fn receive(
            &self,
            _: &'static str,
            _: usize,
            _: Duration,
            _: Duration,
        ) -> Result<Vec<Delivered>, Failure> {
            Ok(Vec::new())
        }
        async fn ack(&self, _: &'static str, _: &str) -> Result<(), Failure> {
            Ok(())
        }
        async fn hide(&self, _: &'static str, receipt: &str, duration: Duration) -> Result<(), Failure> {
            self.0.lock().unwrap().push((receipt.to_owned(), duration.as_secs()));
            Ok(())
        }
        async fn receive_dead(&self, _: &'static str, _: usize) -> Result<Vec<Delivered>, Failure> {
            Ok(Vec::new())
        }
        async fn ack_dead(&self, _: &'static str, _: &str) -> Result<(), Failure> {
            Ok(())
        }
    }

    async fn handle((): (), body: String) -> Disposition {
        match body.as_str() {
            "panic" => panic!("as asked"),
            "hang" => std::future::pending().await,
            "retry" => Disposition::Retry { after: 30 },
            _ => Disposition::Ack,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_bad_message_harms_no_other() {
        let queue = Arc::new(Hides::default());
        let consumer = Consumer {
            name: "plan",
            queue: Arc::clone(&queue) as _,
            clock: Arc::new(SystemClock),
            handle: handler((), handle),
        };
        let message = |body: &str| {
            let mut message = SqsMessage::default();
            message.message_id = Some(format!("id-{body}"));
            message.receipt_handle = Some(format!("receipt-{body}"));
            message.body = Some(body.to_owned());
            message.attributes = HashMap::from([("ApproximateReceiveCount".to_owned(), "1".to_owned())]);
            message
        };
        let mut event = SqsEvent::default();
        event.records = ["good", "panic", "hang", "retry", "fine"].map(message).into();
        let mut context = Context::default();
        context.deadline = u64::try_from(SystemClock.now().as_millisecond()).unwrap() + 60_000;
        let response = consumer.batch(LambdaEvent::new(event, context)).await;
        let failed: Vec<&str> = response.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
        assert_eq!(failed, ["id-panic", "id-hang", "id-retry"]);
        let mut hidden = queue.0.lock().unwrap().clone();
        hidden.sort();
        let expected = [("receipt-hang", 5), ("receipt-panic", 5), ("receipt-retry", 30)];
        assert_eq!(hidden, expected.map(|(receipt, after)| (receipt.to_owned(), after)));
    }
}
