//! `model` on AWS Lambda: the only caller of a model; it waits, and sees no repository.

use std::process::ExitCode;
use std::sync::Arc;

use agent::anthropic::Messages;
use lambda::{Arn, Stack, consume, handler};
use model::Model;

lambda::config! {
    key: Arn = "MODEL_SECRET_ARN",
    url: String = "MODEL_URL",
    name: Option<String> = "MODEL_NAME",
}

fn main() -> ExitCode {
    consume("model", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let (engine, key) = (stack.engine.clone(), stack.stored(&config.key).await?);
        let messages = Messages::new(&config.url, key, config.name, Arc::clone(&engine.clock))?;
        let function = Model { engine, model: Arc::new(messages) };
        Ok((stack, handler(function, async |function, message: String| model::handle(&function, &message).await)))
    })
}
