//! What the template must pass before anybody deploys it.

use std::process::Command;

use anyhow::Context as _;
use xtask::program::{output, root, run};
use xtask::python;

/// Lints the template, and holds it to our own rules and to those of others.
pub(crate) fn check() -> anyhow::Result<()> {
    let template = root().join("template.yaml").display().to_string();
    let (rules, config) = (root().join("infra/rules"), root().join("infra/checkov.yaml"));
    let program = |environment: &str, name: &str| -> anyhow::Result<String> {
        Ok(python::environment(environment)?.join("bin").join(name).display().to_string())
    };
    let quiet = [("SAM_CLI_TELEMETRY", "0")];
    run(&program("cfn-lint", "cfn-lint")?, &[&template], &[])?;
    let validate = ["validate", "--lint", "--template-file", &template, "--region", "eu-central-1"];
    run(&program("sam", "sam")?, &validate, &quiet)?;
    output(Command::new("cfn-guard").arg("--version")).context("`cfn-guard` is needed: `cargo install --locked cfn-guard`")?;
    let guard = ["validate", "--data", &template, "--rules", &rules.display().to_string(), "--show-summary", "fail"];
    run("cfn-guard", &guard, &[])?;
    run(&program("checkov", "checkov")?, &["--file", &template, "--config-file", &config.display().to_string()], &[])
}
