//! What other people see: branches, pull requests, comments.

use std::collections::BTreeSet;

use domain::artifact::Plan;
use domain::change_set::ChangeSet;
use domain::hash::ContentHash;
use domain::id::TenantId;
use domain::name::{CommitSha, TrackerKey};
use domain::state::State;
use domain::ticket::{Target, Ticket};
use engine::inbound::Batch;
use engine::key::Key;
use engine::port::Item;
use engine::tenancy::TenantCtx;

use super::{Watch, Writing, marker};
use crate::port::held;

impl Watch {
    pub(super) fn ticket_of(&self, tenant: &TenantId, target: &Target) -> Option<Ticket> {
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

    pub(super) fn not_over(&self, what: &str, ticket: &Ticket) {
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

    pub(super) fn artifact<T: serde::de::DeserializeOwned>(&self, tenant: &TenantId, hash: &ContentHash) -> Option<T> {
        let bytes = self.blobs.get()?.upgrade()?.peek(tenant, hash)?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(super) fn scope(&self, ticket: &Ticket) -> Option<BTreeSet<String>> {
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
            made.writer = None;
            // Whoever deletes a comment, at whatever moment, has it written again.
            made.recorded && !made.deleted
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

    pub(super) fn wrote_comment(&self, key: &Key, before: Option<&Item>, after: Option<&Item>) {
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
}
