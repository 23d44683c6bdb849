//! Many seeds on several threads, and what they showed together.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::clockwork::Micros;
use crate::mutant::Mutant;
use crate::run::{Plan, Report, run};
use crate::watch::Violation;

/// What many seeds showed.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// How many ran.
    pub seeds: u64,
    /// Seeds that broke a promise.
    pub broken: Vec<(u64, Violation)>,
    /// How long it took.
    pub took: Duration,
    /// From the end of the faults to rest, sorted.
    pub liveness: Vec<Micros>,
    /// Calls of ports.
    pub calls: u64,
    /// How often each harm was done.
    pub harms: BTreeMap<String, u64>,
    /// How often tickets ended where.
    pub ends: BTreeMap<String, u64>,
    /// How often each edge was taken.
    pub edges: BTreeMap<(&'static str, &'static str), u64>,
}

/// How many threads there are.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[expect(clippy::disallowed_methods, reason = "the campaign's own rate is measured in real time; runs never see it")]
fn now() -> Instant {
    Instant::now()
}

/// The seeds that once broke a promise.
pub fn kept() -> Vec<u64> {
    let lines = include_str!("../../seeds.txt").lines();
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// Runs seeds; every hundredth twice, and both times have to agree.
pub fn seeds(range: Range<u64>, mutant: Option<Mutant>, threads: usize) -> Found {
    let plans: Vec<Plan> = range.map(|seed| Plan { mutant, again: seed % 100 == 0, ..Plan::of(seed) }).collect();
    plans_of(&plans, threads)
}

/// The first of the seeds at which a mutant is caught.
pub fn first(range: Range<u64>, mutant: Mutant, threads: usize) -> Option<(u64, Violation)> {
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start + 64);
        let found = seeds(start..end, Some(mutant), threads);
        if let Some(first) = found.broken.into_iter().min_by_key(|(seed, _)| *seed) {
            return Some(first);
        }
        start = end;
    }
    None
}

/// Carries plans out on several threads.
pub fn plans_of(plans: &[Plan], threads: usize) -> Found {
    let start = now();
    let next = AtomicU64::new(0);
    let mut found = Found::default();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..threads.max(1) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                    let Some(plan) = plans.get(at) else {
                        return;
                    };
                    let mut report = run(plan.clone());
                    if plan.again && run(plan.clone()).digest != report.digest {
                        let what = "two runs of the same seed differ".to_owned();
                        report.broken.get_or_insert(Violation { invariant: 0, what });
                    }
                    if send.send(report).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        for report in receive {
            found.adds(report);
        }
    });
    found.took = start.elapsed();
    found.liveness.sort_unstable();
    found.broken.sort_by_key(|(seed, _)| *seed);
    found
}

impl Found {
    fn adds(&mut self, report: Report) {
        self.seeds += 1;
        self.broken.extend(report.broken.map(|broken| (report.seed, broken)));
        self.liveness.extend(report.liveness);
        self.calls += report.calls;
        for (harm, count) in report.harms {
            *self.harms.entry(format!("{harm:?}")).or_default() += count;
        }
        for end in report.ends {
            *self.ends.entry(end.to_owned()).or_default() += 1;
        }
        for (edge, count) in report.edges {
            *self.edges.entry(edge).or_default() += count;
        }
    }

    /// Seeds in a second of real time.
    pub fn seeds_per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 seeds")]
        let seeds = self.seeds as f64;
        (seeds / self.took.as_secs_f64() * 10.0).round() / 10.0
    }

    /// p50, p99 and maximum of the simulated time to rest, in milliseconds.
    pub fn liveness_ms(&self) -> BTreeMap<&'static str, Micros> {
        let at = |hundredth: usize| {
            let index = (self.liveness.len() * hundredth / 100).min(self.liveness.len().saturating_sub(1));
            self.liveness.get(index).copied().unwrap_or(0) / 1_000
        };
        BTreeMap::from([("p50", at(50)), ("p99", at(99)), ("max", at(100))])
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.seeds_per_second();
        writeln!(f, "{} seeds, {} violations, {rate} seeds a second", self.seeds, self.broken.len())?;
        writeln!(f, "simulated time to rest in ms: {:?}", self.liveness_ms())?;
        writeln!(f, "{} calls of ports; harm done: {:?}", self.calls, self.harms)?;
        write!(f, "tickets ended: {:?}", self.ends)?;
        for (seed, broken) in &self.broken {
            write!(f, "\nseed {seed} breaks invariant {}: {}", broken.invariant, broken.what)?;
        }
        Ok(())
    }
}
