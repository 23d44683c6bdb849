//! Writes the refined ticket from the original, the code and the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::output::RefinementOutput;
use agent::{Step, Task, Tools, brief, opening, step};
use async_trait::async_trait;
use domain::artifact::ArtifactRef;
use domain::error::Failure;
use domain::input::Outcome;
use domain::policy::ModelRole;
use domain::prompt::PromptName;
use domain::state::Stage;
use engine::port::Workspace;
use engine::stage::{Holder, Turn, TurnInput, Work, handle as run};
use engine::{Disposition, Engine, artifact};

/// What the function needs.
#[derive(Clone)]
pub struct Refine {
    /// The engine's ports.
    pub engine: Engine,
    /// Opens the snapshot.
    pub workspace: Arc<dyn Workspace>,
}

/// Handles one message of the queue.
pub async fn handle(function: &Refine, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Refine {
    fn stage(&self) -> Stage {
        Stage::Refine
    }

    async fn turn(&self, _holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let tree = input.open(self.workspace.as_ref()).await?;
        let opening = if input.checkpoint.is_none() {
            let facts = brief(&self.engine, &input.ctx, &input.ticket).await?.with_repository(tree.as_ref());
            opening(PromptName::Refine, &input.policy, &facts)
        } else {
            Vec::new()
        };
        let check = |output: RefinementOutput, _: &workspace::Jail| output.into_domain();
        let task = Task {
            role: ModelRole::Analysis,
            tools: Tools::ReadAndAsk,
            opening,
            changes: BTreeMap::new(),
            check: &check,
        };
        let refinement = match step(&self.engine, &task, tree, &input).await? {
            Step::Turn(turn) => return Ok(*turn),
            Step::Done(done) => done.0,
        };
        let version = input.ticket.refinement.as_ref().map_or(1, |before| before.version + 1);
        let hash = artifact::store(&self.engine, &input.ctx, &refinement).await?;
        let refinement = ArtifactRef { version, hash, changed: String::new() };
        let row = artifact::row(&input.ctx, &input.ticket.id, "REFINEMENT", &refinement, self.engine.clock.now());
        Ok(Turn::done(Outcome::Refined { refinement }, vec![row]))
    }
}
