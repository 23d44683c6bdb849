//! The template, deployed on this machine with functions of the development build, a tenant and a repository.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::json;
use xtask::emulator::{Emulator, Stack, Wish};
use xtask::program::{output, root, run, target};
use xtask::{package, python};

/// The name of the stack.
const NAME: &str = "prfactory";
/// The endpoint of the tenant.
const ENDPOINT: &str = "ep_00000000000000000000000000";
/// The person in the recorded deliveries of Jira, and their project.
const PERSON: &str = "712020:00000000-0000-4000-8000-00000000ada0";
/// The project of the recorded deliveries of Jira.
const PROJECT: &str = "KAN";

/// Deploys the template and keeps it up until the terminal says stop.
pub(crate) fn up() -> anyhow::Result<()> {
    let python = python::environment("emulator")?;
    run("cargo", &["build", "--workspace", "--features", package::CLI, "--locked"], &[])?;
    package::development()?;
    let folder = target().join("up");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let emulator = Emulator::start(&python, &folder, Wish { foreground: true, ..Wish::default() })?;
    let stack = emulator.deploy(
        &std::fs::read_to_string(root().join("template.yaml"))?,
        NAME,
        &[("Architecture", "x86_64")],
    )?;
    let described = emulator.aws(&["cloudformation", "describe-stacks", "--stack-name", NAME])?;
    std::fs::write(folder.join("stack.json"), described.to_string())?;
    if let Some(key) = std::env::var_os("ANTHROPIC_API_KEY") {
        let secret = json!({ "current": key.to_string_lossy() }).to_string();
        let put = ["secretsmanager", "put-secret-value", "--secret-id", stack.output("ModelSecretArn")?];
        emulator.aws(&[&put[..], &["--secret-string", &secret]].concat())?;
    }
    settle(&emulator, &folder)?;
    explain(&emulator, &stack, &folder)?;
    // Ctrl-C ends this process and the emulator's with it.
    output(Command::new("tail").args(["--pid", &emulator.id().to_string(), "-f", "/dev/null"])).map(|_| ())
}

/// Brings in a tenant with a copy of this very repository.
fn settle(emulator: &Emulator, folder: &Path) -> anyhow::Result<()> {
    let repository = folder.join("project.git");
    output(Command::new("git").args(["clone", "--quiet", "--bare"]).arg(root()).arg(&repository))?;
    let branch = output(Command::new("git").arg("-C").arg(&repository).args(["symbolic-ref", "--short", "HEAD"]))?;
    let settings = format!(
        "[[tenant]]\nid = \"ten_acme\"\n\n[[tenant.member]]\nid = \"mem_ada\"\nname = \"Ada\"\nrole = \"admin\"\njira = \"{PERSON}\"\n\n\
         [[tenant.repository]]\nname = \"acme/project\"\nlocation = {location:?}\nbase = {branch:?}\nprojects = [\"{PROJECT}\"]\n\n\
         [[tenant.endpoint]]\nid = \"{ENDPOINT}\"\ngeneration = 1\n",
        location = repository.display().to_string(),
        branch = branch.trim(),
    );
    let file = folder.join("prfactory.toml");
    std::fs::write(&file, settings)?;
    let mut admin = Command::new(target().join("debug/prfactory"));
    admin.arg("admin").arg("--stack").arg(folder.join("stack.json")).arg("apply").arg(file);
    output(admin.envs(emulator.environment())).map(|_| ())
}

#[expect(clippy::print_stdout, reason = "this is what the task is for")]
fn explain(emulator: &Emulator, stack: &Stack, folder: &Path) -> anyhow::Result<()> {
    let port = emulator.endpoint().rsplit(':').next().context("no port")?.to_owned();
    let url = format!("http://{}.execute-api.localhost:{port}", stack.output("ApiId")?);
    for (name, value) in emulator.environment() {
        println!("export {name}={value}");
    }
    println!("export PRFACTORY_STACK={}", folder.join("stack.json").display());
    println!("\n# The webhooks are at {url}/webhooks/…");
    println!("# Send an event from events/, with a fresh time, signed with the secret of the tenant's endpoint:");
    println!("secret=$(target/debug/prfactory admin webhook --endpoint {ENDPOINT} | sed -n 's/.*secret: //p')");
    println!(
        "sed \"s/\\\"timestamp\\\": *[0-9]*/\\\"timestamp\\\": $(date +%s000)/\" events/jira/issue_updated_labels.json > {0}/event.json",
        folder.display()
    );
    println!(
        "curl -i {url}/webhooks/jira/{ENDPOINT}/1 --data-binary @{0}/event.json \\\n  -H \"x-hub-signature: sha256=$(openssl dgst -sha256 -hmac \"$secret\" -r {0}/event.json | cut -d' ' -f1)\"",
        folder.display()
    );
    println!("# What the functions do and say: {}", emulator.log().display());
    if std::env::var_os("ANTHROPIC_API_KEY").is_none() {
        println!("# Without ANTHROPIC_API_KEY the ticket fails at its first model call, and says so.");
    }
    println!("# Ctrl-C ends all of it.");
    Ok(())
}
