//! The nine invariants, looked at whenever anything changes.

mod edges;
mod money;
mod outside;
mod tickets;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use domain::hash::{ContentHash, HashPrefix};
use domain::id::{TenantId, TicketId};
use domain::money::Usd;
use domain::name::TrackerKey;
use domain::policy::Policy;
use domain::principal::Role;
use domain::state::State;
use domain::ticket::Ticket;
use engine::key::Key;
use serde_json::json;

use crate::clockwork::{Clockwork, Micros, TaskId};
use crate::port::{SimBlobs, SimTable, held};

/// Secrets that must never be seen outside.
pub const CANARIES: [&str; 3] =
    ["canary-sealing-key-83b1", "canary-webhook-secret-52f7", "canary-endpoint-master-09ce"];

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which of the nine.
    pub invariant: u8,
    /// What was seen.
    pub what: String,
}

/// What is known of one comment.
#[derive(Debug, Default, Clone)]
struct Made {
    /// Whether its writer recorded it, so that nobody has an excuse to make it again.
    recorded: bool,
    /// Who is at it.
    writer: Option<TaskId>,
    deleted: bool,
}

/// A comment under way.
#[derive(Debug, Clone)]
pub struct Writing {
    place: (TenantId, TrackerKey, String),
}

struct Flying {
    task: TaskId,
    ticket: TicketId,
    run: u64,
    request: ContentHash,
    attempt: u32,
}

/// What became of a tenant's deliveries.
#[derive(Debug, Default, Clone, Copy)]
struct Deeds {
    recorded_started: u32,
    started: u32,
    recorded_moved: u32,
    moved: u32,
}

/// What somebody said about an artifact.
#[derive(Debug, Clone)]
struct Approval {
    tenant: TenantId,
    key: TrackerKey,
    member: String,
    hash: Option<HashPrefix>,
}

#[derive(Default)]
struct Seen {
    tickets: BTreeMap<TicketId, Ticket>,
    holders: BTreeMap<TicketId, (u64, TaskId)>,
    /// When a ticket was leased last.
    leased: BTreeMap<TicketId, Micros>,
    /// When each answer was stored.
    answered: BTreeMap<Key, Micros>,
    intents: BTreeMap<TicketId, TaskId>,
    revoked: BTreeSet<String>,
    approvals: Vec<Approval>,
    roles: BTreeMap<(TenantId, String), Role>,
    policies: BTreeMap<TenantId, Policy>,
    comments: BTreeMap<(TenantId, TrackerKey, String), Made>,
    commands: BTreeMap<Key, u32>,
    /// What the ledger says was done with deliveries, and what was done.
    deeds: BTreeMap<TenantId, Deeds>,
    opened: BTreeMap<(TenantId, String), u32>,
    flying: Vec<Flying>,
    dearest: Usd,
    turns: turns::Turns,
    edges: BTreeMap<(&'static str, &'static str), u64>,
    broken: Option<Violation>,
}

/// The watch of one run.
pub struct Watch {
    clockwork: Clockwork,
    seen: Mutex<Seen>,
    table: OnceLock<Weak<SimTable>>,
    blobs: OnceLock<Weak<SimBlobs>>,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(clockwork: Clockwork) -> Self {
        Self { clockwork, seen: Mutex::default(), table: OnceLock::new(), blobs: OnceLock::new() }
    }

    /// Tells the watch where state is, once that exists.
    pub fn looks_at(&self, table: &Arc<SimTable>, blobs: &Arc<SimBlobs>) {
        let _ = self.table.set(Arc::downgrade(table));
        let _ = self.blobs.set(Arc::downgrade(blobs));
    }

    /// The first promise that was broken.
    pub fn broken(&self) -> Option<Violation> {
        held(&self.seen).broken.clone()
    }

    /// How often each edge of the machine was taken.
    pub fn edges(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        held(&self.seen).edges.clone()
    }

    /// Says whether a function works, or should work, on any ticket.
    pub fn any_running(&self) -> bool {
        held(&self.seen).tickets.values().any(running)
    }

    /// Every ticket as committed last.
    pub fn tickets(&self) -> Vec<Ticket> {
        held(&self.seen).tickets.values().cloned().collect()
    }

    /// Notes that a promise was broken.
    pub fn breaks(&self, invariant: u8, what: impl Into<String>) {
        let what = what.into();
        self.clockwork.tell(|| format!("BROKEN {invariant}: {what}"));
        let mut seen = held(&self.seen);
        seen.broken.get_or_insert(Violation { invariant, what });
    }

    /// A person said that they approve; what is approved must be explained by this.
    pub fn approves(&self, tenant: &TenantId, key: &TrackerKey, member: &str, hash: Option<HashPrefix>) {
        let said = Approval { tenant: tenant.clone(), key: key.clone(), member: member.to_owned(), hash };
        held(&self.seen).approvals.push(said);
    }

    /// Something is done for a tenant: it must be the one the task acts for.
    pub fn acts_for(&self, what: &str, tenant: &TenantId) {
        if let Some(acting) = self.clockwork.who().tenant
            && acting != *tenant
        {
            self.breaks(6, format!("{what} of {tenant} was touched for {acting}"));
        }
    }

    /// A row is read or written.
    pub fn touches(&self, key: &Key) {
        if let Some(tenant) = key.tenant() {
            self.acts_for("a row", &tenant);
        } else if !["INSTALLATION#", "ENDPOINT#", "IDENTITY#"].iter().any(|p| key.partition().starts_with(p)) {
            self.breaks(6, format!("{key:?} belongs to nobody"));
        }
    }

    /// Something can be read by people or by the model.
    pub fn shows(&self, what: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        if !text.contains("canary-") {
            return;
        }
        for canary in CANARIES {
            if text.contains(canary) {
                self.breaks(8, format!("{what} shows {canary}"));
            }
        }
    }

    /// Every ticket in review is found by its repository, and no other.
    pub fn finds(&self, table: &SimTable) {
        let found = table.all(|key| key.partition().contains("#OPEN#"));
        let found: BTreeMap<_, _> = found.into_iter().map(|item| (item.key, item.body)).collect();
        let tickets = self.tickets();
        let there = tickets.iter().filter(|ticket| ticket.state == State::InReview);
        let there = there.filter_map(|ticket| Some((ticket, ticket.target()?, ticket.pull_request.as_ref()?)));
        let there = there.map(|(ticket, target, pull)| {
            let partition = format!("T#{}#OPEN#{}", ticket.tenant, target.repo);
            let (branch, base) = (&target.branch, &target.base);
            let body = json!({ "ticket": ticket.id, "branch": branch, "base": base, "head": pull.head });
            (Key::stored(partition, ticket.id.to_string()), body)
        });
        let there: BTreeMap<_, _> = there.collect();
        if found != there {
            self.breaks(3, format!("{found:?} are found in review, and {there:?} are"));
        }
    }

    /// What must hold once nothing moves any more.
    pub fn rests(&self, table: &SimTable) {
        for ticket in self.tickets() {
            if running(&ticket) {
                self.breaks(9, format!("{} is still {}", ticket.key, ticket.state.name()));
            }
            let (spent, limit) = (ticket.budget.spent, ticket.budget.limit);
            let dearest = held(&self.seen).dearest;
            if spent > limit + dearest {
                self.breaks(7, format!("{} spent {spent} of {limit}", ticket.key));
            }
        }
        self.finds(table);
        let all_deeds = held(&self.seen).deeds.clone();
        for (tenant, deeds) in all_deeds {
            if deeds.recorded_started > deeds.started || deeds.recorded_moved > deeds.moved {
                self.breaks(5, format!("{tenant}: a delivery counts as done, and nothing was done: {deeds:?}"));
            }
        }
        for item in table.all(|key| key.sort().starts_with("OUTBOX#")) {
            self.breaks(5, format!("an outbox row never left: {}", item.key.sort()));
        }
        for item in table.all(|key| key.sort().starts_with("MONTH#")) {
            let Some(tenant) = item.key.tenant() else { continue };
            let spent = Usd::from_micros(item.body.get("micros").and_then(serde_json::Value::as_i64).unwrap_or(0));
            let seen = held(&self.seen);
            let limit = seen.policies.get(&tenant).map_or(Usd::from_dollars(200), |policy| policy.monthly_budget_usd);
            let dearest = seen.dearest;
            drop(seen);
            if spent > limit + dearest {
                self.breaks(7, format!("{tenant} spent {spent} of {limit} this month"));
            }
        }
    }
}

/// Says whether a function works, or should work, on a ticket.
fn running(ticket: &Ticket) -> bool {
    ticket.state.stage().is_some() || matches!(ticket.state, State::Cancelling { .. })
}

/// The kind a comment of ours carries.
pub fn marker(text: &str) -> String {
    text.rsplit_once("<!-- prfactory:").and_then(|(_, rest)| rest.split(" -->").next()).unwrap_or("").to_owned()
}
