//! Queues on SQS: standard ones with fair groups; each has one for dead letters beside it.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use domain::error::{Failure, Fault};
use engine::port::{Delivered, Outgoing, Queue};

use crate::access::Access;
use crate::refused::Refused;

/// The queues of one stack.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    prefix: String,
}

/// What follows a queue's name in the name of its dead letters' queue.
const DEAD: &str = "-dead";
/// Most messages of one request.
const MOST: usize = 10;
/// Most bytes of one message, and of one request.
const LARGEST: usize = 1024 * 1024;
/// How long a dead letter stays hidden while its reason is written.
const BURYING: i32 = 60;

/// Whole seconds, rounded up, so that nothing comes early.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX)
}

fn too_large(body: &str) -> Option<Failure> {
    (body.len() > LARGEST).then(|| Failure::new(Fault::Invalid, "a message is larger than a queue takes (1 MiB)"))
}

impl SqsQueue {
    /// Uses the queues whose addresses are this prefix followed by their names.
    pub fn new(access: &Access, prefix: impl Into<String>) -> Self {
        Self { client: Client::new(access.config()), prefix: prefix.into() }
    }

    fn url(&self, queue: &str) -> String {
        format!("{}{queue}", self.prefix)
    }

    async fn take(&self, url: String, max: usize, hidden: i32, wait: i32) -> Result<Vec<Delivered>, Failure> {
        let most = i32::try_from(max.clamp(1, MOST)).unwrap_or(1);
        let request = self.client.receive_message().queue_url(url).max_number_of_messages(most);
        let request = request.visibility_timeout(hidden).wait_time_seconds(wait);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = request.send().await.map_err(|e| Refused::of(&e).repeatable("messages cannot be received"))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(delivered).collect())
    }

    async fn remove(&self, url: String, receipt: &str) -> Result<(), Failure> {
        let request = self.client.delete_message().queue_url(url).receipt_handle(receipt);
        request.send().await.map(|_| ()).or_else(|error| lapsed(Refused::of(&error), "a message cannot be removed"))
    }

    /// Sends at most ten messages of one queue; says for each, by its place, why it was not taken.
    async fn send_some(&self, queue: &str, some: &[(usize, Outgoing)]) -> Result<Vec<(usize, Failure)>, Failure> {
        let mut request = self.client.send_message_batch().queue_url(self.url(queue));
        for (place, message) in some {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(&message.body)
                .message_group_id(&message.group)
                .delay_seconds(seconds(message.delay))
                .build();
            request = request.entries(entry.map_err(|_| Failure::new(Fault::Bug, "a message cannot be put together"))?);
        }
        let answer = request.send().await.map_err(|e| Refused::of(&e).repeatable("messages cannot be sent"))?;
        let refused = answer.failed.into_iter().map(|entry| {
            let fault = if entry.sender_fault { Fault::Bug } else { Fault::Transient };
            (
                entry.id.parse().unwrap_or(usize::MAX),
                Failure::new(fault, format!("a message was refused: {}", entry.code)),
            )
        });
        Ok(refused.collect())
    }
}

fn delivered(message: Message) -> Option<Delivered> {
    let count = message.attributes.as_ref()?.get(&MessageSystemAttributeName::ApproximateReceiveCount)?.parse().ok()?;
    Some(Delivered { receipt: message.receipt_handle?, body: message.body?, receives: count })
}

/// Whose receipt has lapsed has lost the message, which is no error of anybody.
fn lapsed(refused: Refused, what: &str) -> Result<(), Failure> {
    let names = ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"];
    let gone = matches!(&refused, Refused::Answered(answer) if names.iter().any(|name| answer.contains(name)));
    if gone { Ok(()) } else { Err(refused.repeatable(what)) }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, message: Outgoing) -> Result<(), Failure> {
        if let Some(failure) = too_large(&message.body) {
            return Err(failure);
        }
        let request = self.client.send_message().queue_url(self.url(message.queue)).message_body(message.body);
        let request = request.message_group_id(message.group).delay_seconds(seconds(message.delay));
        request.send().await.map(|_| ()).map_err(|error| Refused::of(&error).repeatable("a message cannot be sent"))
    }

    async fn send_batch(&self, messages: Vec<Outgoing>) -> Vec<Result<(), Failure>> {
        let mut outcomes: Vec<Result<(), Failure>> =
            messages.iter().map(|m| too_large(&m.body).map_or(Ok(()), Err)).collect();
        let mut left: Vec<(usize, Outgoing)> =
            messages.into_iter().enumerate().filter(|(_, message)| message.body.len() <= LARGEST).collect();
        while let Some(queue) = left.first().map(|(_, message)| message.queue) {
            let mut room = LARGEST;
            let (mut some, mut rest) = (Vec::new(), Vec::new());
            for (place, message) in left {
                if message.queue == queue && some.len() < MOST && message.body.len() <= room {
                    room -= message.body.len();
                    some.push((place, message));
                } else {
                    rest.push((place, message));
                }
            }
            left = rest;
            let refused = self.send_some(queue, &some).await;
            let refused = refused.unwrap_or_else(|failure| some.iter().map(|(at, _)| (*at, failure.clone())).collect());
            for (place, failure) in refused {
                if let Some(outcome) = outcomes.get_mut(place) {
                    *outcome = Err(failure);
                }
            }
        }
        outcomes
    }

    async fn receive(
        &self,
        queue: &'static str,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivered>, Failure> {
        self.take(self.url(queue), max, seconds(visibility), seconds(wait).min(20)).await
    }

    async fn ack(&self, queue: &'static str, receipt: &str) -> Result<(), Failure> {
        self.remove(self.url(queue), receipt).await
    }

    async fn hide(&self, queue: &'static str, receipt: &str, duration: Duration) -> Result<(), Failure> {
        let request = self.client.change_message_visibility().queue_url(self.url(queue)).receipt_handle(receipt);
        let sent = request.visibility_timeout(seconds(duration)).send().await;
        sent.map(|_| ()).or_else(|error| lapsed(Refused::of(&error), "a message cannot be hidden"))
    }

    async fn receive_dead(&self, queue: &'static str, max: usize) -> Result<Vec<Delivered>, Failure> {
        let mut all = Vec::new();
        while all.len() < max {
            let some = self.take(self.url(queue) + DEAD, max - all.len(), BURYING, 0).await?;
            if some.is_empty() {
                break;
            }
            all.extend(some);
        }
        Ok(all)
    }

    async fn ack_dead(&self, queue: &'static str, receipt: &str) -> Result<(), Failure> {
        self.remove(self.url(queue) + DEAD, receipt).await
    }
}
