//! The template, deployed on this machine with functions of the development build.

use std::process::Command;

use anyhow::Context as _;
use xtask::emulator::{Emulator, Stack};
use xtask::program::{output, root, run, target};
use xtask::{package, python};

/// The name of the stack.
const NAME: &str = "prfactory";

/// Deploys the template and keeps it up until the terminal says stop.
pub(crate) fn up() -> anyhow::Result<()> {
    let python = python::environment("emulator")?;
    run("cargo", &["build", "--workspace", "--features", package::CLI, "--locked"], &[])?;
    package::development()?;
    let folder = target().join("up");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let emulator = Emulator::start(&python, &folder, None, false)?;
    let stack = emulator.deploy(&root().join("template.yaml"), NAME, &[("Architecture", "x86_64")])?;
    let described = emulator.aws(&["cloudformation", "describe-stacks", "--stack-name", NAME])?;
    let file = folder.join("stack.json");
    std::fs::write(&file, described.to_string())?;
    explain(&emulator, &stack, &file.display().to_string())?;
    // Ctrl-C ends this process and the emulator's with it.
    output(Command::new("tail").args(["--pid", &emulator.id().to_string(), "-f", "/dev/null"])).map(|_| ())
}

#[expect(clippy::print_stdout, reason = "this is what the task is for")]
fn explain(emulator: &Emulator, stack: &Stack, file: &str) -> anyhow::Result<()> {
    let api = stack.output("ApiId")?;
    let port = emulator.endpoint().rsplit(':').next().context("no port")?.to_owned();
    for (name, value) in emulator.environment() {
        println!("export {name}={value}");
    }
    println!("export PRFACTORY_STACK={file}");
    println!("\n# webhooks: http://{api}.execute-api.localhost:{port}/webhooks/github");
    println!("# a first tenant, and the secret of the GitHub App's webhook:");
    println!("prfactory admin tenant create ten_acme --installation 2 && prfactory admin webhook");
    println!("# an event, signed with that secret (see events/README.md):");
    println!(
        "body=events/github/issues.labeled.json; curl -i http://{api}.execute-api.localhost:{port}/webhooks/github \\\n  -H \"x-github-event: issues\" -H \"x-hub-signature-256: sha256=$(openssl dgst -sha256 -hmac \"$SECRET\" -r $body | cut -d' ' -f1)\" --data-binary @$body"
    );
    println!("# everything the functions say: {}", emulator.log().display());
    println!("# Ctrl-C ends all of it.");
    Ok(())
}
