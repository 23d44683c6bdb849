//! What goes wrong: by chance, at an exact call, or never.

use std::collections::BTreeMap;

use crate::clockwork::{Micros, Op, SECOND, TaskId};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Harm {
    /// Nothing.
    None,
    /// The process dies before the call leaves.
    Crash,
    /// The process dies after the call was carried out.
    CrashAfter,
    /// 429: nothing happened, come later.
    Busy,
    /// 500: nothing happened, though nobody says so.
    Error,
    /// 503: nothing happened.
    Unavailable,
    /// The request was lost on its way.
    LostBefore,
    /// The answer was lost on its way.
    LostAfter,
}

impl Harm {
    /// Everything a call can answer wrongly.
    pub const ANSWERS: [Self; 5] = [Self::Busy, Self::Error, Self::Unavailable, Self::LostBefore, Self::LostAfter];
}

/// How much goes wrong by chance, each in ten thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Calls that answer wrongly.
    pub fail: u32,
    /// Calls at which the process dies.
    pub crash: u32,
    /// Calls around which the process stands still, perhaps for longer than a lease.
    pub pause: u32,
    /// Messages handed out more than once.
    pub twice: u32,
}

impl Rates {
    /// The rates of a seed: some seeds are calm, some are terrible.
    pub fn of(chance: &mut fastrand::Rng) -> Self {
        let mut one = |of: [u32; 4]| of[usize::from(chance.u8(..4))];
        Self {
            fail: one([0, 30, 150, 600]),
            crash: one([0, 10, 50, 200]),
            pause: one([0, 10, 40, 120]),
            twice: one([0, 100, 500, 2000]),
        }
    }
}

/// What is to go wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rates: Rates,
    exact: BTreeMap<u64, Harm>,
    until: Micros,
    twice: bool,
    /// Before which call a task is woken.
    pub alarm: Option<(u64, TaskId)>,
    /// Calls of our functions so far.
    pub calls: u64,
    /// Numbers of those that change something.
    pub writes: Vec<u64>,
    /// How often each harm was done.
    pub done: BTreeMap<Harm, u64>,
}

/// Longest a remote call takes to be carried out once it was sent; the clients' own timeouts see to that.
const REMOTE: Micros = 8 * SECOND;

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Things go wrong by chance until a time.
    pub fn by_chance(rates: Rates, until: Micros) -> Self {
        Self { rates, until, ..Self::default() }
    }

    /// Only these calls of our functions, counted from 0, go wrong.
    pub fn exactly(harms: impl IntoIterator<Item = (u64, Harm)>) -> Self {
        Self { exact: harms.into_iter().collect(), ..Self::default() }
    }

    /// Every message is handed out twice.
    pub fn every_message_twice() -> Self {
        Self { twice: true, until: Micros::MAX, ..Self::default() }
    }

    /// Nothing goes wrong from now on.
    pub fn stop(&mut self) {
        self.rates = Rates::default();
        self.exact.clear();
        self.until = 0;
        self.twice = false;
    }

    /// Says whether anything may still go wrong by chance.
    pub fn on(&self, now: Micros) -> bool {
        now < self.until
    }

    /// Says whether a message is handed out once more.
    pub fn twice(&self, chance: &mut fastrand::Rng, now: Micros) -> bool {
        self.on(now) && (self.twice || chance.u32(..10_000) < self.rates.twice)
    }

    /// How long a call takes before and after it is carried out, and what harm comes to it.
    pub(crate) fn plan(
        &mut self,
        chance: &mut fastrand::Rng,
        ours: bool,
        op: Op,
        now: Micros,
    ) -> (Micros, Micros, Harm) {
        let mut before = chance.i64(500..20_000);
        let mut after = chance.i64(0..2_000);
        if !ours {
            return (before, after, Harm::None);
        }
        let number = self.calls;
        self.calls += 1;
        if op.writes {
            self.writes.push(number);
        }
        let mut harm = self.exact.get(&number).copied().unwrap_or(Harm::None);
        if self.on(now) && !self.twice {
            if chance.u32(..10_000) < self.rates.crash {
                harm = if chance.bool() { Harm::Crash } else { Harm::CrashAfter };
            } else if chance.u32(..10_000) < self.rates.fail {
                harm = Harm::ANSWERS[usize::from(chance.u8(..5))];
            }
            if chance.u32(..10_000) < self.rates.pause {
                let pause = chance.i64(SECOND..400 * SECOND);
                if op.outside || chance.bool() {
                    after += pause;
                    let longest = if op.name.starts_with("tracker") { REMOTE } else { 6 * REMOTE };
                    before += chance.i64(0..longest);
                } else {
                    before += pause;
                }
            }
        }
        if harm != Harm::None {
            *self.done.entry(harm).or_default() += 1;
        }
        (before, after, harm)
    }
}
