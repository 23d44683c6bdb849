//! Gathers what a stage tells the model about its ticket.

use domain::artifact::{Plan, Review};
use domain::error::{Failure, Fault};
use domain::ticket::Ticket;
use engine::Engine;
use engine::artifact::load;
use engine::port::SourceTree;
use engine::tenancy::TenantCtx;

use crate::prompt::Facts;

/// Most tokens of the repository that go into a prompt.
const REPOSITORY: usize = 20_000;

/// Loads every artifact that a ticket has so far.
pub async fn brief(engine: &Engine, ctx: &TenantCtx, ticket: &Ticket) -> Result<Facts, Failure> {
    let mut facts = Facts { ticket: Some(ticket.text.clone()), feedback: ticket.feedback.clone(), ..Facts::default() };
    if let Some(hash) = &ticket.context {
        facts.context = Some(load(engine, ctx, hash).await?);
    }
    if let Some(artifact) = &ticket.analysis {
        facts.analysis = Some(load(engine, ctx, &artifact.hash).await?);
    }
    if let Some(artifact) = &ticket.questions {
        facts.questions = Some(load(engine, ctx, &artifact.hash).await?);
    }
    if let Some(artifact) = &ticket.answers {
        facts.answers = load(engine, ctx, &artifact.hash).await?;
    }
    if let Some(artifact) = &ticket.refinement {
        facts.refinement = Some(load(engine, ctx, &artifact.hash).await?);
    }
    facts.plan = plan_of(engine, ctx, ticket).await?;
    if let Some(artifact) = &ticket.review {
        let review: Review = load(engine, ctx, &artifact.hash).await?;
        facts.review = (!review.findings.is_empty()).then_some(review);
    }
    if let Some(hash) = &ticket.review_batch {
        facts.batch = Some(load(engine, ctx, hash).await?);
    }
    Ok(facts)
}

/// Loads the approved plan, or the latest one where none is approved.
pub async fn plan_of(engine: &Engine, ctx: &TenantCtx, ticket: &Ticket) -> Result<Option<Plan>, Failure> {
    let hash = ticket.approved_plan.as_ref().or(ticket.plan().map(|plan| &plan.hash));
    match hash {
        Some(hash) => load(engine, ctx, hash).await.map(Some),
        None => Ok(None),
    }
}

impl Facts {
    /// Adds the shape of the repository and the files most like the ticket; those that analysis or plan name count as
    /// mentioned in it.
    #[must_use]
    pub fn with_repository(mut self, tree: &dyn SourceTree) -> Self {
        if let Some(ticket) = &self.ticket {
            let relevant = self.analysis.iter().flat_map(|analysis| &analysis.relevant_files);
            let planned = self.plan.iter().flat_map(|plan| &plan.body.files).map(|file| &file.path);
            let mut text = ticket.clone();
            for path in relevant.chain(planned) {
                text.body.push('\n');
                text.body.push_str(path.as_str());
            }
            let selection = context::select(&context::Index::of(tree), &text);
            self.repository = Some(context::pack(tree, &selection, REPOSITORY));
        }
        self
    }

    /// The plan, which a stage that runs after planning cannot do without.
    pub fn needed_plan(&self) -> Result<&Plan, Failure> {
        self.plan.as_ref().ok_or_else(|| Failure::new(Fault::Bug, "there is no plan"))
    }
}
