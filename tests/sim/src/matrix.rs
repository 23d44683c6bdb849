//! Every single thing that can go wrong on one ticket's way, and every pair of crashes.

use std::fmt;

use crate::campaign::plans_of;
use crate::fault::{Faults, Harm};
use crate::run::{Meddles, Plan, run};
use crate::scene::{Scene, errand, firm};
use crate::watch::Violation;

/// What the matrix showed.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// Calls on the ticket's way, and how many of them change something.
    pub steps: (u64, usize),
    /// Runs with one crash, with two, with one wrong answer, with every message twice, with a ticket ended from outside.
    pub runs: [u64; 5],
    /// How many of the last had to take back what was being written.
    pub taken_back: u64,
    /// What broke: which harms, and what was seen.
    pub broken: Vec<(String, Violation)>,
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, two, answers, twice, ended] = self.runs;
        let (calls, writes) = self.steps;
        write!(
            f,
            "{calls} calls, {writes} of them writes: {one} runs with a crash, {two} with two, {answers} with a wrong answer, {twice} with every message twice, {ended} with a cancel or an uninstall ({} while something was written); {} violations",
            self.taken_back,
            self.broken.len()
        )?;
        for (what, broken) in &self.broken {
            write!(f, "\n{what}: invariant {}: {}", broken.invariant, broken.what)?;
        }
        Ok(())
    }
}

fn plan(seed: u64, faults: Faults) -> Plan {
    Plan { seed, scene: Scene::plain(), faults: Some(faults), mutant: None, story: false, meddles: None, again: false }
}

/// Runs all of it, or of the pairs only every so-manieth.
pub fn all(threads: usize, every: usize) -> Matrix {
    let mut matrix = Matrix::default();
    let calm = run(plan(0, Faults::none()));
    matrix.steps = (calm.calls, calm.writes.len());
    matrix.broken.extend(calm.broken.map(|broken| ("nothing".to_owned(), broken)));
    let crashes: Vec<Vec<(u64, Harm)>> = (0..calm.calls).map(|at| vec![(at, Harm::Crash)]).collect();
    matrix.runs[0] = matrix.run(&crashes, threads);
    // A crash before the next write is a crash after the last one: state is the same at both.
    let pairs = calm.writes.iter().enumerate().flat_map(|(index, first)| {
        let later = calm.writes.get(index + 1..).unwrap_or_default();
        later.iter().map(|second| vec![(*first, Harm::Crash), (*second, Harm::Crash)]).collect::<Vec<_>>()
    });
    matrix.runs[1] = matrix.run(&pairs.step_by(every.max(1)).collect::<Vec<_>>(), threads);
    let answers = (0..calm.calls).flat_map(|at| Harm::ANSWERS.map(|harm| vec![(at, harm)]));
    matrix.runs[2] = matrix.run(&answers.collect::<Vec<_>>(), threads);
    for seed in 0..20 {
        let report = run(plan(seed, Faults::every_message_twice()));
        matrix.runs[3] += 1;
        matrix.broken.extend(report.broken.map(|broken| (format!("every message twice, seed {seed}"), broken)));
    }
    let meddled = (0..calm.calls).flat_map(|at| {
        [Meddles::Cancels, Meddles::Uninstalls].map(|how| Plan {
            scene: Scene { errands: vec![errand(&firm(1), 1, how == Meddles::Uninstalls)], ..Scene::plain() },
            meddles: Some((at, how)),
            ..plan(at, Faults::none())
        })
    });
    let meddled: Vec<Plan> = meddled.collect();
    let found = plans_of(&meddled, threads);
    matrix.runs[4] = found.seeds;
    matrix.taken_back = found.edges.iter().filter(|((_, to), _)| *to == "cancelling").map(|(_, count)| count).sum();
    let name = |at: u64| format!("ended from outside at call {at}");
    matrix.broken.extend(found.broken.into_iter().map(|(at, broken)| (name(at), broken)));
    matrix
}

impl Matrix {
    fn run(&mut self, harms: &[Vec<(u64, Harm)>], threads: usize) -> u64 {
        // The number of the harms is the run's name; chance is the same in all.
        let plans = harms.iter().map(|harms| plan(0, Faults::exactly(harms.iter().copied())));
        let plans: Vec<Plan> = plans.collect();
        let count = harms.len() as u64;
        let found = plans_of(&plans, threads);
        for (_, broken) in found.broken {
            self.broken.push(("a matrix run".to_owned(), broken));
        }
        count
    }
}
