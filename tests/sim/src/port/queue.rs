//! Queues in memory, as careless as SQS: at least once, in any order, later than asked.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use engine::message::QUEUES;
use engine::port::{Delivered, MAX_RECEIVES, Outgoing, Queue};

use crate::clockwork::{Clockwork, Micros, Op, SECOND, TaskId};
use crate::port::{failure, held};

struct Message {
    id: u64,
    body: String,
    group: String,
    visible: Micros,
    receives: u32,
    receipt: u64,
    dead: bool,
}

#[derive(Default)]
struct Queues {
    next: u64,
    kept: BTreeMap<&'static str, Vec<Message>>,
    bells: BTreeMap<&'static str, TaskId>,
}

/// The queues of one run.
pub struct SimQueue {
    clockwork: Clockwork,
    queues: Mutex<Queues>,
}

/// Turns of groups matter only while there are more messages than hands.
const FAIR: usize = 2;

impl SimQueue {
    /// Empty queues.
    pub fn new(clockwork: Clockwork) -> Self {
        Self { clockwork, queues: Mutex::default() }
    }

    /// Wakes a task whenever there may be a message in a queue.
    pub fn bell(&self, queue: &'static str, task: TaskId) {
        held(&self.queues).bells.insert(queue, task);
    }

    /// Has whoever hands messages out look at a queue again.
    pub fn look(&self, queue: &'static str) {
        self.ring(queue, self.clockwork.now());
    }

    /// How many messages there are, dead ones included.
    pub fn len(&self) -> usize {
        held(&self.queues).kept.values().map(Vec::len).sum()
    }

    /// Says whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says whether there is a dead letter.
    pub fn any_dead(&self) -> bool {
        held(&self.queues).kept.values().flatten().any(|message| message.dead)
    }

    /// What stands in the queues, for a verdict.
    pub fn describe(&self) -> Vec<String> {
        let queues = held(&self.queues);
        let all = queues.kept.iter().flat_map(|(queue, messages)| messages.iter().map(move |m| (queue, m)));
        all.map(|(queue, m)| format!("{queue}: received {} times, dead: {}: {}", m.receives, m.dead, m.body)).collect()
    }

    /// Hands out messages.
    pub fn take(&self, queue: &'static str, max: usize, visibility: Micros) -> Vec<Delivered> {
        let now = self.clockwork.now();
        let twice = |clockwork: &Clockwork| {
            let below = clockwork.below(u64::from(u32::MAX));
            clockwork.faults(|faults| faults.twice(&mut fastrand::Rng::with_seed(below), now))
        };
        let mut queues = held(&self.queues);
        let Some(messages) = queues.kept.get_mut(queue) else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(at) = next(messages, now) else {
                break;
            };
            let Some(message) = messages.get_mut(at) else {
                break;
            };
            if message.receives >= MAX_RECEIVES {
                message.dead = true;
                continue;
            }
            message.receives += 1;
            message.receipt += 1;
            message.visible = now + visibility;
            if message.receives == 1 && twice(&self.clockwork) {
                message.visible = now + self.clockwork.between(1, 3 * SECOND);
            }
            let receipt = format!("{}:{}", message.id, message.receipt);
            taken.push(Delivered { receipt, body: message.body.clone(), receives: message.receives });
        }
        taken
    }

    /// When the next message of a queue is visible.
    pub fn next_visible(&self, queue: &'static str) -> Option<Micros> {
        let queues = held(&self.queues);
        let live = queues.kept.get(queue)?.iter().filter(|message| !message.dead);
        live.map(|message| message.visible).min()
    }

    fn change(
        &self,
        queue: &'static str,
        receipt: &str,
        change: impl FnOnce(&mut Vec<Message>, usize),
    ) -> Result<(), Failure> {
        let foreign = || Failure::new(Fault::Bug, "a receipt of another queue");
        let (id, receipt) = receipt.split_once(':').ok_or_else(foreign)?;
        let (id, receipt): (u64, u64) = (id.parse().map_err(|_| foreign())?, receipt.parse().map_err(|_| foreign())?);
        let mut queues = held(&self.queues);
        let messages = queues.kept.entry(queue).or_default();
        if let Some(at) = messages.iter().position(|m| m.id == id && m.receipt == receipt) {
            change(messages, at);
        }
        Ok(())
    }

    fn ring(&self, queue: &'static str, at: Micros) {
        let bell = held(&self.queues).bells.get(queue).copied();
        if let Some(task) = bell {
            self.clockwork.wake(task, at);
        }
    }
}

/// The next visible message: of the group with the fewest in hand, then the one that waits longest.
fn next(messages: &[Message], now: Micros) -> Option<usize> {
    let visible = |m: &&Message| !m.dead && m.visible <= now;
    if messages.len() <= FAIR {
        let first = messages.iter().enumerate().filter(|(_, m)| visible(m)).min_by_key(|(_, m)| (m.visible, m.id));
        return first.map(|(at, _)| at);
    }
    let mut in_hand: BTreeMap<&str, usize> = BTreeMap::new();
    for message in messages.iter().filter(|m| !m.dead && m.receives > 0 && m.visible > now) {
        *in_hand.entry(&message.group).or_default() += 1;
    }
    let of = |m: &Message| in_hand.get(m.group.as_str()).copied().unwrap_or(0);
    let best = messages.iter().enumerate().filter(|(_, m)| visible(m)).min_by_key(|(_, m)| (of(m), m.visible, m.id));
    best.map(|(at, _)| at)
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX / 4)
}

#[async_trait]
impl Queue for SimQueue {
    async fn send(&self, message: Outgoing) -> Result<(), Failure> {
        if !QUEUES.contains(&message.queue) {
            return Err(Failure::new(Fault::Bug, "no such queue"));
        }
        let queue = message.queue;
        let keep = || {
            let now = self.clockwork.now();
            let late = self.clockwork.faults(|faults| faults.on(now)) && self.clockwork.chance(50);
            let late = if late { self.clockwork.between(0, 20 * SECOND) } else { 0 };
            let visible = now + micros(message.delay) + late;
            let mut queues = held(&self.queues);
            queues.next += 1;
            let id = queues.next;
            let (body, group) = (message.body, message.group);
            let kept = Message { id, body, group, visible, receives: 0, receipt: 0, dead: false };
            queues.kept.entry(queue).or_default().push(kept);
            drop(queues);
            self.ring(queue, visible);
        };
        let kept = self.clockwork.call(Op::write("queue.send"), keep).await;
        kept.map_err(|harm| failure(&self.clockwork, "sending a message", harm, true))
    }

    async fn receive(
        &self,
        queue: &'static str,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivered>, Failure> {
        let end = self.clockwork.now() + micros(wait);
        loop {
            let taken = self.take(queue, max, micros(visibility));
            let now = self.clockwork.now();
            if !taken.is_empty() || now >= end {
                return Ok(taken);
            }
            self.clockwork.sleep(SECOND.min(end - now)).await;
        }
    }

    async fn ack(&self, queue: &'static str, receipt: &str) -> Result<(), Failure> {
        let remove = || self.change(queue, receipt, |messages, at| drop(messages.remove(at)));
        match self.clockwork.call(Op::write("queue.ack"), remove).await {
            Ok(done) => done,
            Err(harm) => Err(failure(&self.clockwork, "acknowledging a message", harm, true)),
        }
    }

    async fn hide(&self, queue: &'static str, receipt: &str, duration: Duration) -> Result<(), Failure> {
        let until = self.clockwork.now() + micros(duration);
        let hide = || {
            self.change(queue, receipt, |messages, at| {
                if let Some(message) = messages.get_mut(at) {
                    message.visible = until;
                }
            })?;
            self.ring(queue, until);
            Ok(())
        };
        match self.clockwork.call(Op::write("queue.hide"), hide).await {
            Ok(done) => done,
            Err(harm) => Err(failure(&self.clockwork, "hiding a message", harm, true)),
        }
    }

    async fn receive_dead(&self, queue: &'static str, max: usize) -> Result<Vec<Delivered>, Failure> {
        let find = || {
            let queues = held(&self.queues);
            let messages = queues.kept.get(queue).map_or(&[][..], Vec::as_slice);
            let dead = messages.iter().filter(|message| message.dead).take(max);
            dead.map(|m| Delivered {
                receipt: format!("{}:{}", m.id, m.receipt),
                body: m.body.clone(),
                receives: m.receives,
            })
            .collect()
        };
        match self.clockwork.call(Op::read("queue.receive_dead"), find).await {
            Ok(found) => Ok(found),
            Err(harm) => Err(failure(&self.clockwork, "receiving dead letters", harm, false)),
        }
    }

    async fn ack_dead(&self, queue: &'static str, receipt: &str) -> Result<(), Failure> {
        self.ack(queue, receipt).await
    }
}
