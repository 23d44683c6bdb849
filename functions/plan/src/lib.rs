//! Writes the plan that people approve by its hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::output::PlanOutput;
use agent::{Step, Task, Tools, brief, opening, step};
use async_trait::async_trait;
use domain::artifact::{ArtifactRef, Plan as PlanArtifact, PlanBody};
use domain::error::{Failure, Fault};
use domain::input::Outcome;
use domain::money::Usd;
use domain::policy::ModelRole;
use domain::prompt::PromptName;
use domain::state::Stage;
use engine::port::Workspace;
use engine::stage::{Holder, Turn, TurnInput, Work, handle as run};
use engine::{Disposition, Engine, artifact};

/// What the function needs.
#[derive(Clone)]
pub struct Plan {
    /// The engine's ports.
    pub engine: Engine,
    /// Opens the snapshot.
    pub workspace: Arc<dyn Workspace>,
}

/// Handles one message of the queue.
pub async fn handle(function: &Plan, message: &str) -> Disposition {
    run(&function.engine, function, message).await
}

#[async_trait]
impl Work for Plan {
    fn stage(&self) -> Stage {
        Stage::Plan
    }

    async fn turn(&self, _holder: &Holder<'_>, input: TurnInput) -> Result<Turn, Failure> {
        let tree = input.open(self.workspace.as_ref()).await?;
        let opening = if input.checkpoint.is_none() {
            let facts = brief(&self.engine, &input.ctx, &input.ticket).await?.with_repository(tree.as_ref());
            opening(PromptName::Plan, &input.policy, &facts)
        } else {
            Vec::new()
        };
        let estimate = estimate(input.ticket.budget.spent);
        let check = move |output: PlanOutput, jail: &workspace::Jail| {
            output.into_domain(estimate, &|path| jail.files().contains(path))
        };
        let task =
            Task { role: ModelRole::Plan, tools: Tools::ReadAndAsk, opening, changes: BTreeMap::new(), check: &check };
        match step(&self.engine, &task, tree, &input).await? {
            Step::Turn(turn) => Ok(*turn),
            Step::Done(done) => self.bind(&input, done.0).await,
        }
    }
}

impl Plan {
    /// Binds the plan to ticket, repository, base commit and policy, and says what is new about it.
    async fn bind(&self, input: &TurnInput, body: PlanBody) -> Result<Turn, Failure> {
        let ticket = &input.ticket;
        let target = ticket.target().ok_or_else(|| Failure::new(Fault::Bug, "the ticket has no target"))?;
        let base = target.commit.clone().ok_or_else(|| Failure::new(Fault::Bug, "the ticket has no base commit"))?;
        let version = u32::try_from(ticket.plans.len()).unwrap_or(u32::MAX - 1) + 1;
        let plan = PlanArtifact {
            version,
            ticket: ticket.id.clone(),
            repo: target.repo.clone(),
            base,
            policy: input.policy.version(),
            body,
        };
        let changed = match ticket.plan() {
            Some(before) => {
                let before: PlanArtifact = artifact::load(&self.engine, &input.ctx, &before.hash).await?;
                plan.changes_since(&before)
            }
            None => String::new(),
        };
        let hash = artifact::store(&self.engine, &input.ctx, &plan).await?;
        let plan = ArtifactRef { version, hash, changed };
        let row = artifact::row(&input.ctx, &ticket.id, "PLAN", &plan, self.engine.clock.now());
        Ok(Turn::done(Outcome::Planned { plan }, vec![row]))
    }
}

/// Carrying a plan out has cost about three times what led up to it.
fn estimate(spent: Usd) -> Usd {
    Usd::from_micros(spent.micros().saturating_mul(3).max(10_000))
}
