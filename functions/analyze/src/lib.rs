//! Understands a ticket against its repository, and asks what has to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::output::AnalysisOutput;
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
pub struct Analyze {
    /// The engine's ports.
    pub engine: Engine,
    /// Opens the snapshot.
    pub workspace: Arc<dyn Workspace>,
}

/// Handles one message of the queue.
pub async fn handle(function: &Analyze, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Analyze {
    fn stage(&self) -> Stage {
        Stage::Analyze
    }

    async fn turn(&self, _holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let tree = input.open(self.workspace.as_ref()).await?;
        let max = input.policy.max_questions;
        let opening = if input.checkpoint.is_none() {
            let mut facts = brief(&self.engine, &input.ctx, &input.ticket).await?.with_repository(tree.as_ref());
            facts.max_questions = max;
            opening(PromptName::Analyze, &input.policy, &facts)
        } else {
            Vec::new()
        };
        let check = move |output: AnalysisOutput, _: &workspace::Jail| output.into_domain(max);
        let task =
            Task { role: ModelRole::Analysis, tools: Tools::Read, opening, changes: BTreeMap::new(), check: &check };
        let (analysis, questions) = match step(&self.engine, &task, tree, &input).await? {
            Step::Turn(turn) => return Ok(*turn),
            Step::Done(done) => done.0,
        };
        let (ticket, now) = (&input.ticket, self.engine.clock.now());
        let version = ticket.analysis.as_ref().map_or(1, |before| before.version + 1);
        let hash = artifact::store(&self.engine, &input.ctx, &analysis).await?;
        let analysis = ArtifactRef { version, hash, changed: String::new() };
        let mut rows = vec![artifact::row(&input.ctx, &ticket.id, "ANALYSIS", &analysis, now)];
        let questions = match questions {
            Some(questions) => {
                let hash = artifact::store(&self.engine, &input.ctx, &questions).await?;
                let questions = ArtifactRef { version: ticket.next_questions(), hash, changed: String::new() };
                rows.push(artifact::row(&input.ctx, &ticket.id, "QUESTION", &questions, now));
                Some(questions)
            }
            None => None,
        };
        Ok(Turn::done(Outcome::Analyzed { analysis, questions }, rows))
    }
}
