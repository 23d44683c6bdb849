//! One tenant with a thousand times the load of nineteen others, and what the others notice of it.

use std::fmt;
use std::sync::Arc;

use domain::policy::Policy;

use crate::clockwork::{Clockwork, MINUTE, Micros, Runner, SECOND, Who};
use crate::fault::Faults;
use crate::people::People;
use crate::provider::Post;
use crate::scene::{Firm, Scene, errand, firm, settle};
use crate::watch::Violation;
use crate::world::World;

/// Tenants who open one ticket each.
const OTHERS: u64 = 19;
/// The tenant with the load.
const LOUD: u64 = 1;
/// Within this everybody opens all their tickets.
const OPENING: Micros = 30 * MINUTE;
/// How long is looked.
const LOOKED: Micros = 120 * MINUTE;
/// Messages of one queue that are handled at once.
const HANDS: usize = 20;

/// How long the turns of the nineteen waited.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waits {
    /// How many there were.
    pub turns: usize,
    /// The median, in milliseconds.
    pub p50_ms: Micros,
    /// The 95th percentile, in milliseconds.
    pub p95_ms: Micros,
    /// The longest, in milliseconds.
    pub max_ms: Micros,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Fairness {
    /// How many times the load of one of the others the loud tenant has.
    pub load: u64,
    /// The others, alone.
    pub quiet: Waits,
    /// The others, beside the loud one.
    pub beside: Waits,
    /// Turns of the loud tenant.
    pub loud: Waits,
    /// Most turns of the loud tenant at once, and how many it may have.
    pub most: (usize, usize),
    /// Tickets of the others that came as far without the loud one as with it: both counts.
    pub ended: (usize, usize),
    /// What broke.
    pub broken: Option<Violation>,
}

impl Fairness {
    /// Says whether the others wait less than twice as long, every one of their tickets ended, and the cap was kept.
    pub fn holds(&self) -> bool {
        self.broken.is_none()
            && self.quiet.turns > 100
            && self.beside.p95_ms < 2 * self.quiet.p95_ms
            && self.most.0 <= self.most.1
            && self.ended == (self.ended.0, self.ended.0)
    }
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { load, quiet, beside, loud, most, ended, broken } = self;
        writeln!(
            f,
            "one tenant with {load} times the load of each of {OTHERS} others; waits for a turn in simulated ms"
        )?;
        for (who, waits) in [("the others alone", quiet), ("the others beside it", beside), ("the tenant itself", loud)]
        {
            let Waits { turns, p50_ms, p95_ms, max_ms } = waits;
            writeln!(f, "{who:20} {turns:6} turns, p50 {p50_ms}, p95 {p95_ms}, max {max_ms}")?;
        }
        write!(
            f,
            "at most {} of its turns at once (cap {}); tickets of the others ended: {} alone, {} beside it",
            most.0, most.1, ended.0, ended.1
        )?;
        match broken {
            Some(broken) => write!(f, "\ninvariant {}: {}", broken.invariant, broken.what),
            None => Ok(()),
        }
    }
}

struct Seen {
    others: Waits,
    loud: Waits,
    most: usize,
    ended: usize,
    broken: Option<Violation>,
}

/// Measures it, without and with the load, where so many turns of one tenant may run at once.
pub fn measure(seed: u64, load: u64, slots: usize) -> Fairness {
    let (quiet, beside) = (look(seed, 0, slots), look(seed, load, slots));
    Fairness {
        load,
        quiet: quiet.others,
        beside: beside.others,
        loud: beside.loud,
        most: (beside.most, slots),
        ended: (quiet.ended, beside.ended),
        broken: quiet.broken.or(beside.broken),
    }
}

fn look(seed: u64, load: u64, slots: usize) -> Seen {
    let noisy = firm(LOUD);
    let firms: Vec<(Firm, Policy)> = (LOUD..=LOUD + OTHERS).map(|n| (firm(n), Policy::standard())).collect();
    let mut errands: Vec<_> = firms.iter().skip(1).map(|(firm, _)| errand(firm, 1, false)).collect();
    errands.extend((1..=load).map(|number| errand(&noisy, number, false)));
    let scene = Scene { firms, errands, hands: HANDS, slots, ..Scene::plain() };
    let clockwork = Clockwork::seeded(seed, Faults::none(), false);
    let world = World::new(&clockwork, &scene, None);
    let people = People::new(Arc::clone(&world), Arc::new(Post::default()));
    let mut runner = Runner::new(clockwork.clone());
    let start = clockwork.now();
    clockwork.spawn(Who { name: "operator", ..Who::default() }, 0, settle(Arc::clone(&world), scene.clone()));
    while runner.step(start + SECOND) {}
    world.start();
    let until = start + LOOKED;
    for (number, errand) in (0..).zip(scene.errands.clone()) {
        // When the others open theirs does not depend on the load.
        let mut chance = fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(number));
        let after = chance.i64(SECOND..OPENING);
        let who = Who { name: "people", ..Who::default() };
        clockwork.spawn(who, after, Arc::clone(&people).live(errand, scene.clone(), until));
    }
    while world.watch.broken().is_none() && runner.step(until) {}
    let all = world.watch.waits();
    let of = |mine: bool| {
        let those = all.iter().filter(|(tenant, _)| (**tenant == noisy.id) == mine);
        summed(those.flat_map(|(_, waits)| waits.clone()).collect())
    };
    let tickets = world.watch.tickets();
    Seen {
        others: of(false),
        loud: of(true),
        most: world.watch.most().get(&noisy.id).copied().unwrap_or(0),
        ended: tickets.iter().filter(|ticket| ticket.tenant != noisy.id && ticket.state.is_end()).count(),
        broken: world.watch.broken(),
    }
}

fn summed(mut waits: Vec<Micros>) -> Waits {
    waits.sort_unstable();
    let at = |hundredth: usize| {
        let index = (waits.len() * hundredth / 100).min(waits.len().saturating_sub(1));
        waits.get(index).copied().unwrap_or(0) / 1_000
    };
    Waits { turns: waits.len(), p50_ms: at(50), p95_ms: at(95), max_ms: at(100) }
}
