//! How long tickets wait for their turns, and how many of one tenant have theirs at once.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{TenantId, TicketId};
use domain::ticket::Ticket;
use engine::port::Item;

use super::{Watch, running};
use crate::clockwork::Micros;
use crate::port::held;

/// What is known of turns; calls of the model are turns too.
#[derive(Default)]
pub(super) struct Turns {
    ready: BTreeMap<TicketId, Micros>,
    waits: BTreeMap<TenantId, Vec<Micros>>,
    leased: BTreeMap<TenantId, BTreeSet<TicketId>>,
    most: BTreeMap<TenantId, usize>,
}

impl Watch {
    /// A ticket's row was written: because of a decision, or to take a lease, or to give it up.
    pub(super) fn wrote_turn(&self, ticket: &Ticket, item: &Item, decided: bool, taken: bool) {
        let now = self.clockwork.now();
        let mut seen = held(&self.seen);
        let turns = &mut seen.turns;
        if taken && let Some(ready) = turns.ready.remove(&ticket.id) {
            turns.waits.entry(ticket.tenant.clone()).or_default().push(now - ready);
        }
        if decided {
            turns.ready.remove(&ticket.id);
            if running(ticket) {
                let not_before = ticket.not_before.map_or(now, domain::Timestamp::as_microsecond);
                turns.ready.insert(ticket.id.clone(), not_before.max(now));
            }
        }
        let leased = turns.leased.entry(ticket.tenant.clone()).or_default();
        if item.lease_until.is_some_and(|until| until.as_microsecond() > now) {
            leased.insert(ticket.id.clone());
        } else {
            leased.remove(&ticket.id);
        }
        let most = turns.most.entry(ticket.tenant.clone()).or_default();
        *most = leased.len().max(*most);
    }

    /// From the moment a turn could start until it did, for every turn of each tenant.
    pub fn waits(&self) -> BTreeMap<TenantId, Vec<Micros>> {
        held(&self.seen).turns.waits.clone()
    }

    /// Most tickets of each tenant that were leased at once.
    pub fn most(&self) -> BTreeMap<TenantId, usize> {
        held(&self.seen).turns.most.clone()
    }
}
