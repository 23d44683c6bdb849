//! Tasks of this workspace: tests, what CI checks before them, deployments on this machine, and measurements.

mod template;
mod up;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::thread::available_parallelism;

use anyhow::{Context as _, bail};
use xtask::program::{run, target};
use xtask::{package, python};

const USAGE: &str = "usage: cargo xtask test [FILTER…]   runs every test
       cargo xtask sim [--seeds N] [--from S] [--seed N --trace] [--mutant NAME] [--list-mutants] [--json] …
                                     runs the engine under simulation; without arguments what every change must pass
       cargo xtask check             runs fmt, clippy and docs
       cargo xtask package [--arm64] [FUNCTION…]
                                     builds the functions as they are deployed, and prints their sizes
       cargo xtask template          lints template.yaml and holds it to our rules and to those of others
       cargo xtask up                deploys template.yaml on this machine, and says how to send it an event
       cargo xtask bench engine [--json] [TICKETS…]
                                     measures whole workflows; 1, 100 and 1,000 tickets unless told otherwise
       cargo xtask cost [--json]     counts what a ticket asks of AWS, and prices a thousand of them
       cargo xtask bench bombs       five gigabytes and a million entries within two gigabytes of memory
       cargo xtask bench functions   start, memory and work of the functions that `package` made
       cargo xtask retrieval --set FILE --trees DIR [--json]
                                     measures how well files are found for real issues, beside BM25; eval/README.md
       cargo xtask soak [MINUTES [A_MINUTE]]
                                     loads one `serve` for long; 60 minutes with 10 tickets a minute
       cargo xtask storm [MINUTES]   kills and stops one `serve` under load; 10 minutes";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = arguments.first().map(String::as_str);
    let done = match task {
        Some("test") => test(arguments.get(1..).unwrap_or_default()),
        Some("sim") => simulate(arguments.get(1..).unwrap_or_default()),
        Some("check") => check(),
        Some("package") => {
            let (options, names): (Vec<_>, Vec<_>) = arguments.iter().skip(1).cloned().partition(|a| a == "--arm64");
            package::release(&names, !options.is_empty())
        }
        Some("template") => template::check(),
        Some("up") => up::up(),
        Some("bench") if arguments.get(1).is_some_and(|name| name == "engine") => {
            measure("engine", arguments.get(2..).unwrap_or_default())
        }
        Some("bench") if arguments.get(1).is_some_and(|name| name == "bombs") => measure("bombs", &[]),
        Some("bench") if arguments.get(1).is_some_and(|name| name == "functions") => {
            // What is measured runs in processes of its own.
            let folder = target().join("lambda").display().to_string();
            let bench = ["bench", "--profile", "dev", "--package", "stories", "--features", package::CLI];
            run("cargo", &[&bench[..], &["--bench", "functions", "--locked", "--quiet", "--", &folder]].concat(), &[])
        }
        Some("retrieval") => {
            let bench = ["run", "--profile", "bench", "--package", "eval", "--locked", "--quiet", "--"];
            let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
            run("cargo", &[&bench[..], &arguments].concat(), &[])
        }
        Some("cost") => cost(arguments.get(1..).unwrap_or_default()),
        Some("storm") => measure("storm", arguments.get(1..).unwrap_or_default()),
        Some("soak") => measure("soak", arguments.get(1..).unwrap_or_default()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Every test; the binary is built first, because some tests run it.
fn test(filter: &[String]) -> anyhow::Result<()> {
    let missing = "the tests push to a real git server: install git 2.40 or newer with `git http-backend` (Debian: `apt-get install git`)";
    run("git", &["--version"], &[]).context(missing)?;
    let exec = Command::new("git").arg("--exec-path").output().context(missing)?;
    let path = String::from_utf8_lossy(&exec.stdout).trim().to_owned();
    if !std::path::Path::new(&path).join("git-http-backend").exists() {
        bail!("{missing}");
    }
    let missing = "a test watches with strace what the program runs and writes: install strace (Debian: `apt-get install strace`)";
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        bail!("{missing}");
    }
    let python = python::environment("emulator")?;
    let beside = filter.is_empty().then(Beside::start).transpose()?;
    run("cargo", &["build", "--workspace", "--features", package::CLI, "--locked"], &[])?;
    package::development()?;
    let mut arguments = vec!["test", "--workspace", "--features", package::CLI, "--locked", "--no-fail-fast", "--"];
    arguments.extend(filter.iter().map(String::as_str));
    let python = python.display().to_string();
    let tallies = target().join("debug/requests");
    if tallies.exists() {
        std::fs::remove_dir_all(&tallies).context("what was counted before cannot be removed")?;
    }
    // Stories wait for processes and for the network more than they work.
    let threads = std::env::var_os("RUST_TEST_THREADS").and_then(|count| count.into_string().ok());
    let threads = threads.unwrap_or_else(|| (2 * available_parallelism().map_or(1, usize::from)).to_string());
    let environment = [("INSTA_UPDATE", "no"), ("PRFACTORY_EMULATOR", &python), ("RUST_TEST_THREADS", &threads)];
    run("cargo", &arguments, &environment)?;
    requests(&tallies)?;
    beside.map_or(Ok(()), Beside::end)
}

/// The simulation, with the processor time that the tests beside it leave.
struct Beside {
    child: Child,
    told: PathBuf,
}

impl Beside {
    fn start() -> anyhow::Result<Self> {
        let told = target().join("simulation.txt");
        let file = std::fs::create_dir_all(target()).and_then(|()| File::create(&told));
        let file = file.with_context(|| format!("{} cannot be written", told.display()))?;
        let child = Command::new("nice").args(["-n", "19", "cargo"]).args(SIMULATION).arg("--all").stdout(file).spawn();
        Ok(Self { child: child.context("`nice` cannot be run")?, told })
    }

    fn end(mut self) -> anyhow::Result<()> {
        let status = self.child.wait().context("the simulation cannot be waited for")?;
        eprintln!("{}", std::fs::read_to_string(&self.told).unwrap_or_default());
        if status.success() { Ok(()) } else { bail!("the simulation failed") }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Where a test failed, nobody waits for it; one that has ended is past killing.
        let _ = self.child.kill();
    }
}

/// Tells how much of what was sent was held against published descriptions; a mistake would have failed its test.
fn requests(tallies: &std::path::Path) -> anyhow::Result<()> {
    let mut all: BTreeMap<(String, String), usize> = BTreeMap::new();
    for file in std::fs::read_dir(tallies).into_iter().flatten() {
        for line in std::fs::read_to_string(file?.path())?.lines() {
            let mut parts = line.split('\t').map(str::to_owned);
            if let (Some(description), Some(operation), Some(count)) = (parts.next(), parts.next(), parts.next()) {
                *all.entry((description, operation)).or_default() += count.parse::<usize>().unwrap_or(0);
            }
        }
    }
    let names: BTreeSet<&String> = all.keys().map(|(description, _)| description).collect();
    for name in names {
        let of = all.iter().filter(|((description, _), _)| description == name);
        let (operations, count) = of.fold((0, 0), |(operations, sum), (_, count)| (operations + 1, sum + count));
        eprintln!(
            "{name}: {count} requests of {operations} operations and their answers fit the description, 0 do not"
        );
    }
    Ok(())
}

/// How `cargo` runs the simulation as it is optimized for many seeds.
const SIMULATION: [&str; 8] = ["run", "--profile", "bench", "--package", "sim", "--locked", "--quiet", "--"];

/// The simulation by itself.
fn simulate(arguments: &[String]) -> anyhow::Result<()> {
    let mut all = SIMULATION.to_vec();
    all.extend(arguments.iter().map(String::as_str));
    if arguments.is_empty() {
        all.push("--all");
    }
    run("cargo", &all, &[])
}

/// Measures the binary as it is optimized for measuring, in a process of its own.
fn measure(bench: &str, arguments: &[String]) -> anyhow::Result<()> {
    run("cargo", &["build", "--profile", "bench", "--package", "prfactory", "--locked"], &[])?;
    let binary = target().join("release/prfactory");
    let mut all = vec!["bench", "--package", "stories", "--bench", bench, "--locked", "--quiet", "--"];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all, &[("PRFACTORY_BIN", &binary.display().to_string())])
}

/// What tickets cost, on functions of the development build.
fn cost(arguments: &[String]) -> anyhow::Result<()> {
    let python = python::environment("emulator")?.display().to_string();
    run("cargo", &["build", "--workspace", "--features", package::CLI, "--locked"], &[])?;
    package::development()?;
    let binary = target().join("debug/prfactory").display().to_string();
    let mut all = vec!["bench", "--profile", "dev", "--package", "stories", "--features", package::CLI];
    all.extend(["--bench", "cost", "--locked", "--quiet", "--"]);
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all, &[("PRFACTORY_EMULATOR", &python), ("PRFACTORY_BIN", &binary)])
}

fn check() -> anyhow::Result<()> {
    run("cargo", &["fmt", "--all", "--check"], &[])?;
    let lint =
        ["clippy", "--workspace", "--all-targets", "--features", package::CLI, "--locked", "--", "-D", "warnings"];
    run("cargo", &lint, &[])?;
    // The command line as most people build it.
    run("cargo", &["clippy", "--package", "prfactory", "--locked", "--", "-D", "warnings"], &[])?;
    let doc = ["doc", "--workspace", "--no-deps", "--features", package::CLI, "--locked"];
    run("cargo", &doc, &[("RUSTDOCFLAGS", "-D warnings")])
}
