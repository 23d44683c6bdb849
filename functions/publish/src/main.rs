//! `publish` on AWS Lambda: the only writer of branches and pull requests.

use std::process::ExitCode;
use std::sync::Arc;

use forge::LocalForge;
use lambda::{Arn, Stack, consume, handler, scratch};
use publish::Publish;
use workspace::{GitSource, ScratchWorkspace};

lambda::config! {
    vault: Arn = "VAULT_KEY_ARN",
}

fn main() -> ExitCode {
    consume("publish", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let engine = stack.engine.clone();
        let workspace = ScratchWorkspace::new(Arc::clone(&engine.blobs), scratch()?);
        let commits = Arc::new(GitSource::new(engine.clone(), stack.vault(&config.vault), scratch()?)?);
        let forge = Arc::new(LocalForge::new(engine.clone()));
        let function = Publish { engine, workspace: Arc::new(workspace), commits, forge };
        Ok((stack, handler(function, async |function, message: String| publish::handle(&function, &message).await)))
    })
}
