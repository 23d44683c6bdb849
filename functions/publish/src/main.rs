//! `publish` on AWS Lambda: the only writer of branches and pull requests.

use std::process::ExitCode;
use std::sync::Arc;

use forge::{Forges, Writers};
use lambda::{Arn, Stack, consume, handler, scratch};
use publish::Publish;
use workspace::{GitSource, ScratchWorkspace};

lambda::config! {
    vault: Arn = "VAULT_KEY_ARN",
    github_app: Option<String> = "GITHUB_APP_ID",
    github_key: Option<String> = "GITHUB_APP_KEY_ARN",
    github_api: Option<String> = "GITHUB_API_URL",
}

fn main() -> ExitCode {
    consume("publish", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let github = stack.github(config.github_app, config.github_key, config.github_api)?;
        let engine = stack.engine.clone();
        let workspace = ScratchWorkspace::new(Arc::clone(&engine.blobs), scratch()?);
        let git = Arc::new(GitSource::new(engine.clone(), stack.vault(&config.vault), scratch()?)?);
        let commits = Arc::new(Writers::new(engine.clone(), git, github.clone()));
        let forge = Arc::new(Forges::new(engine.clone(), github));
        let function = Publish { engine, workspace: Arc::new(workspace), commits, forge };
        Ok((stack, handler(function, async |function, message: String| publish::handle(&function, &message).await)))
    })
}
