//! Tasks of this workspace: `cargo xtask test` runs every test, `cargo xtask check` what CI checks before.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

const USAGE: &str = "usage: cargo xtask test [FILTER…]   runs every test
       cargo xtask check             runs fmt, clippy and docs";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = arguments.first().map(String::as_str);
    let done = match task {
        Some("test") => test(arguments.get(1..).unwrap_or_default()),
        Some("check") => check(),
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
    run("cargo", &["build", "--workspace", "--locked"], &[])?;
    let mut arguments = vec!["test", "--workspace", "--locked", "--"];
    arguments.extend(filter.iter().map(String::as_str));
    run("cargo", &arguments, &[("INSTA_UPDATE", "no")])
}

fn check() -> anyhow::Result<()> {
    run("cargo", &["fmt", "--all", "--check"], &[])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
    run("cargo", &["doc", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", "-D warnings")])
}

fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .with_context(|| format!("`{program}` cannot be run"))?;
    if status.success() { Ok(()) } else { bail!("`{program} {}` failed", arguments.join(" ")) }
}
