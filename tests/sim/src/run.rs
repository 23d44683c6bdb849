//! One run from beginning to end: chaos, quiet, an orderly end, and old deliveries a day later.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::error::Fault;
use domain::hash::ContentHash;
use domain::state::{PauseReason, State};
use domain::ticket::Ticket;
use engine::key::Key;

use crate::clockwork::{Clockwork, MINUTE, Micros, Runner, SECOND, Who};
use crate::fault::{Faults, Harm};
use crate::mutant::Mutant;
use crate::people::People;
use crate::provider::{Post, commented, send};
use crate::scene::{PEOPLE, Scene, settle};
use crate::watch::{Violation, marker};
use crate::world::{Woken, World};

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first promise that was broken.
    pub broken: Option<Violation>,
    /// From the end of the faults until every ticket was at a wait or an end, and every queue empty.
    pub liveness: Option<Micros>,
    /// What two runs of a seed must agree on.
    pub digest: u64,
    /// Calls of ports by our functions, and which of them change something.
    pub calls: u64,
    /// Numbers of the calls that change something.
    pub writes: Vec<u64>,
    /// How often each harm was done.
    pub harms: BTreeMap<Harm, u64>,
    /// How often each edge of the machine was taken.
    pub edges: BTreeMap<(&'static str, &'static str), u64>,
    /// Where the tickets ended.
    pub ends: Vec<&'static str>,
    /// Every request that the model was sent, where it is a patient one.
    pub requests: Vec<Vec<u8>>,
    /// The last change of the first ticket.
    pub change: Option<ContentHash>,
    /// What happened, where that was asked for.
    pub story: Vec<String>,
}

/// What ends a ticket from outside, wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddles {
    /// A person cancels.
    Cancels,
    /// An admin removes the app.
    Uninstalls,
}

/// How a run is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The world.
    pub scene: Scene,
    /// What goes wrong; by chance, as the scene says, where this is absent.
    pub faults: Option<Faults>,
    /// What is wrong with the engine.
    pub mutant: Option<Mutant>,
    /// Whether the story is told.
    pub story: bool,
    /// What somebody does at the time of an exact call.
    pub meddles: Option<(u64, Meddles)>,
    /// Whether it is run twice, and both times have to agree.
    pub again: bool,
}

impl Plan {
    /// The run of a seed.
    pub fn of(seed: u64) -> Self {
        Self { seed, scene: Scene::of(seed), faults: None, mutant: None, story: false, meddles: None, again: false }
    }
}

/// Every promise holds again within this, once faults have stopped.
const LIVELY: Micros = 30 * MINUTE;

struct Run {
    world: Arc<World>,
    post: Arc<Post>,
    people: Arc<People>,
    scene: Scene,
    runner: Runner,
}

/// Carries a run out.
pub fn run(plan: Plan) -> Report {
    let Plan { seed, scene, faults, mutant, story, meddles, again: _ } = plan;
    let start = Clockwork::calm().now();
    let until = start + SECOND + scene.chaos;
    let scripted = faults.is_some();
    let faults = faults.unwrap_or_else(|| Faults::by_chance(scene.rates, until));
    let clockwork = Clockwork::seeded(seed, faults, story);
    let world = World::new(&clockwork, &scene, mutant);
    let post = Arc::new(Post::default());
    let people = People::new(Arc::clone(&world), Arc::clone(&post));
    let runner = Runner::new(clockwork.clone());
    let mut run = Run { world, post, people, scene, runner };
    let mut liveness = None;
    if run.begins() {
        run.meddled(meddles);
        if scripted {
            run.ends();
        } else {
            run.lives(until);
        }
        clockwork.faults(Faults::stop);
        run.world.model.heals();
        liveness = run.rests();
        if !scripted {
            // Providers try again for 75 minutes.
            let now = clockwork.now();
            run.until(now + 80 * MINUTE);
        }
        run.ends();
        run.verdict();
        if !scripted {
            run.haunted();
        }
    }
    let world = &run.world;
    let (calls, writes, harms) = clockwork.faults(|f| (f.calls, f.writes.clone(), f.done.clone()));
    Report {
        seed,
        broken: world.watch.broken(),
        liveness,
        digest: clockwork.digest(),
        calls,
        writes,
        harms,
        edges: world.watch.edges(),
        ends: world.watch.tickets().iter().map(|ticket| ticket.state.name()).collect(),
        requests: world.model.requests(),
        change: world.watch.tickets().first().and_then(|ticket| Some(ticket.change_set.as_ref()?.hash.clone())),
        story: clockwork.story(),
    }
}

impl Run {
    fn ok(&self) -> bool {
        self.world.watch.broken().is_none()
    }

    /// Runs until a time, or until a promise is broken.
    fn until(&mut self, time: Micros) {
        while self.ok() && self.runner.step(time) {}
        let now = self.world.clockwork.now();
        if self.ok() && now < time {
            self.world.clockwork.forward(time - now);
        }
    }

    fn begins(&mut self) -> bool {
        let (world, scene) = (Arc::clone(&self.world), self.scene.clone());
        self.world.clockwork.spawn(Who { name: "operator", ..Who::default() }, 0, settle(world, scene));
        let now = self.world.clockwork.now();
        self.until(now + SECOND);
        self.world.start();
        self.ok()
    }

    fn lives(&mut self, until: Micros) {
        for errand in self.scene.errands.clone() {
            let (people, scene) = (Arc::clone(&self.people), self.scene.clone());
            let who = Who { name: "people", ..Who::default() };
            let after = self.world.clockwork.between(0, self.scene.chaos / 4);
            self.world.clockwork.spawn(who, after, people.live(errand, scene, until));
        }
        self.until(until);
    }

    /// Says whether nothing of ours moves any more.
    fn at_rest(&self) -> bool {
        self.world.queue.is_empty()
            && !self.world.watch.any_running()
            && !self.world.table.any(|key| key.sort().starts_with("OUTBOX#"))
    }

    /// Has somebody end the first ticket when a call is made.
    fn meddled(&self, meddles: Option<(u64, Meddles)>) {
        let (Some((call, how)), Some(errand)) = (meddles, self.scene.errands.first().cloned()) else {
            return;
        };
        let people = Arc::clone(&self.people);
        let task = self.world.clockwork.spawn(Who { name: "people", ..Who::default() }, 0, async move {
            Woken(false).await;
            match how {
                Meddles::Cancels => people.say(&errand, &PEOPLE[0], "@prfactory cancel"),
                Meddles::Uninstalls => people.uninstall(&errand.firm),
            }
        });
        self.world.clockwork.faults(|faults| faults.alarm = Some((call, task)));
    }

    /// Waits until nothing moves; a promise is broken when that takes too long.
    fn rests(&mut self) -> Option<Micros> {
        let start = self.world.clockwork.now();
        let mut took = None;
        loop {
            let now = self.world.clockwork.now();
            if !self.ok() {
                return None;
            }
            if self.at_rest() {
                took = Some(now - start);
                break;
            }
            if now - start > LIVELY {
                break;
            }
            self.until(now + SECOND);
        }
        if took.is_none() {
            for line in self.world.queue.describe() {
                self.world.clockwork.tell(|| line.clone());
            }
            self.world.watch.rests(&self.world.table);
            let left = self.world.queue.describe();
            self.world.watch.breaks(9, format!("not at rest after thirty minutes: {left:?}"));
            return None;
        }
        // Whoever was paused for long comes back now, and must do no harm.
        let now = self.world.clockwork.now();
        self.until(now + 8 * MINUTE);
        took
    }

    /// People bring every ticket to an end, one reasonable step after the other.
    fn ends(&mut self) {
        for errand in self.scene.errands.clone() {
            for _ in 0..40 {
                self.settled();
                if !self.ok() {
                    return;
                }
                let ticket = self.people.ticket(&errand);
                if ticket.as_ref().is_some_and(|ticket| ticket.state.is_end()) {
                    break;
                }
                if self.stuck(ticket.as_ref()) {
                    break;
                }
                let acted = self.people.reasonable(&errand, ticket.as_ref(), true);
                if !acted {
                    let state = ticket.map_or("absent", |ticket| ticket.state.name());
                    self.world.watch.breaks(9, format!("{} is {state} and nobody can go on", errand.key));
                }
            }
        }
        self.settled();
    }

    fn verdict(&self) {
        if self.ok() {
            self.told();
            crate::shown::check(&self.world, self.uninstalled());
            self.accepted();
            self.world.watch.rests(&self.world.table);
        }
    }

    fn settled(&mut self) {
        let start = self.world.clockwork.now();
        // Deliveries take up to a second to leave.
        self.until(start + 2 * SECOND);
        while self.ok() && !self.at_rest() {
            let now = self.world.clockwork.now();
            if now - start > LIVELY {
                let left = self.world.queue.describe();
                self.world.watch.breaks(9, format!("not at rest thirty minutes after a person acted: {left:?}"));
            }
            self.until(now + SECOND);
        }
    }

    /// Says whether some tenant removed the app.
    fn uninstalled(&self) -> bool {
        let connections = self.world.table.all(|key| key.partition().starts_with("INSTALLATION#"));
        connections.iter().any(|item| item.body.get("revoked") == Some(&true.into()))
    }

    /// Says whether people themselves made it impossible to go on.
    fn stuck(&self, ticket: Option<&Ticket>) -> bool {
        let Some(ticket) = ticket else {
            return self.uninstalled();
        };
        match &ticket.state {
            // A person moved the ticket's own branch, or the app was removed.
            State::Failed { error, .. } => matches!(error.fault, Fault::Conflict | Fault::Permission),
            State::Paused { why, .. } => *why == PauseReason::MonthlyBudget,
            State::Snapshotting { .. }
            | State::Analyzing
            | State::AwaitingAnswers
            | State::Refining
            | State::AwaitingRefinementApproval
            | State::Planning
            | State::AwaitingPlanApproval
            | State::PlanApproved
            | State::Implementing
            | State::Reviewing
            | State::AwaitingDiffApproval { .. }
            | State::Publishing
            | State::InReview
            | State::Revising
            | State::Cancelling { .. }
            | State::Completed
            | State::Closed
            | State::Cancelled => ticket.connection.is_some() && self.uninstalled(),
        }
    }

    /// What people read is there once, and true.
    fn told(&self) {
        let comments = self.world.tracker.comments();
        let mut count: BTreeMap<_, u32> = BTreeMap::new();
        for comment in &comments {
            *count.entry((comment.tenant.clone(), comment.key.clone(), marker(&comment.posted.text))).or_default() += 1;
        }
        for ((tenant, key, kind), number) in &count {
            if *number > 1 && !kind.is_empty() {
                self.world.watch.breaks(4, format!("{key} of {tenant} has {number} comments {kind} at the end"));
            }
        }
        for ticket in self.world.watch.tickets() {
            let kind = format!("{}-status", ticket.id);
            let mine = |c: &&crate::port::Comment| c.tenant == ticket.tenant && marker(&c.posted.text) == kind;
            let spoiled =
                self.world.watch.was_deleted(&ticket.tenant, &ticket.key, &format!("<!-- prfactory:{kind} -->"));
            match comments.iter().find(mine) {
                Some(comment) if !comment.posted.text.contains(ticket.state.explained().0) && !spoiled => {
                    let what =
                        format!("{} is {}, and people read: {}", ticket.key, ticket.state.name(), comment.posted.text);
                    self.world.watch.breaks(4, what);
                }
                None if !spoiled => self.world.watch.breaks(4, format!("{} has no status comment", ticket.key)),
                Some(_) | None => {}
            }
        }
    }

    /// Every delivery that was answered with 202 has an outcome.
    fn accepted(&self) {
        for (firm, delivery) in self.post.accepted() {
            let Ok(ctx) = self.world.sealer.operator(&firm.id) else {
                continue;
            };
            let natural = format!("BODY#{}#{}", delivery.source(&firm), ContentHash::of(delivery.body()));
            let revoked = self.uninstalled();
            // That engine reads other words than were delivered, so that the ledger knows other bytes.
            let rewritten = self.world.mutant == Some(Mutant::ApprovesAnything);
            if self.world.table.peek(&Key::seen(&ctx, &natural)).is_none() && !revoked && !rewritten {
                let body = String::from_utf8_lossy(delivery.body()).into_owned();
                self.world.watch.breaks(5, format!("an accepted delivery has no outcome: {body}"));
            }
        }
    }

    /// What was sent before is sent again a day later, and once more in other words.
    fn haunted(&mut self) {
        if !self.ok() || self.world.clockwork.chance(700) {
            return;
        }
        let now = self.world.clockwork.now();
        self.until(now + 26 * 60 * MINUTE);
        let sent = self.post.sent();
        for (firm, delivery) in sent {
            if self.world.clockwork.chance(200) {
                send(&self.world, &self.post, &firm, &delivery);
            }
        }
        for errand in self.scene.errands.clone() {
            let id = 1_000 + 2 * self.world.clockwork.below(10);
            send(
                &self.world,
                &self.post,
                &errand.firm,
                &commented(&self.world, &errand, &PEOPLE[0], id, "@prfactory status"),
            );
        }
        let now = self.world.clockwork.now();
        self.until(now + 80 * MINUTE);
        self.settled();
        self.world.watch.finds(&self.world.table);
        if self.ok() {
            self.told();
            crate::shown::check(&self.world, self.uninstalled());
        }
    }
}
