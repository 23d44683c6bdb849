//! `sim`: runs seeds, replays one, and lists mutants.

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let from: u64 = arguments.get(1).and_then(|a| a.parse().ok()).unwrap_or(0);
    let to: u64 = arguments.get(2).and_then(|a| a.parse().ok()).unwrap_or(10);
    let story = arguments.get(3).is_some();
    for seed in from..to {
        let mut plan = sim::run::Plan::of(seed);
        plan.story = story;
        let report = sim::run::run(plan);
        for line in &report.story {
            println!("{line}");
        }
        println!("{seed}: {:?} {:?} {} {:?}", report.broken, report.liveness, report.calls, report.ends);
    }
}
