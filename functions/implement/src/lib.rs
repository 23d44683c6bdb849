//! Carries out the approved plan on a jailed copy and stores the whole change.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::output::ChangeOutput;
use agent::{Step, Task, Tools, brief, opening, step};
use async_trait::async_trait;
use domain::artifact::ArtifactRef;
use domain::change_set::{ChangeSet, FileChange};
use domain::error::{Failure, Fault};
use domain::input::Outcome;
use domain::path::RepoPath;
use domain::policy::ModelRole;
use domain::prompt::PromptName;
use domain::state::Stage;
use engine::port::{SourceTree, Workspace};
use engine::stage::{Holder, Turn, TurnInput, Work, handle as run};
use engine::{Disposition, Engine, artifact};

/// What the function needs.
#[derive(Clone)]
pub struct Implement {
    /// The engine's ports.
    pub engine: Engine,
    /// Opens the snapshot.
    pub workspace: Arc<dyn Workspace>,
}

/// Handles one message of the queue.
pub async fn handle(function: &Implement, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Implement {
    fn stage(&self) -> Stage {
        Stage::Implement
    }

    async fn turn(&self, _holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let ticket = &input.ticket;
        if ticket.approved_plan.is_none() {
            return Err(Failure::new(Fault::Bug, "nothing is changed without an approved plan"));
        }
        let tree = input.open(self.workspace.as_ref()).await?;
        let (opening, changes) = if input.checkpoint.is_none() {
            let facts = brief(&self.engine, &input.ctx, ticket).await?;
            facts.needed_plan()?;
            let facts = facts.with_repository(tree.as_ref());
            (opening(PromptName::Implement, &input.policy, &facts), self.so_far(&input, tree.as_ref()).await?)
        } else {
            (Vec::new(), BTreeMap::new())
        };
        let check = |_: ChangeOutput, jail: &workspace::Jail| changed(jail);
        let task = Task { role: ModelRole::Implement, tools: Tools::Write, opening, changes, check: &check };
        let change_set = match step(&self.engine, &task, tree, &input).await? {
            Step::Turn(turn) => return Ok(*turn),
            Step::Done(done) => done.0,
        };
        let version = ticket.change_set.as_ref().map_or(1, |before| before.version + 1);
        let hash = artifact::store(&self.engine, &input.ctx, &change_set).await?;
        let change_set = ArtifactRef { version, hash, changed: String::new() };
        let row = artifact::row(&input.ctx, &ticket.id, "CHANGESET", &change_set, self.engine.clock.now());
        Ok(Turn::done(Outcome::Implemented { change_set }, vec![row]))
    }
}

impl Implement {
    /// What earlier rounds changed, if it was for the same base.
    async fn so_far(
        &self,
        input: &TurnInput,
        tree: &dyn SourceTree,
    ) -> Result<BTreeMap<RepoPath, FileChange>, Failure> {
        let Some(before) = &input.ticket.change_set else {
            return Ok(BTreeMap::new());
        };
        let before: ChangeSet = artifact::load(&self.engine, &input.ctx, &before.hash).await?;
        Ok(if before.base == *tree.commit() { before.files } else { BTreeMap::new() })
    }
}

/// A change that changes nothing is none.
fn changed(jail: &workspace::Jail) -> Result<ChangeSet, String> {
    let change_set = jail.change_set().map_err(|error| error.to_string())?;
    if change_set.files.is_empty() {
        return Err("Nothing is changed yet. Carry out the plan before you finish.".to_owned());
    }
    Ok(change_set)
}
