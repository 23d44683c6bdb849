//! `intake` on AWS Lambda: opens what the webhook functions sealed, and decides.

use std::process::ExitCode;
use std::sync::Arc;

use forge::Forges;
use intake::{GITHUB, Intake, JIRA};
use lambda::{Arn, Stack, consume, handler};
use tracker::{Jira, Trackers};

lambda::config! {
    github: Arn = "GITHUB_SECRET_ARN",
    jira: Arn = "JIRA_SECRET_ARN",
    handle: String = "HANDLE",
    label: String = "LABEL",
    vault: Arn = "VAULT_KEY_ARN",
    github_app: Option<String> = "GITHUB_APP_ID",
    github_key: Option<String> = "GITHUB_APP_KEY_ARN",
    github_api: Option<String> = "GITHUB_API_URL",
}

fn main() -> ExitCode {
    consume("intake", async || {
        let config = Config::from_env()?;
        let guests = [(GITHUB, "github-sealing-key", &config.github), (JIRA, "jira-sealing-key", &config.jira)];
        let stack = Stack::from_env(&guests).await?;
        let github = stack.github(config.github_app, config.github_key, config.github_api)?;
        let engine = stack.engine.clone();
        let jira = Arc::new(Jira::new(engine.clone(), stack.vault(&config.vault))?);
        let reads = github.clone().map(|github| Arc::new(github) as _);
        let tracker = Arc::new(Trackers::new(engine.clone(), reads, Some(jira)));
        let forge = Arc::new(Forges::new(engine.clone(), github));
        let function = Intake { engine, handle: config.handle, label: config.label, forge, tracker };
        Ok((stack, handler(function, async |function, message: String| intake::handle(&function, &message).await)))
    })
}
