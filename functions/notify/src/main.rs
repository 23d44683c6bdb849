//! `notify` on AWS Lambda: all that people read.

use std::process::ExitCode;
use std::sync::Arc;

use lambda::{Stack, consume, handler, scratch};
use notify::Notify;
use tracker::LocalTracker;
use workspace::ScratchWorkspace;

lambda::config! {
    handle: String = "HANDLE",
}

fn main() -> ExitCode {
    consume("notify", async || {
        let config = Config::from_env()?;
        let stack = Stack::from_env(&[]).await?;
        let engine = stack.engine.clone();
        let workspace = Arc::new(ScratchWorkspace::new(Arc::clone(&engine.blobs), scratch()?));
        let tracker = Arc::new(LocalTracker::new(engine.clone()));
        let function = Notify { engine, tracker, workspace, handle: config.handle };
        Ok((stack, handler(function, async |function, message: String| notify::handle(&function, &message).await)))
    })
}
