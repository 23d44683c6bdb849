//! `serve` under load, killed at every kind of moment and stopped for longer than a lease; looked at from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::ticket::Ticket;
use engine::message::{MODEL, QUEUES};
use rusqlite::{Connection, params};
use serde_json::json;
use testkit::pace::draw;
use tokio::task::JoinSet;

use crate::world::{ENDPOINT, Setup, Signed, World, recorded_for_us};

/// How bad it gets.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    /// How many kills at least.
    pub kills: usize,
    /// How long it lasts at least.
    pub lasts: Duration,
    /// How often the process is stopped and goes on later, spread over that time.
    pub stops: u32,
    /// For how long it is stopped each time.
    pub stopped: Duration,
}

/// How long a process that was stopped goes on before it is killed again.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// What a storm left behind, counted.
#[derive(Debug)]
pub struct Aftermath {
    /// How often the process was killed, and started again.
    pub kills: usize,
    /// How often it was stopped, and went on.
    pub stops: u32,
    /// What was under way when it was killed.
    pub moments: BTreeMap<&'static str, usize>,
    /// Tickets, each of them completed.
    pub tickets: usize,
    /// Model calls.
    pub calls: usize,
    /// Of them made again.
    pub repeated: usize,
    /// How many were under way when the process died or stood still, so that they may have been made again.
    pub may_repeat: u32,
}

const SEED: u64 = 20_261_124;
/// Tickets that are under way at the same time.
const AT_ONCE: usize = 3;
/// What a moment is named when a message was committed and not yet sent.
const RELAY: &str = "relay";

/// Every kind of moment at which a kill can come.
pub fn moments() -> impl Iterator<Item = &'static str> {
    QUEUES.iter().copied().chain([RELAY])
}

/// Where the next kill is aimed, and how long after the aim was met it comes.
struct Killer {
    state: u64,
    outside: Connection,
    moments: BTreeMap<&'static str, usize>,
    repeats_allowed: u32,
    kills: usize,
    waiting_since: Instant,
    storm: Storm,
    began: Instant,
    stops: u32,
}

impl Killer {
    fn new(world: &World, storm: Storm) -> Self {
        let moments = BTreeMap::new();
        Self {
            state: SEED,
            outside: world.outside(),
            moments,
            repeats_allowed: 0,
            kills: 0,
            waiting_since: Instant::now(),
            storm,
            began: Instant::now(),
            stops: 0,
        }
    }

    /// How many messages of a queue are being handled.
    fn in_hand(&self, queue: &str) -> u32 {
        // Hidden for longer than any retry is delayed: somebody has it.
        let after = jiff::Timestamp::now().as_microsecond() + 100_000_000;
        let sql = "SELECT COUNT(*) FROM message WHERE queue = ?1 AND dead = 0 AND receives > 0 AND visible_at > ?2";
        self.outside.query_row(sql, params![queue, after], |row| row.get(0)).unwrap()
    }

    /// Queues whose messages are being handled, and `relay` when one has not left its outbox.
    fn under_way(&self) -> Vec<&'static str> {
        let mut busy: Vec<&str> = QUEUES.iter().copied().filter(|queue| self.in_hand(queue) > 0).collect();
        let sql = "SELECT COUNT(*) FROM item WHERE sk >= 'OUTBOX#' AND sk < 'OUTBOX$'";
        let unsent: i64 = self.outside.query_row(sql, [], |row| row.get(0)).unwrap();
        busy.extend((unsent > 0).then_some(RELAY));
        busy
    }

    /// Says whether a message was in hand at almost as many deaths as it may be: a slow machine gets less done in a life.
    fn is_worn(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE dead = 0 AND crashes >= 7)";
        self.outside.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Says whether every kind of moment was met, and often enough.
    fn is_done(&self) -> bool {
        let all = moments().all(|moment| self.moments.contains_key(moment));
        self.kills >= self.storm.kills
            && self.began.elapsed() >= self.storm.lasts
            && (all || self.kills >= 2 * self.storm.kills)
    }

    /// Stops the process while it works, lets it go on when its leases are over, and leaves it alone for a while.
    async fn stop(&mut self, world: &World) -> bool {
        let due = self.storm.lasts / (self.storm.stops + 1) * (self.stops + 1);
        if self.stops >= self.storm.stops || self.began.elapsed() < due || self.under_way().is_empty() {
            return false;
        }
        let serve = world.serve.as_ref().unwrap();
        self.repeats_allowed += self.in_hand(MODEL);
        serve.signal("STOP");
        tokio::time::sleep(self.storm.stopped).await;
        serve.signal("CONT");
        self.stops += 1;
        tokio::time::sleep(LEFT_ALONE).await;
        self.waiting_since = Instant::now();
        true
    }

    /// Kills and starts again when the moment has come; every third kill takes any moment there is.
    async fn strike(&mut self, world: &mut World) -> bool {
        let missing = moments().find(|moment| self.kills >= self.storm.kills && !self.moments.contains_key(moment));
        let next = moments().nth(self.kills * 2 / 3 % moments().count());
        let aim = missing.or(next.filter(|_| self.kills % 3 != 2));
        let met = aim.is_none_or(|aim| self.under_way().contains(&aim));
        if self.is_done() || self.is_worn() || (!met && self.waiting_since.elapsed() < Duration::from_secs(2)) {
            return false;
        }
        let (delay, next) = draw(self.state, Duration::from_millis(if aim.is_some() { 4 } else { 150 }));
        self.state = next;
        tokio::time::sleep(delay).await;
        world.serve.as_mut().unwrap().kill();
        self.repeats_allowed += self.in_hand(MODEL);
        for moment in self.under_way() {
            *self.moments.entry(moment).or_default() += 1;
        }
        self.kills += 1;
        self.waiting_since = Instant::now();
        world.restart();
        true
    }
}

/// Sends a delivery until somebody takes it, as providers and people do.
async fn insist(address: Arc<Mutex<SocketAddr>>, client: reqwest::Client, signed: Signed) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..6_000 {
        tick.tick().await;
        let at = *address.lock().unwrap();
        let mut request = client.post(format!("http://{at}{}", signed.path)).body(signed.body.clone());
        for (name, value) in &signed.headers {
            request = request.header(*name, value);
        }
        if request.send().await.is_ok_and(|answer| answer.status() == 202) {
            return;
        }
    }
    panic!("a delivery was never taken");
}

/// What the people say next on a ticket, if it is their turn and they have not said it yet.
fn turn_of_people(world: &World, ticket: &Ticket, said: &mut BTreeSet<String>) -> Option<Signed> {
    let revised = ticket.events > 0 && said.contains(&format!("{} fix", ticket.key));
    let (what, command) = match ticket.state.name() {
        "awaiting_answers" => ("skip", "skip".to_owned()),
        "awaiting_refinement_approval" => ("approve", "approve".to_owned()),
        "awaiting_plan_approval" => ("plan", format!("approve {}", ticket.plan()?.hash.short())),
        "awaiting_diff_approval" => ("diff", format!("approve {}", ticket.change_set.as_ref()?.hash.short())),
        "in_review" if !revised => ("fix", "fix Replace `dollars` with `euros` in `README.md`.".to_owned()),
        "in_review" if ticket.pull_request.as_ref()?.head != first_head(said, ticket) => ("merge", String::new()),
        _ => return None,
    };
    if !said.insert(format!("{} {what}", ticket.key)) {
        return None;
    }
    if what == "merge" {
        let mut event = recorded_for_us("pull_request.closed.merged");
        event["pull_request"]["number"] = json!(ticket.pull_request.as_ref()?.number);
        return Some(world.signed_github("pull_request", "d", &event));
    }
    if what == "fix" {
        said.insert(format!("{} head {}", ticket.key, ticket.pull_request.as_ref()?.head));
    }
    let id = format!("{}", 10_000 + said.len());
    let event = world.commented(ticket.key.as_str(), &id, &format!("@prfactory {command}"));
    Some(world.signed_jira(ENDPOINT, &event))
}

fn first_head(said: &BTreeSet<String>, ticket: &Ticket) -> domain::name::CommitSha {
    let start = format!("{} head ", ticket.key);
    let head = said.iter().find_map(|text| text.strip_prefix(&start)).unwrap();
    domain::name::CommitSha::parse(head).unwrap()
}

/// Has people work on tickets while the storm lasts, then looks whether everything happened exactly once.
pub async fn weather(storm: Storm) -> Aftermath {
    let mut world = World::start(Setup { apart: true, http: true, ..Setup::default() }).await;
    world.model.pace().set(SEED, Duration::from_millis(60));
    world.git.as_ref().unwrap().pace().set(SEED + 1, Duration::from_millis(30));
    let mut killer = Killer::new(&world, storm);
    let address = Arc::new(Mutex::new(world.serve.as_ref().unwrap().address));
    let (client, mut posts) = (reqwest::Client::new(), JoinSet::new());
    let (mut said, mut keys) = (BTreeSet::new(), Vec::<String>::new());
    let mut still = Instant::now();
    let mut looked = Instant::now();
    let mut open = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tick.tick().await;
        if killer.stop(&world).await || killer.strike(&mut world).await {
            *address.lock().unwrap() = world.serve.as_ref().unwrap().address;
            still = Instant::now();
        }
        if looked.elapsed() > Duration::from_millis(20) {
            looked = Instant::now();
            open = 0;
            for key in &keys {
                let Some(ticket) = world.ticket(key).await else {
                    open += 1;
                    continue;
                };
                assert!(!["failed", "paused"].contains(&ticket.state.name()), "{key}: {:?}", ticket.state);
                open += usize::from(ticket.state.name() != "completed");
                if let Some(signed) = turn_of_people(&world, &ticket, &mut said) {
                    posts.spawn(insist(Arc::clone(&address), client.clone(), signed));
                    still = Instant::now();
                }
            }
            if !killer.is_done() && open < AT_ONCE {
                let key = format!("SHOP-{}", keys.len() + 1);
                let text = format!("Replace `TAX = 0.2` with `TAX = 0.{}` in `src/price.py`.", keys.len() + 3);
                let signed = world.signed_jira(ENDPOINT, &world.labelled(&key, "Tax", &text));
                posts.spawn(insist(Arc::clone(&address), client.clone(), signed));
                keys.push(key);
                open += 1;
            }
        }
        if killer.is_done() && open == 0 {
            break;
        }
        assert!(still.elapsed() < Duration::from_mins(1), "a ticket is stuck; {} kills", killer.kills);
    }
    while let Some(done) = posts.join_next().await {
        done.unwrap();
    }
    world.drained_of_doubles().await;
    everything_once(&world, &keys).await;
    let bodies: Vec<String> = world.model.requests().iter().map(ToString::to_string).collect();
    let repeated = bodies.len() - bodies.iter().collect::<BTreeSet<_>>().len();
    world.end().await;
    let Killer { kills, stops, moments, repeats_allowed: may_repeat, .. } = killer;
    Aftermath { kills, stops, moments, tickets: keys.len(), calls: bodies.len(), repeated, may_repeat }
}

/// One branch, one pull request with the first commit and the revised one, one comment of each kind.
async fn everything_once(world: &World, keys: &[String]) {
    let mut branches: Vec<String> = world.branches();
    branches.retain(|branch| branch != "main");
    assert_eq!(branches.len(), keys.len());
    world.run_git(&["fsck", "--strict"]);
    let pulls = "SELECT COUNT(*) FROM item WHERE pk LIKE 'T#ten_acme#LOCAL#%' AND sk LIKE 'BRANCH#%'";
    let pulls: i64 = world.outside().query_row(pulls, [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(pulls).unwrap(), keys.len(), "one pull request each");
    for key in keys {
        let ticket = world.ticket(key).await.unwrap();
        let branch = ticket.target().unwrap().branch.to_string();
        assert_eq!(world.run_git(&["rev-list", "--count", &format!("main..{branch}")]), "2", "{key}");
        let mut kinds = BTreeSet::new();
        for comment in world.comments(key).await {
            let marker = comment.rsplit("<!-- prfactory:").next().unwrap().to_owned();
            assert!(kinds.insert(marker.clone()), "{key} has two comments {marker}");
        }
        assert!(kinds.len() >= 4, "{key} says {kinds:?}");
    }
}
