//! People who answer and approve whatever waits, as fast as the machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Timestamp;
use domain::ticket::Ticket;
use engine::key::Key;
use engine::port::{Clock as _, Index};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::world::World;

/// The people of one world and the deliveries they have under way.
pub struct People {
    world: Arc<World>,
    gate: Arc<Semaphore>,
    posts: JoinSet<Duration>,
    acks: Vec<Duration>,
    said: BTreeSet<(String, String)>,
    done: BTreeSet<String>,
    since: Timestamp,
    moved: Instant,
}

/// Deliveries that are under way at the same time.
const AT_ONCE: usize = 16;
/// How often the people look for what waits for them.
const LOOK: Duration = Duration::from_millis(50);
/// Longest that nothing may move.
const PATIENCE: Duration = Duration::from_mins(1);

impl People {
    /// People who have said nothing yet.
    pub fn new(world: &Arc<World>) -> Self {
        Self {
            world: Arc::clone(world),
            gate: Arc::new(Semaphore::new(AT_ONCE)),
            posts: JoinSet::new(),
            acks: Vec::new(),
            said: BTreeSet::new(),
            done: BTreeSet::new(),
            since: world.clock.now(),
            moved: Instant::now(),
        }
    }

    /// Sends a delivery in the background and measures how long its acknowledgement takes.
    pub fn post(&mut self, event: Value) {
        let (world, gate) = (Arc::clone(&self.world), Arc::clone(&self.gate));
        self.moved = Instant::now();
        self.posts.spawn(async move {
            let _permit = gate.acquire_owned().await.unwrap();
            let sent = Instant::now();
            assert_eq!(world.jira(&event).await, 202);
            sent.elapsed()
        });
    }

    /// How many tickets have their pull request.
    pub fn done(&self) -> usize {
        self.done.len()
    }

    /// Waits for what is under way and hands out how long each acknowledgement took, shortest first.
    pub async fn acks(&mut self) -> Vec<Duration> {
        while let Some(ack) = self.posts.join_next().await {
            self.acks.push(ack.unwrap());
        }
        let mut acks = std::mem::take(&mut self.acks);
        acks.sort_unstable();
        acks
    }

    /// Looks at what changed and says what there is to say; merges nothing.
    pub async fn look(&mut self) {
        let client = self.world.client("ada");
        let partition = Key::partition_of(client.ctx(), "TICKETS");
        // Two seconds of overlap, because tickets are not committed in the order of their times.
        let from = (self.since - Duration::from_secs(2)).to_string();
        self.since = self.world.clock.now();
        let table = &self.world.system.engine.table;
        let page = table.query(Index::Listing, &partition, "", 10_000, Some(&from)).await.unwrap();
        for item in page.items {
            self.consider(&serde_json::from_value(item.body).unwrap());
        }
        while let Some(ack) = self.posts.try_join_next() {
            self.acks.push(ack.unwrap());
        }
    }

    /// Looks until so many tickets have their pull request; fails when nothing moves for a minute.
    pub async fn until(&mut self, tickets: usize) {
        let mut tick = tokio::time::interval(LOOK);
        while self.done.len() < tickets {
            tick.tick().await;
            self.look().await;
            assert!(self.moved.elapsed() < PATIENCE, "nothing moved for a minute; {} are done", self.done.len());
        }
    }

    fn consider(&mut self, ticket: &Ticket) {
        let command = match ticket.state.name() {
            "awaiting_answers" => "skip".to_owned(),
            "awaiting_refinement_approval" => "approve".to_owned(),
            "awaiting_plan_approval" => format!("approve {}", ticket.plan().unwrap().hash.short()),
            "in_review" => {
                self.moved = Instant::now();
                self.done.insert(ticket.key.to_string());
                return;
            }
            "failed" => panic!("{} failed: {:?}", ticket.key, ticket.state),
            _ => return,
        };
        if self.said.insert((ticket.key.to_string(), command.clone())) {
            let id = format!("{}", 10_000 + self.said.len());
            self.post(self.world.commented(ticket.key.as_str(), &id, &format!("@prfactory {command}")));
        }
    }
}
