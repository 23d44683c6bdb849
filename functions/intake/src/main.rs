//! `intake` on AWS Lambda: opens what the webhook functions sealed, and decides.

use std::process::ExitCode;

use intake::{GITHUB, Intake, JIRA};
use lambda::{Arn, Stack, consume, handler};

lambda::config! {
    github: Arn = "GITHUB_SECRET_ARN",
    jira: Arn = "JIRA_SECRET_ARN",
    handle: String = "HANDLE",
    label: String = "LABEL",
}

fn main() -> ExitCode {
    consume("intake", async || {
        let config = Config::from_env()?;
        let guests = [(GITHUB, "github-sealing-key", &config.github), (JIRA, "jira-sealing-key", &config.jira)];
        let stack = Stack::from_env(&guests).await?;
        let function = Intake { engine: stack.engine.clone(), handle: config.handle, label: config.label };
        Ok((stack, handler(function, async |function, message: String| intake::handle(&function, &message).await)))
    })
}
