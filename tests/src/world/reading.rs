//! What people and outsiders see of a world, and waiting until they do.

use std::time::Duration;

use domain::name::TrackerKey;
use domain::ticket::Ticket;
use engine::key::{Key, TicketPartition};
use engine::port::{Clock as _, Index, Place};
use intake::Answer;
use rusqlite::{Connection, Row};

use super::World;

/// How long one looks again before one looks once more.
const LOOK: Duration = Duration::from_millis(20);
/// Half a minute of looks: in less time than it takes to sweep, so that nothing is made up for unseen.
const LOOKS: usize = 1_500;

/// How many messages each queue holds, dead or not, how often one was received at most, and when the last is visible.
pub fn left(outside: &Connection) -> Vec<(String, bool, i64, i64, String)> {
    let sql = "SELECT queue, dead, COUNT(*), MAX(receives), datetime(MAX(visible_at) / 1000000, 'unixepoch')
               FROM message GROUP BY queue, dead";
    let mut asked = outside.prepare(sql).unwrap();
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    asked.query_map([], row).unwrap().map(Result::unwrap).collect()
}

impl World {
    /// The latest workflow of a ticket.
    pub async fn ticket(&self, key: &str) -> Option<Ticket> {
        self.client("ada").find(&TrackerKey::parse(key).unwrap()).await.unwrap()
    }

    /// What was said on a ticket.
    pub async fn comments(&self, key: &str) -> Vec<String> {
        let client = self.client("ada");
        let key = TrackerKey::parse(key).unwrap();
        let all = self.system.tracker.comments(client.ctx(), &Place::Ticket(key.clone())).await.unwrap();
        all.into_iter().map(|posted| posted.text).collect()
    }

    /// What happened to a ticket, in sentences.
    pub async fn history(&self, key: &str) -> Vec<String> {
        let ticket = self.ticket(key).await.unwrap();
        let client = self.client("ada");
        let partition = Key::partition_of(client.ctx(), TicketPartition::of(&ticket.id).as_str());
        let table = &self.system.engine.table;
        let page = table.query(Index::Primary, &partition, "EVENT#", 1_000, None).await.unwrap();
        page.items.iter().map(|item| item.body["what"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until something is there, at most half a minute.
    pub async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl Fn() -> F) -> T {
        let mut tick = tokio::time::interval(LOOK);
        for waited in 1..=LOOKS {
            tick.tick().await;
            self.pass(waited);
            if let Some(found) = look().await {
                return found;
            }
        }
        panic!("waited in vain for {what}");
    }

    /// Lets time pass that nobody has to wait for: what GitHub allows is counted by the minute.
    fn pass(&self, waited: usize) {
        if self.github.is_some() && waited.is_multiple_of(100) {
            self.clock.forward(20);
        }
    }

    /// The state file, opened as a stranger to the system would.
    pub fn outside(&self) -> Connection {
        let outside = Connection::open(self.dir.path().join("data/state.db")).unwrap();
        outside.busy_timeout(Duration::from_secs(10)).unwrap();
        outside
    }

    /// Waits until there is neither a message nor an outbox row, and fails on dead letters.
    pub async fn drained(&self) {
        self.drained_within(LOOKS).await;
    }

    /// The same where processes were killed: a double of what somebody had in hand may be hidden for almost five minutes.
    pub async fn drained_of_doubles(&self) {
        self.drained_within(10 * LOOKS).await;
    }

    async fn drained_within(&self, looks: usize) {
        let outside = self.outside();
        let count = |sql: &str| outside.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let mut tick = tokio::time::interval(LOOK);
        for waited in 1..=looks {
            tick.tick().await;
            self.pass(waited);
            let dead = "SELECT group_concat(queue) FROM message WHERE dead = 1";
            let dead = outside.query_row(dead, [], |row| row.get::<_, Option<String>>(0)).unwrap();
            assert_eq!(dead, None, "dead letters");
            let unsent = count("SELECT COUNT(*) FROM item WHERE sk >= 'OUTBOX#' AND sk < 'OUTBOX$'");
            if unsent + count("SELECT COUNT(*) FROM message") == 0 {
                return;
            }
        }
        panic!("the queues never became empty: {:?} at {}", left(&outside), self.clock.now());
    }

    /// Waits until a ticket is in a state.
    pub async fn reaches(&self, key: &str, state: &str) -> Ticket {
        let mut tick = tokio::time::interval(LOOK);
        for waited in 1..=LOOKS {
            tick.tick().await;
            self.pass(waited);
            if let Some(ticket) = self.ticket(key).await {
                if ticket.state.name() == state {
                    return ticket;
                }
                let failed = ticket.state.name() == "failed";
                assert!(!failed || state == "failed", "{key} failed on its way to {state}: {:?}", ticket.state);
            }
        }
        panic!("{key} never reached {state}; it is {:?}", self.ticket(key).await.map(|ticket| ticket.state));
    }

    /// Waits until a comment holds a text.
    pub async fn hears(&self, key: &str, text: &str) -> String {
        let heard = || async { self.comments(key).await.into_iter().find(|comment| comment.contains(text)) };
        self.until(&format!("{text:?} on {key}"), heard).await
    }

    /// Starts a ticket by a delivery and takes it to the plan that waits.
    pub async fn planned(&self, key: &str, title: &str, body: &str) -> Ticket {
        assert_eq!(self.jira(&self.labelled(key, title, body)).await, 202);
        self.to_plan(key).await
    }

    /// Takes a started ticket to the plan that waits.
    pub async fn to_plan(&self, key: &str) -> Ticket {
        let states = ["awaiting_answers", "awaiting_refinement_approval", "awaiting_plan_approval"];
        loop {
            let looks = || async {
                let ticket = self.ticket(key).await?;
                assert_ne!(ticket.state.name(), "failed", "{:?}", ticket.state);
                states.contains(&ticket.state.name()).then_some(ticket)
            };
            let ticket = self.until(&format!("{key} to wait"), looks).await;
            match ticket.state.name() {
                "awaiting_answers" => self.say("ada", key, "skip").await,
                "awaiting_refinement_approval" => self.say("apo", key, "approve").await,
                _ => return ticket,
            };
        }
    }

    /// Approves the plan that waits.
    pub async fn approve(&self, member: &str, key: &str) -> Answer {
        let ticket = self.ticket(key).await.unwrap();
        let hash = ticket.awaiting().unwrap().hash.short().to_owned();
        self.say(member, key, &format!("approve {hash}")).await
    }
}
