//! Fetches the base commit and stores it; says when the approved plan's files changed under it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::artifact::Plan;
use domain::error::{Failure, Fault};
use domain::input::Outcome;
use domain::path::RepoPath;
use domain::policy::{Policy, PolicyChange};
use domain::state::{Stage, State};
use domain::ticket::Ticket;
use engine::artifact;
use engine::port::{Snapshots, SourceTree, Workspace};
use engine::stage::{Holder, Turn, TurnInput, Work, handle as run};
use engine::{Disposition, Engine};

/// What the function needs.
#[derive(Clone)]
pub struct Snapshot {
    /// The engine's ports.
    pub engine: Engine,
    /// Reads repositories.
    pub snapshots: Arc<dyn Snapshots>,
    /// Opens what was stored.
    pub workspace: Arc<dyn Workspace>,
}

/// The file in which a repository tightens the tenant's policy.
const SETTINGS: &str = ".prfactory.toml";

/// Handles one message of the queue.
pub async fn handle(function: &Snapshot, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Snapshot {
    fn stage(&self) -> Stage {
        Stage::Snapshot
    }

    async fn turn(&self, _holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let ticket = &input.ticket;
        let target = ticket.target().ok_or_else(|| Failure::new(Fault::Bug, "the ticket has no target"))?;
        let implementing = matches!(&ticket.state, State::Snapshotting { then: Stage::Implement });
        let (before, old) = (target.commit.as_ref(), target.snapshot.as_ref());
        if implementing
            && let (Some(commit), Some(snapshot)) = (before, old)
            && self.snapshots.head(&input.ctx, target, &target.base).await?.as_ref() == Some(commit)
        {
            let overrides = ticket.overrides.clone();
            let outcome = Outcome::Snapshotted { commit: commit.clone(), snapshot: snapshot.clone(), overrides };
            return Ok(Turn::done(outcome, Vec::new()));
        }
        let stored = self.snapshots.fetch(&input.ctx, target).await?;
        let tree = self.workspace.open(&input.ctx, &stored.blob).await?;
        if implementing
            && let Some(snapshot) = old
            && let Some(changed) = self.touched(&input, ticket, snapshot, tree.as_ref()).await?
        {
            return Ok(Turn::done(Outcome::BaseMoved { changed }, Vec::new()));
        }
        let overrides = overrides(tree.as_ref())?;
        let outcome = Outcome::Snapshotted { commit: stored.commit, snapshot: stored.blob, overrides };
        Ok(Turn::done(outcome, Vec::new()))
    }
}

impl Snapshot {
    /// Names the files of the approved plan that are not what they were when it was written.
    async fn touched(
        &self,
        input: &TurnInput,
        ticket: &Ticket,
        old: &domain::hash::ContentHash,
        new: &dyn SourceTree,
    ) -> Result<Option<String>, Failure> {
        let Some(hash) = &ticket.approved_plan else {
            return Ok(None);
        };
        let plan: Plan = artifact::load(&self.engine, &input.ctx, hash).await?;
        let before = self.workspace.open(&input.ctx, old).await?;
        let (before, after) = (contents(before.as_ref()), contents(new));
        let planned = plan.body.files.iter().map(|file| &file.path);
        let changed: Vec<String> =
            planned.filter(|path| before.get(*path) != after.get(*path)).map(|path| format!("`{path}`")).collect();
        Ok((!changed.is_empty()).then(|| format!("{} changed on `{}`", changed.join(", "), branch(ticket))))
    }
}

fn branch(ticket: &Ticket) -> &str {
    ticket.target().map_or("", |target| target.base.as_str())
}

fn contents(tree: &dyn SourceTree) -> BTreeMap<&RepoPath, &str> {
    tree.entries().iter().map(|entry| (&entry.path, entry.oid.as_str())).collect()
}

/// Reads the repository's own settings from the base commit; a broken file is said, not ignored.
fn overrides(tree: &dyn SourceTree) -> Result<Option<PolicyChange>, Failure> {
    let invalid = |error: String| Failure::new(Fault::Invalid, format!("`{SETTINGS}` on the base branch: {error}"));
    let path = RepoPath::parse(SETTINGS).map_err(|error| invalid(error.to_string()))?;
    let Some(bytes) = tree.read(&path)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
    let change: PolicyChange = toml::from_str(&text).map_err(|error| invalid(error.message().to_owned()))?;
    Policy::standard().tightened(&change).map_err(|error| invalid(error.to_string()))?;
    Ok(Some(change))
}
