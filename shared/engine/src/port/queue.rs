//! Messages between functions: at least once, in any order.

use async_trait::async_trait;
use domain::error::Failure;
use std::time::Duration;

/// A message on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The queue, named after the function that reads it.
    pub queue: &'static str,
    /// The sealed body.
    pub body: String,
    /// Whose turn it takes: tenant, installation or endpoint.
    pub group: String,
    /// How long it stays invisible first.
    pub delay: Duration,
}

/// A message handed to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// What acknowledges this very receipt.
    pub receipt: String,
    /// The sealed body.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
}

/// How functions reach each other.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Takes a message; once this returns it cannot be lost.
    async fn send(&self, message: Outgoing) -> Result<(), Failure>;

    /// Takes several messages, each with an outcome of its own, in their order.
    async fn send_batch(&self, messages: Vec<Outgoing>) -> Vec<Result<(), Failure>> {
        let mut taken = Vec::with_capacity(messages.len());
        for message in messages {
            taken.push(self.send(message).await);
        }
        taken
    }

    /// Hands out at most `max` messages, hiding each for `visibility`; waits up to `wait` for the first.
    async fn receive(
        &self,
        queue: &'static str,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivered>, Failure>;

    /// Removes a message. A receipt that has lapsed removes nothing.
    async fn ack(&self, queue: &'static str, receipt: &str) -> Result<(), Failure>;

    /// Hides a message for that long from now on.
    async fn hide(&self, queue: &'static str, receipt: &str, duration: Duration) -> Result<(), Failure>;

    /// Hands out messages that were received too often, for the consumer of dead letters.
    async fn receive_dead(&self, queue: &'static str, max: usize) -> Result<Vec<Delivered>, Failure>;

    /// Removes a dead letter whose reason is recorded.
    async fn ack_dead(&self, queue: &'static str, receipt: &str) -> Result<(), Failure>;
}

/// How often a message may be received before it is a dead letter.
pub const MAX_RECEIVES: u32 = 5;
