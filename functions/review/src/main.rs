//! `review` on AWS Lambda: reads its queue, sees a snapshot and blobs, holds no secret but the sealing key.

use std::process::ExitCode;
use std::sync::Arc;

use lambda::{Stack, consume, handler, scratch};
use review::Review;
use workspace::ScratchWorkspace;

fn main() -> ExitCode {
    consume("review", async || {
        let stack = Stack::from_env(&[]).await?;
        let workspace = ScratchWorkspace::new(Arc::clone(&stack.engine.blobs), scratch()?);
        let function = Review { engine: stack.engine.clone(), workspace: Arc::new(workspace) };
        Ok((stack, handler(function, async |function, message: String| review::handle(&function, &message).await)))
    })
}
