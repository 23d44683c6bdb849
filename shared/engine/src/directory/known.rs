//! Repositories of GitHub by the number that stays, whatever they are called.

use domain::error::Failure;
use domain::name::BranchName;

use super::{Repository, change_repository, repositories};
use crate::Engine;
use crate::inbound::Named;
use crate::tenancy::TenantCtx;

/// Our name for a repository of GitHub, by the number that stays, among those of an installation.
///
/// The first delivery about a repository that was connected by name alone binds the number to it; another repository
/// that has taken over the name is not it.
pub async fn known_as(
    engine: &Engine,
    ctx: &TenantCtx,
    installation: u64,
    named: &Named,
) -> Result<Option<Repository>, Failure> {
    let all = repositories(engine, ctx).await?;
    let of = |row: &&Repository| row.github.as_ref().is_some_and(|github| github.installation == installation);
    // Installed anew under another number: what is known by its own number goes on with it.
    let mut orphaned = None;
    if let Some(row) = all.iter().find(|row| row.github.as_ref().is_some_and(|github| github.id == Some(named.id)))
        && let Some(old) = row.github.as_ref().map(|github| github.installation).filter(|old| *old != installation)
    {
        let live =
            super::installation(engine, old).await?.is_some_and(|old| old.is_live() && old.tenant == *ctx.tenant());
        orphaned = (!live).then_some(row);
    }
    let by_id = all.iter().find(|row| row.github.as_ref().is_some_and(|github| github.id == Some(named.id)));
    let unbound = |row: &&Repository| {
        of(row) && row.github.as_ref().is_some_and(|github| github.id.is_none() && github.name == named.name)
    };
    let Some(found) = orphaned.or_else(|| by_id.filter(of)).or_else(|| all.iter().find(unbound)) else {
        return Ok(None);
    };
    let how = |row: &mut Repository| {
        let Some(github) = &mut row.github else {
            return;
        };
        github.installation = installation;
        github.id = Some(named.id);
        github.name = named.name.clone();
        github.public = named.public.unwrap_or(github.public);
        github.seen |= named.public.is_some();
        let base = named.base.as_deref().filter(|_| github.follows).and_then(|base| BranchName::parse(base).ok());
        row.base = base.unwrap_or_else(|| row.base.clone());
    };
    change_repository(engine, ctx, &found.name, how).await
}
