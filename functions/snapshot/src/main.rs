//! `snapshot` on AWS Lambda: the only reader of repositories.

use std::process::ExitCode;
use std::sync::Arc;

use lambda::{Arn, Stack, consume, handler, scratch};
use snapshot::Snapshot;
use workspace::{GitSource, ScratchWorkspace};

lambda::config! {
    vault: Arn = "VAULT_KEY_ARN",
    github_app: Option<String> = "GITHUB_APP_ID",
    github_key: Option<String> = "GITHUB_APP_KEY_ARN",
    github_api: Option<String> = "GITHUB_API_URL",
}

fn main() -> ExitCode {
    consume("snapshot", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let workspace = ScratchWorkspace::new(Arc::clone(&stack.engine.blobs), scratch()?);
        let github = stack.github(config.github_app, config.github_key, config.github_api)?;
        let source = GitSource::new(stack.engine.clone(), stack.vault(&config.vault), scratch()?)?;
        let source = source.with_tokens(github.map(|github| Arc::new(github) as _));
        let engine = stack.engine.clone();
        let function = Snapshot { engine, snapshots: Arc::new(source), workspace: Arc::new(workspace) };
        Ok((stack, handler(function, async |function, message: String| snapshot::handle(&function, &message).await)))
    })
}
