//! The simulation itself: it is deterministic, it reaches the whole machine, it catches what is wrong.

use std::collections::BTreeSet;

use engine::slot::SLOTS;
use sim::campaign::{first, kept, plans_of, seeds, threads};
use sim::mutant::Mutant;
use sim::run::{Plan, run};
use sim::{fair, long};

#[test]
fn same_seed_same_trace() {
    for seed in [3, 4, 11] {
        let told = || run(Plan { story: true, ..Plan::of(seed) });
        let (first, second) = (told(), told());
        assert!(first.story.len() > 100, "seed {seed} tells nothing");
        assert_eq!(first.story, second.story, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(run(Plan::of(seed)).digest, first.digest, "telling the story of seed {seed} changes it");
        assert_ne!(run(Plan::of(seed + 1)).digest, first.digest, "seeds differ");
    }
}

#[test]
fn seeds_that_once_failed_hold() {
    let plans: Vec<Plan> = kept().into_iter().map(Plan::of).collect();
    assert!(plans.len() >= 12);
    let found = plans_of(&plans, threads());
    assert_eq!(found.broken, []);
}

#[test]
fn the_simulation_goes_everywhere_and_does_every_harm() {
    let found = seeds(0..60, None, threads());
    assert_eq!(found.broken, []);
    assert_eq!(found.harms.len(), 7, "{:?}", found.harms);
    let mut states: BTreeSet<&str> = found.edges.keys().flat_map(|(from, to)| [*from, *to]).collect();
    // `cancelling` needs a cancel within the milliseconds of a push, and comes by luck; every other state has to be met.
    states.remove("cancelling");
    assert_eq!(states.len(), 19, "{states:?}");
    for end in ["completed", "closed", "cancelled"] {
        assert!(found.ends.contains_key(end), "no ticket is {end}: {:?}", found.ends);
    }
}

#[test]
fn wrong_engines_are_caught() {
    for mutant in [Mutant::IgnoresMarkers, Mutant::SettlesAfterwards, Mutant::IntendsAfterwards] {
        let Some((seed, _)) = first(0..40, mutant, threads()) else { panic!("{} was not caught", mutant.name()) };
        assert_eq!(run(Plan::of(seed)).broken, None, "the right engine holds at seed {seed}");
    }
}

#[test]
fn fairness() {
    let capped = fair::measure(0, 60, SLOTS);
    assert!(capped.holds(), "{capped}");
    assert_eq!(capped.most.0, SLOTS, "the load is not enough to reach the cap: {capped}");
    let open = fair::measure(0, 60, 1_000);
    assert!(open.most.0 > SLOTS, "it is not the cap that was kept: {open}");
}

#[test]
fn a_long_change_that_is_killed_ends_the_same_and_repeats_one_call_at_most() {
    let found = long::all(threads(), 60);
    assert_eq!(found.broken, Vec::<String>::new(), "{found}");
    assert!(found.repeated > 0, "no death came between a call and its answer: {found}");
}
