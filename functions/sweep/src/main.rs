//! `sweep` on AWS Lambda: the one timer, and the consumer of dead letters.

use std::process::ExitCode;

use lambda::{Stack, each_minute, handler};

lambda::config! {
    github_app: Option<String> = "GITHUB_APP_ID",
    github_key: Option<String> = "GITHUB_APP_KEY_ARN",
    github_api: Option<String> = "GITHUB_API_URL",
}

/// How often GitHub is asked what did not come through, in seconds.
const RECOVER: i64 = 5 * 60;

fn main() -> ExitCode {
    each_minute("sweep", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let github = stack.github(config.github_app, config.github_key, config.github_api)?;
        let function = (stack.engine.clone(), github);
        let sweep = handler(function, async |(engine, github), ()| {
            let swept = sweep::handle(&engine).await?;
            let now = engine.clock.now();
            let mut counted = vec![("Relayed", swept.relayed), ("Resumed", swept.tickets), ("DeadLetters", swept.dead)];
            if let Some(github) = github.filter(|_| now.as_second().rem_euclid(RECOVER) < 60) {
                let missed = github.recover(now).await?;
                counted.push(("MissedDeliveries", missed.again));
            }
            Ok(counted)
        });
        Ok((stack, sweep))
    })
}
