//! `sweep` on AWS Lambda: the one timer, and the consumer of dead letters.

use std::process::ExitCode;

use lambda::{Stack, each_minute, handler};

fn main() -> ExitCode {
    each_minute("sweep", async || {
        let stack = Stack::from_env(&[]).await?;
        let engine = stack.engine.clone();
        let sweep = handler(engine, async |engine, ()| {
            let swept = sweep::handle(&engine).await?;
            Ok(vec![("Relayed", swept.relayed), ("Resumed", swept.tickets), ("DeadLetters", swept.dead)])
        });
        Ok((stack, sweep))
    })
}
