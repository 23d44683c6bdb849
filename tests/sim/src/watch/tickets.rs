//! What the table sees: edges, versions, fences, and who approved what.

use std::collections::BTreeSet;

use domain::hash::ContentHash;
use domain::principal::Role;
use domain::state::State;
use domain::ticket::Ticket;
use engine::key::Key;
use engine::port::Item;
use serde::Deserialize;

use super::{Watch, edges};
use crate::clockwork::TaskId;
use crate::port::held;

impl Watch {
    /// A row was written.
    pub fn wrote(&self, key: &Key, before: Option<&Item>, after: Option<&Item>) {
        self.mixes(key, after);
        if key.sort() == "TICKET" && key.partition().contains("#TICKET#") {
            self.wrote_ticket(before, after);
        } else if key.partition().contains("#SAID#") {
            self.wrote_comment(key, before, after);
        } else if key.sort().starts_with("CALL#") {
            held(&self.seen).answered.entry(key.clone()).or_insert(self.clockwork.now());
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

    pub(super) fn mixes(&self, key: &Key, after: Option<&Item>) {
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        for byte in key.partition().bytes().chain(key.sort().bytes()) {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let version = after.map_or(0, |item| item.version.wrapping_mul(31).wrapping_add(item.fence));
        self.clockwork.mix(sum ^ version);
    }

    pub(super) fn wrote_ticket(&self, before: Option<&Item>, after: Option<&Item>) {
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
        let moved = old.as_ref().is_some_and(|old| old.version != ticket.version);
        self.wrote_lease(&ticket, (before, item), moved, task);
        self.wrote_turn(&ticket, item, moved || old.is_none(), item.fence > fence);
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

    pub(super) fn by_a_stage(&self) -> bool {
        domain::state::Stage::ALL.iter().any(|stage| stage.as_str() == self.clockwork.who().name)
    }

    pub(super) fn wrote_lease(
        &self,
        ticket: &Ticket,
        (before, after): (Option<&Item>, &Item),
        changes: bool,
        task: TaskId,
    ) {
        let fence = before.map_or(0, |before| before.fence);
        let name = self.clockwork.who().name;
        let mut seen = held(&self.seen);
        if after.fence > fence {
            seen.holders.insert(ticket.id.clone(), (after.fence, task));
            seen.leased.insert(ticket.id.clone(), self.clockwork.now());
            return;
        }
        let works = self.by_a_stage() || name == "model";
        let holder = seen.holders.get(&ticket.id).copied();
        drop(seen);
        if changes && works && holder.is_none_or(|(held, by)| by != task || held != after.fence) {
            self.breaks(
                3,
                format!("{}: {name}-{task} committed and {holder:?} holds fence {}", ticket.key, after.fence),
            );
        }
    }

    pub(super) fn moved(&self, old: &Ticket, new: &Ticket) {
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
    pub(super) fn approvers(&self, ticket: &Ticket, hash: &ContentHash, least: Role) -> BTreeSet<String> {
        let seen = held(&self.seen);
        let said = seen.approvals.iter().filter(|said| {
            (&said.tenant, &said.key) == (&ticket.tenant, &ticket.key)
                && said.hash.as_ref().is_some_and(|prefix| hash.matches(prefix))
                && seen.roles.get(&(said.tenant.clone(), said.member.clone())).is_some_and(|role| *role >= least)
        });
        said.map(|said| said.member.clone()).collect()
    }

    pub(super) fn needed(&self, ticket: &Ticket) -> usize {
        let seen = held(&self.seen);
        seen.policies.get(&ticket.tenant).map_or(1, |policy| policy.required_approvals as usize)
    }

    pub(super) fn by_policy(&self, ticket: &Ticket) -> bool {
        held(&self.seen).policies.get(&ticket.tenant).is_some_and(|policy| policy.skip_plan_approval)
    }

    pub(super) fn plan_approved(&self, ticket: &Ticket) {
        let Some(hash) = ticket.approved_plan.clone() else {
            return;
        };
        let by = self.approvers(ticket, &hash, Role::Reader);
        if by.len() < self.needed(ticket) && !self.by_policy(ticket) {
            self.breaks(
                2,
                format!("{}: plan {} counts as approved, and only {by:?} said so", ticket.key, hash.short()),
            );
        }
    }

    /// What is about to be written is approved by people who still may approve.
    pub(super) fn still_allowed(&self, ticket: &Ticket) {
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
            self.breaks(
                2,
                format!("{}: a write is intended, and only {plan:?} and {diff:?} still may approve it", ticket.key),
            );
        }
    }
}
