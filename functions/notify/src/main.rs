//! `notify` on AWS Lambda: all that people read.

use std::process::ExitCode;
use std::sync::Arc;

use forge::Forges;
use lambda::{Arn, Stack, consume, handler, scratch};
use notify::Notify;
use tracker::{Jira, Trackers};
use workspace::ScratchWorkspace;

lambda::config! {
    handle: String = "HANDLE",
    vault: Arn = "VAULT_KEY_ARN",
    github_app: Option<String> = "GITHUB_APP_ID",
    github_key: Option<String> = "GITHUB_APP_KEY_ARN",
    github_api: Option<String> = "GITHUB_API_URL",
}

fn main() -> ExitCode {
    consume("notify", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let engine = stack.engine.clone();
        let workspace = Arc::new(ScratchWorkspace::new(Arc::clone(&engine.blobs), scratch()?));
        let github = stack.github(config.github_app, config.github_key, config.github_api)?;
        let jira = Arc::new(Jira::new(engine.clone(), stack.vault(&config.vault))?);
        let speaks = github.clone().map(|github| Arc::new(github) as _);
        let tracker = Arc::new(Trackers::new(engine.clone(), speaks, Some(jira)));
        let forge = Arc::new(Forges::new(engine.clone(), github));
        let function = Notify { engine, tracker, forge, workspace, handle: config.handle };
        Ok((stack, handler(function, async |function, message: String| notify::handle(&function, &message).await)))
    })
}
