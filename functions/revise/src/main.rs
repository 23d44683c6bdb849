//! `revise` on AWS Lambda: reads its queue, sees a snapshot and blobs, holds no secret but the sealing key.

use std::process::ExitCode;
use std::sync::Arc;

use lambda::{Stack, consume, handler, scratch};
use revise::Revise;
use workspace::ScratchWorkspace;

fn main() -> ExitCode {
    consume("revise", async || {
        let stack = Stack::from_env(&[]).await?;
        let workspace = ScratchWorkspace::new(Arc::clone(&stack.engine.blobs), scratch()?);
        let function = Revise { engine: stack.engine.clone(), workspace: Arc::new(workspace) };
        Ok((stack, handler(function, async |function, message: String| revise::handle(&function, &message).await)))
    })
}
