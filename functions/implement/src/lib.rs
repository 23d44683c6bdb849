//! Carries out the approved plan on a jailed copy and stores the whole change.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::output::ChangeOutput;
use agent::{Facts, Step, Task, Tools, brief, opening, step};
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
            let mut facts = brief(&self.engine, &input.ctx, ticket).await?;
            facts.needed_plan()?;
            let files = self.so_far(&input, &tree, &mut facts).await?;
            let facts = facts.with_repository(tree.as_ref());
            (opening(PromptName::Implement, &input.policy, &facts), files)
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
    /// What earlier rounds changed: as it is for the same base; what the pull request shows is carried over to a later one.
    async fn so_far(
        &self,
        input: &TurnInput,
        tree: &Arc<dyn SourceTree>,
        facts: &mut Facts,
    ) -> Result<BTreeMap<RepoPath, FileChange>, Failure> {
        let ticket = &input.ticket;
        let Some(before) = &ticket.change_set else {
            return Ok(BTreeMap::new());
        };
        let before: ChangeSet = artifact::load(&self.engine, &input.ctx, &before.hash).await?;
        if before.base == *tree.commit() {
            return Ok(before.files);
        }
        let Some(old) =
            ticket.published_snapshot.as_ref().filter(|_| ticket.published_base.as_ref() == Some(&before.base))
        else {
            return Ok(BTreeMap::new());
        };
        let old = self.workspace.open(&input.ctx, old).await?;
        let carried = workspace::carry(&before, old.as_ref(), tree);
        let change_set = ChangeSet { base: tree.commit().clone(), files: carried.files };
        facts.diff = Some(workspace::diff(tree.as_ref(), &change_set));
        let said = facts.feedback.take().unwrap_or_default();
        let open = match carried.open.join("\n- ") {
            open if open.is_empty() => "Nothing is in its way.".to_owned(),
            open => format!("Still open:\n- {open}"),
        };
        facts.feedback = Some(
            format!("{said}\nThe change was carried over to the base branch as it is now. {open}").trim().to_owned(),
        );
        Ok(change_set.files)
    }
}

/// A change that changes nothing is none.
fn changed(jail: &workspace::Jail) -> Result<ChangeSet, String> {
    let change_set = jail.change_set().map_err(|error| error.to_string())?;
    if change_set.files.is_empty() {
        return Err("Nothing is changed yet. Carry out the plan before you finish.".to_owned());
    }
    for (path, change) in &change_set.files {
        if let FileChange::Write { text, .. } = change
            && workspace::is_marked(text)
            && !jail
                .base()
                .read(path)
                .ok()
                .flatten()
                .is_some_and(|before| workspace::is_marked(&String::from_utf8_lossy(&before)))
        {
            return Err(format!(
                "`{path}` has lines between `<<<<<<<` and `>>>>>>>`. Decide each of them before you finish."
            ));
        }
    }
    Ok(change_set)
}
