//! People: they answer, decide, change their minds, lose their roles, and meddle with branches and comments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::error::Fault;
use domain::hash::{ContentHash, HashPrefix};
use domain::id::MemberId;
use domain::path::RepoPath;
use domain::principal::Role;
use domain::state::{PauseReason, State};
use domain::ticket::Ticket;
use engine::directory::{self, MemberRow};
use engine::inbound::Thread;
use engine::port::PullRequestState;

use crate::clockwork::{MINUTE, SECOND, Who};
use crate::provider::{Post, checks_failed, closed, commented, labelled, reviewed, send, uninstalled};
use crate::scene::{Errand, Firm, PEOPLE, Person, REPO, Scene};
use crate::world::World;

/// Everybody who does something to a world.
pub struct People {
    world: Arc<World>,
    post: Arc<Post>,
    comments: AtomicU64,
}

impl People {
    /// Nobody has said anything yet.
    pub fn new(world: Arc<World>, post: Arc<Post>) -> Arc<Self> {
        Arc::new(Self { world, post, comments: AtomicU64::new(1_000) })
    }

    /// The latest workflow of a ticket.
    pub fn ticket(&self, errand: &Errand) -> Option<Ticket> {
        let mine = |ticket: &Ticket| ticket.tenant == errand.firm.id && ticket.key == errand.key;
        self.world.watch.tickets().into_iter().rev().find(mine)
    }

    /// Somebody writes a comment.
    pub fn say(&self, errand: &Errand, by: &Person, text: &str) {
        let id = self.comments.fetch_add(2, Ordering::Relaxed);
        if let Some(rest) = text.strip_prefix("@prfactory approve") {
            let hash = rest.split_whitespace().next().and_then(HashPrefix::parse);
            self.world.watch.approves(&errand.firm.id, &errand.key, by.id, hash);
        }
        self.world.clockwork.tell(|| format!("{} says on {}: {text}", by.id, errand.key));
        send(&self.world, &self.post, &errand.firm, &commented(&self.world, errand, by, id, text));
    }

    /// Somebody sets or removes the label.
    pub fn label(&self, errand: &Errand, by: &Person, set: bool) {
        self.world
            .clockwork
            .tell(|| format!("{} {} the label on {}", by.id, if set { "sets" } else { "removes" }, errand.key));
        send(&self.world, &self.post, &errand.firm, &labelled(&self.world, errand, by, set));
    }

    fn person(&self) -> Person {
        self.world.clockwork.one_of(&PEOPLE).copied().unwrap_or(PEOPLE[0])
    }

    fn chance(&self, thousandth: u32) -> bool {
        self.world.clockwork.chance(thousandth)
    }

    /// People work on a ticket, well or badly, until a time.
    pub async fn live(self: Arc<Self>, errand: Errand, scene: Scene, until: i64) {
        self.label(&errand, &PEOPLE[usize::from(self.chance(300)) * 3], true);
        loop {
            let pause = self.world.clockwork.between(10 * SECOND, 5 * MINUTE);
            self.world.clockwork.sleep(pause).await;
            if self.world.clockwork.now() >= until {
                return;
            }
            let ticket = self.ticket(&errand);
            if self.chance(scene.wild) {
                self.wild(&errand, ticket.as_ref());
            } else {
                self.reasonable(&errand, ticket.as_ref(), false);
            }
        }
    }

    /// What somebody does who wants the ticket done; says whether there was anything to do.
    pub fn reasonable(&self, errand: &Errand, ticket: Option<&Ticket>, tidy: bool) -> bool {
        let (ada, apo, bea, wil) = (PEOPLE[0], PEOPLE[1], PEOPLE[2], PEOPLE[3]);
        let Some(ticket) = ticket else {
            self.label(errand, &ada, true);
            return true;
        };
        match &ticket.state {
            State::AwaitingAnswers if self.chance(500) => self.say(errand, &wil, "@prfactory answer 1: yes, all of it"),
            State::AwaitingAnswers => self.say(errand, &wil, "@prfactory skip"),
            State::AwaitingRefinementApproval => self.say(errand, &apo, "@prfactory approve"),
            State::AwaitingPlanApproval | State::AwaitingDiffApproval { .. } => {
                let Some(waits) = ticket.awaiting() else {
                    return false;
                };
                for person in [ada, apo, bea] {
                    if tidy || self.chance(600) {
                        self.approve(errand, &person, &waits.hash);
                    }
                }
            }
            State::PlanApproved => self.say(errand, &wil, "@prfactory implement"),
            State::InReview => self.review(errand, ticket, tidy),
            State::Paused { why: PauseReason::Budget, .. } => self.say(errand, &apo, "@prfactory budget +3"),
            State::Paused { .. } => self.say(errand, &wil, "@prfactory resume"),
            State::Failed { .. } => self.say(errand, &wil, "@prfactory retry"),
            State::Snapshotting { .. }
            | State::Analyzing
            | State::Refining
            | State::Planning
            | State::Implementing
            | State::Reviewing
            | State::Publishing
            | State::Revising
            | State::Cancelling { .. }
            | State::Completed
            | State::Closed
            | State::Cancelled => return false,
        }
        true
    }

    fn approve(&self, errand: &Errand, by: &Person, hash: &ContentHash) {
        self.say(errand, by, &format!("@prfactory approve {}", hash.short()));
    }

    fn review(&self, errand: &Errand, ticket: &Ticket, tidy: bool) {
        let Some(pull) = &ticket.pull_request else {
            return;
        };
        match self.world.clockwork.below(10) {
            0..=1 if !tidy => {
                let path = if self.chance(300) { "src/c.txt" } else { "src/a.txt" };
                let id = self.comments.fetch_add(2, Ordering::Relaxed);
                let remark = Thread {
                    id: (id + 1).to_string(),
                    path: path.to_owned(),
                    line: Some(1),
                    body: "Here.".to_owned(),
                    by: PEOPLE[3].id.to_owned(),
                };
                self.world.forge.remarked(&id.to_string(), remark);
                for delivery in reviewed(&errand.firm, &PEOPLE[3], pull.number, id, path) {
                    send(&self.world, &self.post, &errand.firm, &delivery);
                }
            }
            2 if !tidy => self.say(errand, &PEOPLE[3], "@prfactory fix please change it"),
            3 if !tidy => {
                let delivery = checks_failed(&errand.firm, pull.number, pull.head.as_str());
                send(&self.world, &self.post, &errand.firm, &delivery);
            }
            4 if !tidy => self.ends(errand, pull.number, false),
            _ => self.ends(errand, pull.number, true),
        }
    }

    fn ends(&self, errand: &Errand, number: u64, merged: bool) {
        let state = if merged { PullRequestState::Merged } else { PullRequestState::Closed };
        self.world.clockwork.tell(|| format!("#{number} is {state:?} by a person"));
        let was_open = self.world.forge.end(&errand.firm.id, REPO, number, state);
        let closed_before = self.world.forge.pulls().iter().any(|pull| {
            pull.tenant == errand.firm.id
                && pull.opened.reference.number == number
                && pull.opened.state == PullRequestState::Merged
        });
        if was_open || !merged || closed_before {
            send(
                &self.world,
                &self.post,
                &errand.firm,
                &closed(&errand.firm, number, merged && (was_open || closed_before)),
            );
        } else {
            send(&self.world, &self.post, &errand.firm, &closed(&errand.firm, number, false));
        }
    }

    /// What somebody does who is in a hurry, confused or malicious.
    fn wild(&self, errand: &Errand, ticket: Option<&Ticket>) {
        let by = self.person();
        let old = ticket.and_then(|ticket| {
            let hashes: Vec<&ContentHash> =
                ticket.plans.iter().map(|plan| &plan.hash).chain(ticket.change_set.iter().map(|c| &c.hash)).collect();
            self.world.clockwork.one_of(&hashes).map(|hash| (*hash).clone())
        });
        match self.world.clockwork.below(22) {
            0 => self.say(errand, &by, "@prfactory cancel"),
            1 => self.say(errand, &by, "@prfactory pause"),
            2 => self.say(errand, &by, "@prfactory resume"),
            3 => self.say(errand, &by, "@prfactory retry"),
            4 => self.say(errand, &by, "@prfactory budget +1"),
            5 => self.say(errand, &by, "@prfactory replan use another way"),
            6 => self.say(errand, &by, "@prfactory reject not like this"),
            7 => self.say(errand, &by, "@prfactory analyze"),
            8 => self.say(errand, &by, "@prfactory status"),
            9 => self.say(errand, &by, "@prfactory approve"),
            10 | 11 => match old {
                Some(hash) => self.approve(errand, &by, &hash),
                None => self.say(errand, &by, "@prfactory approve 0123456789ab"),
            },
            12 => self.label(errand, &by, false),
            13 => self.label(errand, &by, true),
            14 => self.say(errand, &by, "@prfactory close"),
            15 | 16 => self.demote(&errand.firm),
            17 if self.chance(300) => self.uninstall(&errand.firm),
            17 | 18 => self.meddle(errand, ticket),
            19 => self.deface(&errand.firm),
            20 => self.refuse(&errand.firm),
            _ => self.say(errand, &by, "Is anybody working on this?"),
        }
    }

    /// An admin takes a role away, or gives it back some minutes later.
    fn demote(&self, firm: &Firm) {
        let person = PEOPLE[1 + usize::from(self.chance(500))];
        self.role(firm, &person, Role::Reader, 0);
        let back = self.world.clockwork.between(MINUTE, 20 * MINUTE);
        self.role(firm, &person, person.role, back);
    }

    fn role(&self, firm: &Firm, person: &Person, role: Role, after: i64) {
        let (world, firm, person) = (Arc::clone(&self.world), firm.clone(), *person);
        let who = Who { name: "admin", ..Who::default() };
        self.world.clockwork.spawn(who, after, async move {
            world.clockwork.tell(|| format!("{} becomes {role:?}", person.id));
            let engine = world.engine(0);
            if let (Ok(ctx), Ok(id)) = (world.sealer.operator(&firm.id), MemberId::parse(person.id)) {
                let row = MemberRow::new(id, person.id.to_owned(), role);
                // An admin's write has no faults of its own.
                let _ = directory::store_member(&engine, &ctx, &row, &[]).await;
            }
        });
    }

    /// Somebody removes the app.
    pub fn uninstall(&self, firm: &Firm) {
        self.world.clockwork.tell(|| format!("{} uninstalls the app", firm.id));
        send(&self.world, &self.post, firm, &uninstalled(firm));
    }

    /// Somebody moves the base branch, or the ticket's own.
    fn meddle(&self, errand: &Errand, ticket: Option<&Ticket>) {
        let value = self.world.clockwork.below(1_000) + 1_000_000;
        let branch = ticket.and_then(|ticket| ticket.target()).map(|target| target.branch.to_string());
        let path = if self.chance(500) { "src/a.txt" } else { "docs/else.txt" };
        let change = |files: &mut std::collections::BTreeMap<RepoPath, String>| {
            if let Ok(path) = RepoPath::parse(path) {
                files.insert(path, format!("value = {value}\n"));
            }
        };
        match (self.world.clockwork.below(4), branch) {
            (0, Some(branch)) if self.world.source.head_of(&errand.firm.id, REPO, &branch).is_some() => {
                self.world.clockwork.tell(|| format!("somebody pushes to {branch}"));
                self.world.source.commit(&errand.firm.id, REPO, &branch, change);
            }
            (1, Some(branch)) => {
                self.world.clockwork.tell(|| format!("somebody removes {branch}"));
                self.world.source.remove_branch(&errand.firm.id, REPO, &branch);
            }
            _ => {
                self.world.clockwork.tell(|| format!("somebody changes {path} on main"));
                self.world.source.commit(&errand.firm.id, REPO, "main", change);
            }
        }
    }

    /// Somebody deletes or edits a comment of ours.
    fn deface(&self, firm: &Firm) {
        let comments: Vec<_> = self.world.tracker.comments().into_iter().filter(|c| c.tenant == firm.id).collect();
        if let Some(comment) = self.world.clockwork.one_of(&comments) {
            self.world.clockwork.tell(|| format!("somebody spoils {}", comment.posted.id));
            if self.chance(500) {
                self.world.tracker.deletes(&firm.id, &comment.posted.id);
            } else {
                self.world.tracker.edits(&firm.id, &comment.posted.id, "spoiled");
            }
        }
    }

    /// The repository or the forge refuses our writes for some minutes, or everything: it was renamed, the token expired.
    fn refuse(&self, firm: &Firm) {
        let faults = [Fault::Permission, Fault::Auth, Fault::Conflict, Fault::RateLimited { retry_at: None }];
        let fault = self.world.clockwork.one_of(&faults).cloned();
        let which = self.world.clockwork.below(3);
        self.world
            .clockwork
            .tell(|| format!("{} refused: {fault:?}", if which == 2 { "all is" } else { "writes are" }));
        match which {
            0 => self.world.source.refuse(&firm.id, REPO, fault),
            1 => self.world.forge.refuse(&firm.id, fault),
            _ => {
                self.world.source.shut(&firm.id, REPO, fault.clone());
                self.world.forge.refuse(&firm.id, fault);
            }
        }
        let (world, firm) = (Arc::clone(&self.world), firm.clone());
        let lasts = self.world.clockwork.between(MINUTE, 15 * MINUTE);
        let who = Who { name: "admin", ..Who::default() };
        self.world.clockwork.spawn(who, lasts, async move {
            world.source.refuse(&firm.id, REPO, None);
            world.source.shut(&firm.id, REPO, None);
            world.forge.refuse(&firm.id, None);
        });
    }
}
