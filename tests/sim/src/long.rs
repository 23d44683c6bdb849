//! One change of more than forty turns, killed at every call of a port on its way.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::fault::{Faults, Harm};
use crate::port::Mood;
use crate::run::{Plan, Report, run};
use crate::scene::Scene;

/// What the runs showed.
#[derive(Debug, Clone, Default)]
pub struct Long {
    /// Turns of the change in the calm run.
    pub turns: usize,
    /// Calls of ports on the way.
    pub calls: u64,
    /// Runs with a crash before a call, and with one right after it.
    pub runs: usize,
    /// Runs in which a model call was made a second time.
    pub repeated: usize,
    /// What was not as it should be.
    pub broken: Vec<String>,
}

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a change of {} turns, {} calls of ports: {} runs with a crash, {} of them repeated one model call, {} violations",
            self.turns,
            self.calls,
            self.runs,
            self.repeated,
            self.broken.len()
        )?;
        for what in &self.broken {
            write!(f, "\n{what}")?;
        }
        Ok(())
    }
}

fn plan(faults: Faults) -> Plan {
    let scene = Scene { mood: Mood::Patient, ..Scene::plain() };
    Plan { seed: 0, scene, faults: Some(faults), mutant: None, story: false, meddles: None, again: false }
}

/// Kills at every so-manieth call, before it and right after it.
pub fn all(threads: usize, every: usize) -> Long {
    let calm = run(plan(Faults::none()));
    let mut long = Long { turns: changing(&calm).len(), calls: calm.calls, ..Long::default() };
    long.broken.extend(calm.broken.iter().map(|broken| format!("calm: {}", broken.what)));
    if long.turns <= 40 {
        long.broken.push(format!("the change took {} turns, which is not long", long.turns));
    }
    long.broken.extend(grows(&changing(&calm)).err());
    let every = u64::try_from(every.max(1)).unwrap_or(1);
    let deaths = (0..calm.calls).step_by(usize::try_from(every).unwrap_or(1));
    let deaths: Vec<(u64, Harm)> = deaths.flat_map(|at| [(at, Harm::Crash), (at, Harm::CrashAfter)]).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(death) = deaths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = run(plan(Faults::exactly([*death])));
                    let same = same(&calm, &report).map_err(|what| format!("{death:?}: {what}"));
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(same);
                }
            });
        }
    });
    for same in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        long.runs += 1;
        match same {
            Ok(repeated) => long.repeated += usize::from(repeated),
            Err(what) => long.broken.push(what),
        }
    }
    long
}

/// How the task of a change begins.
const TASK: &[u8] = b"\"text\":\"Task: carry out";

/// The requests by which the change was made.
fn changing(report: &Report) -> Vec<&[u8]> {
    let carries_out = |request: &&[u8]| request.windows(TASK.len()).any(|bytes| bytes == TASK);
    report.requests.iter().map(Vec::as_slice).filter(carries_out).collect()
}

/// Each request is the one before, byte for byte, with something more at its end.
fn grows(requests: &[&[u8]]) -> Result<(), String> {
    for (at, pair) in requests.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        // The messages are the last field, so that two brackets end the text.
        let prefix = before.strip_suffix(b"]}").ok_or("a request does not end with its messages")?;
        if !after.starts_with(prefix) || after.len() <= before.len() {
            return Err(format!("request {} is not the one before with more at its end", at + 2));
        }
    }
    Ok(())
}

/// Says whether a call was repeated, or what is not as in the calm run.
fn same(calm: &Report, report: &Report) -> Result<bool, String> {
    if let Some(broken) = &report.broken {
        return Err(format!("invariant {}: {}", broken.invariant, broken.what));
    }
    if report.change != calm.change || report.change.is_none() {
        return Err(format!("the change is {:?} and not {:?}", report.change, calm.change));
    }
    let sent = changing(report);
    let mut once = sent.clone();
    once.dedup();
    if once != changing(calm) {
        return Err("other requests were sent, or in another order".to_owned());
    }
    match sent.len() - once.len() {
        0 => Ok(false),
        1 => Ok(true),
        more => Err(format!("{more} model calls were repeated")),
    }
}
