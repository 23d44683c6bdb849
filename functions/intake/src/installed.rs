//! What the GitHub App was given: repositories come and go with the installation, known by their numbers.

use domain::error::Failure;
use domain::input::{Happening, Input, News};
use domain::name::RepoName;
use domain::principal::Principal;
use engine::commit::{self, Hold};
use engine::directory::{self, Connection};
use engine::inbound::Named;
use engine::tenancy::TenantCtx;
use engine::ticket::list;

use crate::record::ignored;
use crate::{Answer, Case, Intake};

/// What a repository of a delivery is to a tenant.
pub(crate) enum Ours {
    /// A connected one, under this name.
    Named(RepoName),
    /// It has the name of a connected one, and another number.
    AnotherOne,
    /// Nothing.
    Unknown,
}

/// Finds the repository of a delivery by its number.
pub(crate) async fn ours(intake: &Intake, ctx: &TenantCtx, installation: u64, named: &Named) -> Result<Ours, Failure> {
    if let Some(row) = directory::known_as(&intake.engine, ctx, installation, named).await? {
        return Ok(Ours::Named(row.name));
    }
    let namesake = directory::repository(&intake.engine, ctx, &named.name).await?;
    let through_app = namesake.is_some_and(|row| row.github.is_some());
    Ok(if through_app { Ours::AnotherOne } else { Ours::Unknown })
}

/// Takes a suspended installation for active again; says whether it is.
pub(crate) async fn active(case: &Case<'_>, installation: u64) -> Result<bool, Failure> {
    let engine = &case.intake.engine;
    let Some(before) = directory::installation(engine, installation).await?.filter(|before| !before.revoked) else {
        return Ok(false);
    };
    if before.suspended {
        let connection = Connection::live(before.tenant, before.generation);
        directory::store_installation(engine, installation, &connection).await?;
    }
    Ok(true)
}

/// Connects what an installation may see now, and ends the work on what it may see no longer.
pub(crate) async fn changed(case: &Case<'_>, added: &[Named], removed: &[Named]) -> Result<Answer, Failure> {
    let engine = &case.intake.engine;
    let Some(installation) = case.connection.as_deref().and_then(directory::installation_number) else {
        return ignored(case, "an installation without a number").await;
    };
    directory::offer(engine, &case.ctx, installation, added).await?;
    let mut trouble = None;
    for named in removed {
        let Some(row) = directory::known_as(engine, &case.ctx, installation, named).await? else {
            continue;
        };
        // What cannot be ended is found again by the same delivery as long as its repository is.
        if let Err(failure) = end(case, &row.name).await {
            trouble = Some(failure);
            continue;
        }
        directory::remove_repository(engine, &case.ctx, &row.name).await?;
        // What was begun meanwhile, while there still was one.
        trouble = end(case, &row.name).await.err().or(trouble);
    }
    match trouble {
        // The delivery comes again and finds what is left.
        Some(failure) => Err(failure),
        None => ignored(case, "what the installation may see was taken in").await,
    }
}

/// Ends all work on a repository, as far as it can be.
async fn end(case: &Case<'_>, repo: &RepoName) -> Result<(), Failure> {
    let engine = &case.intake.engine;
    let mut trouble = None;
    for ticket in list(engine, &case.ctx).await? {
        let here = ticket.target().is_some_and(|target| target.repo == *repo);
        if !here || ticket.state.is_end() {
            continue;
        }
        let input = Input { by: Principal::System, what: Happening::News(News::Uninstalled) };
        let ended = commit::apply(engine, &case.ctx, &ticket.id, &input, Hold::None, &[]).await;
        trouble = ended.err().or(trouble);
    }
    trouble.map_or(Ok(()), Err)
}
