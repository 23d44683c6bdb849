//! `refine` on AWS Lambda: reads its queue, sees a snapshot and blobs, holds no secret but the sealing key.

use std::process::ExitCode;
use std::sync::Arc;

use domain::name::ModelName;
use engine::Engine;
use lambda::{Stack, consume, handler, scratch};
use refine::Refine;
use workspace::ScratchWorkspace;

lambda::config! {
    name: Option<ModelName> = "MODEL_NAME",
}

fn main() -> ExitCode {
    consume("refine", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let engine = Engine { model: config.name, ..stack.engine.clone() };
        let workspace = ScratchWorkspace::new(Arc::clone(&stack.engine.blobs), scratch()?);
        let function = Refine { engine, workspace: Arc::new(workspace) };
        Ok((stack, handler(function, async |function, message: String| refine::handle(&function, &message).await)))
    })
}
