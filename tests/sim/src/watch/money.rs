//! Model calls: reserved before, made once, paid for.

use std::sync::Weak;

use domain::hash::ContentHash;
use domain::money::Usd;
use domain::ticket::Ticket;
use engine::key::Key;

use super::{Flying, Watch};
use crate::port::held;

impl Watch {
    /// A model call starts.
    pub fn call_starts(&self, request: &ContentHash) {
        let task = self.clockwork.current();
        let tenant = self.clockwork.who().tenant;
        let mine = |ticket: &&Ticket| tenant.as_ref() == Some(&ticket.tenant);
        let waits = |ticket: &&Ticket| ticket.pending.as_ref().is_some_and(|call| call.request == *request);
        let all = held(&self.seen).tickets.clone();
        let held_by_me = |ticket: &&Ticket| held(&self.seen).holders.get(&ticket.id).is_some_and(|(_, by)| *by == task);
        let ticket =
            all.values().filter(mine).filter(waits).find(held_by_me).or_else(|| all.values().filter(mine).find(waits));
        let attempt = ticket.and_then(|ticket| ticket.pending.as_ref()).map_or(0, |call| call.attempt);
        let Some(ticket) = ticket else {
            return;
        };
        if let Some(table) = self.table.get().and_then(Weak::upgrade) {
            // Who lost the lease during a call may store its answer late; whoever asks again by then could not know.
            let answered = format!("CALL#{request}#{attempt:04}");
            let seen = held(&self.seen);
            let at =
                seen.answered.get(&Key::stored(format!("T#{}#TICKET#{}", ticket.tenant, ticket.id), answered)).copied();
            let leased = seen.leased.get(&ticket.id).copied().unwrap_or(0);
            drop(seen);
            if at.is_some_and(|at| at <= leased) {
                self.breaks(7, format!("{}: an answered request was asked again", ticket.key));
            }
            let reservation = format!("RESERVATION#{}#{request}#{attempt}", ticket.id);
            let reserved = table.peek(&Key::stored(format!("T#{}#RESERVATIONS", ticket.tenant), reservation));
            let micros = reserved.and_then(|item| item.body.get("micros")?.as_i64()).unwrap_or(0);
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
        let twice = seen
            .flying
            .iter()
            .any(|f| f.ticket == ticket.id && f.run == ticket.run && f.request == *request && f.attempt == attempt);
        seen.flying.push(Flying {
            task,
            ticket: ticket.id.clone(),
            run: ticket.run,
            request: request.clone(),
            attempt,
        });
        drop(seen);
        if twice {
            self.breaks(7, format!("{}: one request is asked twice at once", ticket.key));
        }
    }

    /// A model call was carried out, or never was.
    pub fn call_ends(&self, cost: Usd) {
        let task = self.clockwork.current();
        let mut seen = held(&self.seen);
        seen.flying.retain(|flying| flying.task != task);
        seen.dearest = seen.dearest.max(cost);
    }
}
