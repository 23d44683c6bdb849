//! `sim`: runs seeds, replays one, lists the wrong engines and shows that each is caught.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use engine::slot::SLOTS;
use serde_json::json;
use sim::mutant::Mutant;
use sim::run::{Plan, run};
use sim::{campaign, fair, long, matrix};

/// A fifth of a run is making and dropping small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the engine under simulation, seed after seed.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Tells the story of the one seed.
    #[arg(long)]
    trace: bool,
    /// Runs an engine that is known to be wrong.
    #[arg(long)]
    mutant: Option<String>,
    /// Lists the engines that are known to be wrong.
    #[arg(long)]
    list_mutants: bool,
    /// Finds the first of the seeds that catches each of them.
    #[arg(long)]
    kill_mutants: bool,
    /// Crashes at every step and every pair of steps, every wrong answer, every message twice.
    #[arg(long)]
    matrix: bool,
    /// Of the pairs of steps, or the calls of the long change, only every so-manieth.
    #[arg(long, default_value_t = 1)]
    every: usize,
    /// Kills a change of more than forty turns at every call, before it and right after it.
    #[arg(long)]
    long: bool,
    /// Measures what nineteen tenants notice of one with a thousand times their load.
    #[arg(long)]
    fairness: bool,
    /// How many times the load.
    #[arg(long, default_value_t = 1_000)]
    load: u64,
    /// What has to hold for every change: kept seeds, seeds, the matrix with every eighth pair, the long change killed at
    /// every eighth call, fairness, the wrong engines.
    #[arg(long)]
    all: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// How many threads; each seed runs on one.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    match carry_out(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(text: &str) {
    println!("{text}");
}

fn carry_out(arguments: &Arguments) -> anyhow::Result<bool> {
    let threads = arguments.threads.unwrap_or_else(campaign::threads);
    let mutant = match &arguments.mutant {
        Some(name) => Some(
            Mutant::named(name).with_context(|| format!("there is no mutant `{name}`; --list-mutants lists them"))?,
        ),
        None => None,
    };
    if arguments.list_mutants {
        for mutant in Mutant::ALL {
            say(mutant.name());
        }
        return Ok(true);
    }
    if arguments.all {
        let old = campaign::plans_of(&campaign::kept().into_iter().map(Plan::of).collect::<Vec<_>>(), threads);
        say(&format!("seeds that once failed: {old}"));
        let holds = old.broken.is_empty() && many(arguments, None, threads);
        return Ok(holds && crash(threads, 8) && kill_long(threads, 8) && fair(0, 100) && kill(arguments, threads));
    }
    if arguments.kill_mutants {
        return Ok(kill(arguments, threads));
    }
    if arguments.matrix {
        return Ok(crash(threads, arguments.every));
    }
    if arguments.long {
        return Ok(kill_long(threads, arguments.every));
    }
    if arguments.fairness {
        return Ok(fair(arguments.from, arguments.load));
    }
    if arguments.trace && arguments.seed.is_none() {
        bail!("--trace needs --seed");
    }
    match arguments.seed {
        Some(seed) => Ok(one(arguments, seed, mutant)),
        None => Ok(many(arguments, mutant, threads)),
    }
}

fn one(arguments: &Arguments, seed: u64, mutant: Option<Mutant>) -> bool {
    let report = run(Plan { story: arguments.trace, mutant, ..Plan::of(seed) });
    for line in &report.story {
        say(line);
    }
    match &report.broken {
        Some(broken) => say(&format!("seed {seed} breaks invariant {}: {}", broken.invariant, broken.what)),
        None => say(&format!("seed {seed}: nothing broken; {} calls, tickets ended {:?}", report.calls, report.ends)),
    }
    report.broken.is_none()
}

fn many(arguments: &Arguments, mutant: Option<Mutant>, threads: usize) -> bool {
    let found = campaign::seeds(arguments.from..arguments.from + arguments.seeds, mutant, threads);
    if arguments.json {
        let broken: Vec<_> = found
            .broken
            .iter()
            .map(|(seed, b)| json!({ "seed": seed, "invariant": b.invariant, "what": b.what }))
            .collect();
        let line = json!({
            "seeds": found.seeds, "violations": found.broken.len(), "seeds_per_second": found.seeds_per_second(),
            "liveness_ms": found.liveness_ms(), "calls": found.calls, "harms": found.harms, "ends": found.ends, "broken": broken });
        say(&line.to_string());
    } else {
        say(&found.to_string());
    }
    found.broken.is_empty()
}

fn crash(threads: usize, every: usize) -> bool {
    let found = matrix::all(threads, every);
    say(&found.to_string());
    found.broken.is_empty()
}

fn kill_long(threads: usize, every: usize) -> bool {
    let found = long::all(threads, every);
    say(&found.to_string());
    found.broken.is_empty()
}

fn fair(seed: u64, load: u64) -> bool {
    let found = fair::measure(seed, load, SLOTS);
    say(&found.to_string());
    found.holds()
}

fn kill(arguments: &Arguments, threads: usize) -> bool {
    let mut all = true;
    for mutant in Mutant::ALL {
        let range = arguments.from..arguments.from + arguments.seeds;
        if let Some((seed, broken)) = campaign::first(range, mutant, threads) {
            let what = broken.what.lines().next().unwrap_or("");
            say(&format!("{:30} seed {seed:5}  invariant {}: {what}", mutant.name(), broken.invariant));
        } else {
            all = false;
            say(&format!("{:30} NOT CAUGHT", mutant.name()));
        }
    }
    all
}
