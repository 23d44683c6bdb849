//! Works through a review of the pull request: every thread gets an answer, the change stays whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::output::RevisionOutput;
use agent::{Step, Task, Tools, brief, opening, step};
use async_trait::async_trait;
use domain::artifact::ArtifactRef;
use domain::change_set::ChangeSet;
use domain::error::{Failure, Fault};
use domain::input::Outcome;
use domain::policy::ModelRole;
use domain::prompt::PromptName;
use domain::state::Stage;
use engine::inbound::Batch;
use engine::port::Workspace;
use engine::stage::{Holder, Turn, TurnInput, Work, handle as run};
use engine::{Disposition, Engine, artifact};

/// What the function needs.
#[derive(Clone)]
pub struct Revise {
    /// The engine's ports.
    pub engine: Engine,
    /// Opens the snapshot.
    pub workspace: Arc<dyn Workspace>,
}

/// Handles one message of the queue.
pub async fn handle(function: &Revise, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Revise {
    fn stage(&self) -> Stage {
        Stage::Revise
    }

    async fn turn(&self, _holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let ticket = &input.ticket;
        let tree = input.open(self.workspace.as_ref()).await?;
        let change = ticket.change_set.as_ref().ok_or_else(|| Failure::new(Fault::Bug, "there is no change"))?;
        let (opening, changes) = if input.checkpoint.is_none() {
            let change_set: ChangeSet = artifact::load(&self.engine, &input.ctx, &change.hash).await?;
            let mut facts = brief(&self.engine, &input.ctx, ticket).await?;
            facts.diff = Some(workspace::diff(tree.as_ref(), &change_set));
            (opening(PromptName::Revise, &input.policy, &facts), change_set.files)
        } else {
            (Vec::new(), BTreeMap::new())
        };
        let threads = self.threads(&input).await?;
        let ids: Vec<&str> = threads.iter().map(String::as_str).collect();
        let check = move |output: RevisionOutput, jail: &workspace::Jail| {
            let answer = output.into_domain(&ids)?;
            Ok((answer, jail.change_set().map_err(|error| error.to_string())?))
        };
        let task = Task { role: ModelRole::Implement, tools: Tools::Write, opening, changes, check: &check };
        let (answer, change_set) = match step(&self.engine, &task, tree, &input).await? {
            Step::Turn(turn) => return Ok(*turn),
            Step::Done(done) => done.0,
        };
        let now = self.engine.clock.now();
        let hash = artifact::store(&self.engine, &input.ctx, &change_set).await?;
        let change_set = ArtifactRef { version: change.version + 1, hash, changed: String::new() };
        let hash = artifact::store(&self.engine, &input.ctx, &answer).await?;
        let answer = ArtifactRef { version: change_set.version, hash, changed: String::new() };
        let told = Some(answer.hash.clone());
        let rows = vec![
            artifact::row(&input.ctx, &ticket.id, "CHANGESET", &change_set, now),
            artifact::row(&input.ctx, &ticket.id, "ANSWER", &answer, now),
        ];
        Ok(Turn::done(Outcome::Revised { change_set, answer: told }, rows))
    }
}

impl Revise {
    async fn threads(&self, input: &TurnInput) -> Result<Vec<String>, Failure> {
        let Some(batch) = &input.ticket.review_batch else {
            return Ok(Vec::new());
        };
        let batch: Batch = artifact::load(&self.engine, &input.ctx, batch).await?;
        Ok(batch.threads.into_iter().map(|thread| thread.id).collect())
    }
}
