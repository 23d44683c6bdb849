//! The nine invariants, looked at whenever anything changes.

mod edges;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use domain::artifact::Plan;
use domain::change_set::ChangeSet;
use domain::hash::{ContentHash, HashPrefix};
use domain::id::{TenantId, TicketId};
use domain::money::Usd;
use domain::name::{CommitSha, TrackerKey};
use domain::policy::Policy;
use domain::principal::Role;
use domain::state::State;
use domain::ticket::{Target, Ticket};
use engine::inbound::Batch;
use engine::key::Key;
use engine::port::Item;
use engine::tenancy::TenantCtx;
use serde::Deserialize;

use crate::clockwork::{Clockwork, Micros, TaskId};
use crate::port::{SimBlobs, SimTable, held};

/// Secrets that must never be seen outside.
pub const CANARIES: [&str; 4] =
    ["canary-sealing-key-83b1", "canary-webhook-secret-52f7", "canary-endpoint-master-09ce", "canary-git-token-4f1b0c"];

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
    created: u32,
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

/// A model call under way.
#[derive(Debug, Clone)]
pub struct Calling {
    ticket: Option<TicketId>,
    tenant: Option<TenantId>,
    request: ContentHash,
    attempt: u32,
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
    billed: BTreeMap<TenantId, Usd>,
    dearest: Usd,
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

    // --- invariant 6

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

    // --- invariant 8

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

    // --- what the table sees

    /// A row was written.
    pub fn wrote(&self, key: &Key, before: Option<&Item>, after: Option<&Item>) {
        self.mixes(key, after);
        if key.sort() == "TICKET" && key.partition().contains("#TICKET#") {
            self.wrote_ticket(before, after);
        } else if key.partition().contains("#SAID#") {
            self.wrote_comment(key, before, after);
        } else if key.partition().contains("#SEEN#BODY#") {
            let outcome = after.and_then(|item| item.body.get("outcome")?.as_str());
            if let (Some(tenant), Some(outcome)) = (key.tenant(), outcome) {
                let mut seen = held(&self.seen);
                let deeds = seen.deeds.entry(tenant).or_default();
                deeds.recorded_started += u32::from(outcome == "started");
                deeds.recorded_moved += u32::from(outcome == "acted");
            }
        } else if key.partition().contains("#SEEN#CMD#") {
            let again = {
                let mut seen = held(&self.seen);
                let count = seen.commands.entry(key.clone()).or_default();
                *count += 1;
                *count > 1
            };
            if again {
                self.breaks(5, format!("a command was taken twice: {}", key.partition()));
            }
        } else if let (Some(id), Some(item)) = (key.sort().strip_prefix("MEMBER#"), after)
            && let (Some(tenant), Some(role)) = (key.tenant(), item.body.get("role"))
            && let Ok(role) = serde_json::from_value(role.clone())
        {
            held(&self.seen).roles.insert((tenant, id.to_owned()), role);
        } else if let (Some(id), Some(item)) = (key.partition().strip_prefix("INSTALLATION#"), after)
            && item.body.get("revoked") == Some(&true.into())
        {
            held(&self.seen).revoked.insert(format!("installation:{id}"));
        } else if let ("SETTINGS", Some(item), Some(tenant)) = (key.sort(), after, key.tenant())
            && let Ok(policy) = serde_json::from_value(item.body.clone())
        {
            held(&self.seen).policies.insert(tenant, policy);
        }
    }

    fn mixes(&self, key: &Key, after: Option<&Item>) {
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        for byte in key.partition().bytes().chain(key.sort().bytes()) {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let version = after.map_or(0, |item| item.version.wrapping_mul(31).wrapping_add(item.fence));
        self.clockwork.mix(sum ^ version);
    }

    fn wrote_ticket(&self, before: Option<&Item>, after: Option<&Item>) {
        let Some(item) = after else {
            return self.breaks(3, "a ticket was deleted");
        };
        let Ok(ticket) = Ticket::deserialize(&item.body) else {
            return self.breaks(3, "a ticket cannot be read");
        };
        let task = self.clockwork.current();
        let old = held(&self.seen).tickets.remove(&ticket.id);
        if item.version != before.map_or(1, |before| before.version + 1) {
            self.breaks(3, format!("{}: version {:?} → {}", ticket.key, before.map(|b| b.version), item.version));
        }
        let fence = before.map_or(0, |before| before.fence);
        if item.fence < fence || item.fence > fence + 1 {
            self.breaks(3, format!("{}: fence {fence} → {}", ticket.key, item.fence));
        }
        let changes = old.as_ref().is_some_and(|old| old.version != ticket.version);
        self.wrote_lease(&ticket, (before, item), changes, task);
        if let Some(old) = &old {
            self.moved(old, &ticket);
        }
        let changed = old.as_ref().is_some_and(|old| old.version != ticket.version);
        let by_intake = self.clockwork.who().name == "intake";
        let mut seen = held(&self.seen);
        let deeds = seen.deeds.entry(ticket.tenant.clone()).or_default();
        deeds.started += u32::from(old.is_none());
        deeds.moved += u32::from(changed && by_intake);
        drop(seen);
        if ticket.intent.is_some() && old.as_ref().is_none_or(|old| old.version != ticket.version) {
            let revoked = ticket.connection.as_ref().is_some_and(|c| held(&self.seen).revoked.contains(c));
            let same = |old: &Ticket| (old.run, old.turn, old.attempt) == (ticket.run, ticket.turn, ticket.attempt);
            let fresh = ticket.state == State::Publishing && self.by_a_stage() && old.as_ref().is_some_and(same);
            if fresh && revoked {
                self.breaks(2, format!("{}: an intent was committed after the uninstall", ticket.key));
            }
            if fresh {
                self.still_allowed(&ticket);
                held(&self.seen).intents.insert(ticket.id.clone(), task);
            }
        }
        held(&self.seen).tickets.insert(ticket.id.clone(), ticket);
    }

    fn by_a_stage(&self) -> bool {
        domain::state::Stage::ALL.iter().any(|stage| stage.as_str() == self.clockwork.who().name)
    }

    fn wrote_lease(&self, ticket: &Ticket, (before, after): (Option<&Item>, &Item), changes: bool, task: TaskId) {
        let fence = before.map_or(0, |before| before.fence);
        let name = self.clockwork.who().name;
        let mut seen = held(&self.seen);
        if after.fence > fence {
            seen.holders.insert(ticket.id.clone(), (after.fence, task));
            return;
        }
        let works = self.by_a_stage() || name == "model";
        let holder = seen.holders.get(&ticket.id).copied();
        drop(seen);
        if changes && works && holder.is_none_or(|(held, by)| by != task || held != after.fence) {
            self.breaks(3, format!("{}: {name}-{task} committed and {holder:?} holds fence {}", ticket.key, after.fence));
        }
    }

    fn moved(&self, old: &Ticket, new: &Ticket) {
        if new.version != old.version && new.version != old.version + 1 {
            self.breaks(3, format!("{}: version {} → {}", new.key, old.version, new.version));
        }
        if new.version == old.version && new != old {
            self.breaks(3, format!("{}: changed without a decision", new.key));
        }
        let (from, to) = (old.state.name(), new.state.name());
        if new.version != old.version {
            *held(&self.seen).edges.entry((from, to)).or_default() += 1;
            if from != to || old.run != new.run {
                self.clockwork.tell(|| format!("{} {from} → {to} (run {}, turn {})", new.key, new.run, new.turn));
            }
        }
        if from != to && !edges::allowed(&old.state, &new.state) {
            self.breaks(3, format!("{}: {from} → {to} is no edge", new.key));
        }
        if new.approved_plan.is_some() && new.approved_plan != old.approved_plan {
            self.plan_approved(new);
        }
        if new.approved_diff.is_some() && new.approved_diff != old.approved_diff {
            let hash = new.approved_diff.clone();
            if let Some(hash) = hash
                && self.approvers(new, &hash, Role::Reader).is_empty()
            {
                self.breaks(2, format!("{}: nobody who may approved diff {}", new.key, hash.short()));
            }
        }
    }

    /// Everybody who said that they approve exactly this and has at least that role now.
    fn approvers(&self, ticket: &Ticket, hash: &ContentHash, least: Role) -> BTreeSet<String> {
        let seen = held(&self.seen);
        let said = seen.approvals.iter().filter(|said| {
            (&said.tenant, &said.key) == (&ticket.tenant, &ticket.key)
                && said.hash.as_ref().is_some_and(|prefix| hash.matches(prefix))
                && seen.roles.get(&(said.tenant.clone(), said.member.clone())).is_some_and(|role| *role >= least)
        });
        said.map(|said| said.member.clone()).collect()
    }

    fn needed(&self, ticket: &Ticket) -> usize {
        let seen = held(&self.seen);
        seen.policies.get(&ticket.tenant).map_or(1, |policy| policy.required_approvals as usize)
    }

    fn by_policy(&self, ticket: &Ticket) -> bool {
        held(&self.seen).policies.get(&ticket.tenant).is_some_and(|policy| policy.skip_plan_approval)
    }

    fn plan_approved(&self, ticket: &Ticket) {
        let Some(hash) = ticket.approved_plan.clone() else {
            return;
        };
        let by = self.approvers(ticket, &hash, Role::Reader);
        if by.len() < self.needed(ticket) && !self.by_policy(ticket) {
            self.breaks(2, format!("{}: plan {} counts as approved, and only {by:?} said so", ticket.key, hash.short()));
        }
    }

    /// What is about to be written is approved by people who still may approve.
    fn still_allowed(&self, ticket: &Ticket) {
        let of = |hash: &Option<ContentHash>, least| {
            hash.as_ref().map(|hash| self.approvers(ticket, hash, least)).unwrap_or_default()
        };
        let plan = of(&ticket.approved_plan, Role::Approver);
        let change = ticket.change_set.as_ref().map(|change| change.hash.clone());
        let diff = if change.is_some() && ticket.approved_diff == change {
            of(&ticket.approved_diff, Role::Approver)
        } else {
            BTreeSet::new()
        };
        let needed = self.needed(ticket);
        if plan.len() < needed && diff.len() < needed && !self.by_policy(ticket) {
            self.breaks(2, format!("{}: a write is intended, and only {plan:?} and {diff:?} still may approve it", ticket.key));
        }
    }

    // --- invariants 1 and 2

    fn ticket_of(&self, tenant: &TenantId, target: &Target) -> Option<Ticket> {
        let seen = held(&self.seen);
        let fits = |ticket: &&Ticket| {
            ticket.tenant == *tenant
                && ticket.target().is_some_and(|t| t.repo == target.repo && t.branch == target.branch)
        };
        seen.tickets.values().rev().find(fits).cloned()
    }

    /// A write to a repository or forge starts.
    pub fn write_starts(&self, what: &str, ctx: &TenantCtx, target: &Target) {
        self.acts_for(what, ctx.tenant());
        let Some(ticket) = self.ticket_of(ctx.tenant(), target) else {
            return self.breaks(1, format!("{what} to `{}`, which is no ticket's branch", target.branch));
        };
        if ticket.approved_plan.is_none() {
            self.breaks(2, format!("{}: {what} without an approved plan", ticket.key));
        }
        if ticket.intent.is_none() || held(&self.seen).intents.get(&ticket.id) != Some(&self.clockwork.current()) {
            self.breaks(2, format!("{}: {what} starts without an intent of its own", ticket.key));
        }
        self.not_over(what, &ticket);
    }

    fn not_over(&self, what: &str, ticket: &Ticket) {
        if matches!(ticket.state, State::Cancelled | State::Closed | State::Completed) {
            self.breaks(2, format!("{}: {what} after it was {}", ticket.key, ticket.state.name()));
        }
    }

    /// A branch was moved by us.
    pub fn pushed(&self, ctx: &TenantCtx, target: &Target, sha: &CommitSha, change_set: &ChangeSet) {
        let Some(ticket) = self.ticket_of(ctx.tenant(), target) else {
            return self.breaks(1, format!("a push to `{}`, which is no ticket's branch", target.branch));
        };
        self.clockwork.tell(|| format!("{} pushed {} to {}", ticket.key, sha.short(), target.branch));
        self.not_over("a push", &ticket);
        let hash = change_set.hash();
        if ticket.change_set.as_ref().is_none_or(|change| change.hash != hash) {
            self.breaks(2, format!("{}: what was pushed is not the change the ticket names", ticket.key));
        }
        if ticket.approved_diff.as_ref() == Some(&hash) {
            return;
        }
        let Some(scope) = self.scope(&ticket) else {
            return self.breaks(2, format!("{}: the approved plan cannot be read", ticket.key));
        };
        for path in change_set.files.keys().filter(|path| !scope.contains(path.as_str())) {
            self.breaks(2, format!("{}: `{path}` was pushed, and nobody approved that", ticket.key));
        }
    }

    fn artifact<T: serde::de::DeserializeOwned>(&self, tenant: &TenantId, hash: &ContentHash) -> Option<T> {
        let bytes = self.blobs.get()?.upgrade()?.peek(tenant, hash)?;
        serde_json::from_slice(&bytes).ok()
    }

    fn scope(&self, ticket: &Ticket) -> Option<BTreeSet<String>> {
        let plan: Plan = self.artifact(&ticket.tenant, ticket.approved_plan.as_ref()?)?;
        let mut scope: BTreeSet<String> = plan.body.files.iter().map(|file| file.path.to_string()).collect();
        if let Some(batch) = &ticket.review_batch {
            let batch: Batch = self.artifact(&ticket.tenant, batch)?;
            scope.extend(batch.threads.into_iter().map(|thread| thread.path));
        }
        Some(scope)
    }

    /// A pull request was opened.
    pub fn opened(&self, ctx: &TenantCtx, target: &Target, number: u64, open: usize) {
        let place = (ctx.tenant().clone(), format!("{}:{}", target.repo, target.branch));
        let ticket = self.ticket_of(ctx.tenant(), target);
        let count = {
            let mut seen = held(&self.seen);
            let count = seen.opened.entry(place).or_default();
            *count += 1;
            *count
        };
        self.clockwork.tell(|| format!("pull request #{number} opened for {}", target.branch));
        if open > 1 {
            self.breaks(1, format!("{} has {open} open pull requests", target.branch));
        }
        if count > 1 {
            self.breaks(1, format!("{} was given {count} pull requests", target.branch));
        }
        if let Some(ticket) = ticket {
            self.not_over("a pull request", &ticket);
        }
    }

    // --- invariant 4

    /// A comment is about to be written.
    pub fn comment_starts(&self, tenant: &TenantId, key: &TrackerKey, text: &str) -> Writing {
        let writing = Writing { place: (tenant.clone(), key.clone(), marker(text)) };
        let task = self.clockwork.current();
        let mut seen = held(&self.seen);
        let made = seen.comments.entry(writing.place.clone()).or_default();
        let other = made.writer.replace(task).filter(|other| *other != task && self.clockwork.lives(*other));
        drop(seen);
        if let Some(other) = other {
            self.breaks(4, format!("{} is written by {other} and {task} at once", writing.place.2));
        }
        writing
    }

    /// A comment was written; whether it is needed is known from those before it.
    pub fn comment_made(&self, writing: &Writing) {
        let again = {
            let mut seen = held(&self.seen);
            let made = seen.comments.entry(writing.place.clone()).or_default();
            made.created += 1;
            made.writer = None;
            made.recorded
        };
        if again {
            self.breaks(4, format!("{} is there and was written once more", writing.place.2));
        }
    }

    /// A comment was not written after all, as far as its writer knows.
    pub fn comment_fails(&self, writing: &Writing) {
        if let Some(made) = held(&self.seen).comments.get_mut(&writing.place) {
            made.writer = None;
        }
    }

    fn wrote_comment(&self, key: &Key, before: Option<&Item>, after: Option<&Item>) {
        let id = |item: Option<&Item>| item.and_then(|item| item.body.get("id")?.as_str().map(str::to_owned));
        let shows = |item: Option<&Item>| item.and_then(|item| item.body.get("shows")?.as_str().map(str::to_owned));
        if id(after).is_none() || (id(before) == id(after) && shows(before) == shows(after)) {
            return;
        }
        let place = key.tenant().zip(key.partition().split_once("#SAID#").and_then(|(_, k)| TrackerKey::parse(k).ok()));
        if let Some((tenant, tracker)) = place {
            let mut seen = held(&self.seen);
            let made = seen.comments.entry((tenant, tracker, key.sort().to_owned())).or_default();
            made.recorded = true;
            made.writer = None;
        }
    }

    /// A person deleted or changed a comment, which excuses another.
    pub fn comment_deleted(&self, tenant: &TenantId, key: &TrackerKey, text: &str) {
        let place = (tenant.clone(), key.clone(), marker(text));
        let mut seen = held(&self.seen);
        let made = seen.comments.entry(place).or_default();
        made.recorded = false;
        made.deleted = true;
    }

    /// Says whether a person ever removed such a comment.
    pub fn was_deleted(&self, tenant: &TenantId, key: &TrackerKey, text: &str) -> bool {
        let place = (tenant.clone(), key.clone(), marker(text));
        held(&self.seen).comments.get(&place).is_some_and(|made| made.deleted)
    }

    // --- invariant 7

    /// A model call starts.
    pub fn call_starts(&self, request: &ContentHash) -> Calling {
        let task = self.clockwork.current();
        let tenant = self.clockwork.who().tenant;
        let mine = |ticket: &&Ticket| tenant.as_ref() == Some(&ticket.tenant);
        let waits = |ticket: &&Ticket| ticket.pending.as_ref().is_some_and(|call| call.request == *request);
        let all = held(&self.seen).tickets.clone();
        let held_by_me = |ticket: &&Ticket| held(&self.seen).holders.get(&ticket.id).is_some_and(|(_, by)| *by == task);
        let ticket = all.values().filter(mine).filter(waits).find(held_by_me).or_else(|| all.values().filter(mine).find(waits));
        let attempt = ticket.and_then(|ticket| ticket.pending.as_ref()).map_or(0, |call| call.attempt);
        let calling =
            Calling { ticket: ticket.map(|ticket| ticket.id.clone()), tenant, request: request.clone(), attempt };
        let Some(ticket) = ticket else {
            return calling;
        };
        if let Some(table) = self.table.get().and_then(Weak::upgrade) {
            let answered = format!("CALL#{request}#{attempt:04}");
            if !table.all(|key| key.sort() == answered && key.partition().ends_with(ticket.id.as_str())).is_empty() {
                self.breaks(7, format!("{}: an answered request was asked again", ticket.key));
            }
            let reservation = format!("RESERVATION#{}#{request}#{attempt}", ticket.id);
            let reserved = table.all(|key| key.sort() == reservation);
            let micros = reserved.first().and_then(|item| item.body.get("micros")?.as_i64()).unwrap_or(0);
            if micros <= 0 {
                self.breaks(7, format!("{}: a call starts whose cost was not reserved", ticket.key));
            }
        }
        let limit = ticket.budget.limit;
        if ticket.budget.spent > limit {
            self.breaks(7, format!("{}: a call starts with {} of {limit} spent", ticket.key, ticket.budget.spent));
        }
        let mut seen = held(&self.seen);
        seen.flying.retain(|call| self.clockwork.lives(call.task));
        let twice = seen.flying.iter().any(|f| f.ticket == ticket.id && f.run == ticket.run && f.request == *request && f.attempt == attempt);
        seen.flying.push(Flying { task, ticket: ticket.id.clone(), run: ticket.run, request: request.clone(), attempt });
        drop(seen);
        if twice {
            self.breaks(7, format!("{}: one request is asked twice at once", ticket.key));
        }
        calling
    }

    /// A model call was carried out, or never was.
    pub fn call_ends(&self, call: &Calling, cost: Usd) {
        let task = self.clockwork.current();
        let mut seen = held(&self.seen);
        seen.flying.retain(|flying| flying.task != task);
        let _ = (&call.request, call.attempt, &call.ticket);
        let Some(tenant) = call.tenant.clone() else {
            return;
        };
        seen.dearest = seen.dearest.max(cost);
        *seen.billed.entry(tenant).or_insert(Usd::ZERO) += cost;
    }

    // --- at rest

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

    /// True time, for whoever has only the watch.
    pub fn now(&self) -> Micros {
        self.clockwork.now()
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
