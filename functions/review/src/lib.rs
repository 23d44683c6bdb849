//! Judges a change: the gates, which no model decides, and a fresh look at the diff against the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::output::ReviewOutput;
use agent::{Step, Task, Tools, brief, opening, step};
use async_trait::async_trait;
use domain::artifact::{ArtifactRef, Review as ReviewArtifact, Severity};
use domain::change_set::ChangeSet;
use domain::error::{Failure, Fault};
use domain::gate;
use domain::input::Outcome;
use domain::path::RepoPath;
use domain::policy::ModelRole;
use domain::prompt::PromptName;
use domain::state::Stage;
use engine::inbound::Batch;
use engine::port::{SourceTree, Workspace};
use engine::stage::{Holder, Turn, TurnInput, Work, handle as run};
use engine::{Disposition, Engine, artifact};

/// What the function needs.
#[derive(Clone)]
pub struct Review {
    /// The engine's ports.
    pub engine: Engine,
    /// Opens the snapshot.
    pub workspace: Arc<dyn Workspace>,
}

/// Handles one message of the queue.
pub async fn handle(function: &Review, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Review {
    fn stage(&self) -> Stage {
        Stage::Review
    }

    async fn turn(&self, _holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let ticket = &input.ticket;
        let tree = input.open(self.workspace.as_ref()).await?;
        let change = ticket.change_set.as_ref().ok_or_else(|| Failure::new(Fault::Bug, "there is no change"))?;
        let change_set: ChangeSet = artifact::load(&self.engine, &input.ctx, &change.hash).await?;
        let opening = if input.checkpoint.is_none() {
            let mut facts = brief(&self.engine, &input.ctx, ticket).await?;
            facts.diff = Some(workspace::diff(tree.as_ref(), &change_set));
            opening(PromptName::Review, &input.policy, &facts)
        } else {
            Vec::new()
        };
        let check = |output: ReviewOutput, _: &workspace::Jail| output.into_domain();
        let task =
            Task { role: ModelRole::Review, tools: Tools::None, opening, changes: BTreeMap::new(), check: &check };
        let (summary, findings) = match step(&self.engine, &task, Arc::clone(&tree), &input).await? {
            Step::Turn(turn) => return Ok(*turn),
            Step::Done(done) => done.0,
        };
        let critical = findings.iter().filter(|finding| finding.severity == Severity::Critical).count();
        let scope = self.scope(&input).await?;
        let gates = gate::check(&change_set, &|path| before(tree.as_ref(), path), &scope, &input.policy);
        let review = ReviewArtifact { change_set: change.hash.clone(), summary, findings };
        let hash = artifact::store(&self.engine, &input.ctx, &review).await?;
        let version = ticket.review.as_ref().map_or(1, |before| before.version + 1);
        let review = ArtifactRef { version, hash, changed: String::new() };
        let row = artifact::row(&input.ctx, &ticket.id, "REVIEW", &review, self.engine.clock.now());
        Ok(Turn::done(Outcome::Reviewed { review, critical, gates }, vec![row]))
    }
}

impl Review {
    /// What may be touched: the approved plan's files, and those that threads of a writer's review name.
    async fn scope(&self, input: &TurnInput) -> Result<Vec<RepoPath>, Failure> {
        let facts = brief(&self.engine, &input.ctx, &input.ticket).await?;
        let mut scope: Vec<RepoPath> = facts.needed_plan()?.body.files.iter().map(|file| file.path.clone()).collect();
        if let Some(batch) = &input.ticket.review_batch {
            let batch: Batch = artifact::load(&self.engine, &input.ctx, batch).await?;
            scope.extend(batch.threads.iter().filter_map(|thread| RepoPath::parse(&thread.path).ok()));
        }
        Ok(scope)
    }
}

fn before(tree: &dyn SourceTree, path: &RepoPath) -> String {
    tree.read(path).ok().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
