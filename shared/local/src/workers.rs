//! Workers: each takes a message, hands it to the function of its queue, and acknowledges what was done.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use engine::Disposition;
use engine::port::{Delivered, Queue};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::takeover::Takeover;

/// What handles the messages of a queue.
pub type Handler = Arc<dyn Fn(Delivered) -> Pin<Box<dyn Future<Output = Disposition> + Send>> + Send + Sync>;

/// The workers of one process.
pub struct Workers {
    _takeover: Takeover,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// How long a message stays hidden while it is handled: longer than the lease of a turn. A model call may outlast
/// it; then the lease keeps a second worker off.
const VISIBILITY: Duration = Duration::from_mins(3);
/// How long a worker waits for a message before it looks whether it should stop.
const WAIT: Duration = Duration::from_secs(1);

impl Workers {
    /// Starts none yet.
    pub fn new(takeover: Takeover) -> Self {
        Self { _takeover: takeover, tasks: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// Starts workers for one queue.
    pub fn add(&mut self, queue: &Arc<dyn Queue>, name: &'static str, count: usize, handler: &Handler) {
        for _ in 0..count {
            let (queue, handler, stop) = (Arc::clone(queue), Arc::clone(handler), self.stop.subscribe());
            self.tasks.spawn(work(queue, name, handler, stop));
        }
    }

    /// Starts something that is done again and again.
    pub fn every(
        &mut self,
        pause: Duration,
        again: impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
    ) {
        let mut stop = self.stop.subscribe();
        self.tasks.spawn(async move {
            while !*stop.borrow() {
                again().await;
                // Either the pause is over or the stop was rung.
                let _ = tokio::time::timeout(pause, stop.changed()).await;
            }
        });
    }

    /// Lets every worker finish the message it has and waits for all.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn work(queue: Arc<dyn Queue>, name: &'static str, handler: Handler, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let received = match queue.receive(name, 1, VISIBILITY, WAIT).await {
            Ok(received) => received,
            Err(failure) => {
                tracing::error!(queue = name, error = %failure, "messages cannot be received");
                tokio::time::sleep(WAIT).await;
                continue;
            }
        };
        for message in received {
            let receipt = message.receipt.clone();
            let result = tokio::spawn(handler(message)).await;
            let done = match result {
                Ok(Disposition::Ack) => queue.ack(name, &receipt).await,
                Ok(Disposition::Retry { after }) => {
                    queue.hide(name, &receipt, Duration::from_secs(u64::from(after))).await
                }
                Err(panicked) => {
                    tracing::error!(queue = name, panicked = panicked.is_panic(), "a message could not be handled");
                    queue.hide(name, &receipt, WAIT).await
                }
            };
            if let Err(failure) = done {
                tracing::warn!(queue = name, error = %failure, "a message could not be acknowledged; it comes again");
            }
        }
    }
}
