//! Repositories of GitHub by the number that stays, whatever they are called.

use domain::error::Failure;
use domain::name::BranchName;

use super::{Repository, repositories, store_repository};
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
    let by_id = all.iter().find(|row| row.github.as_ref().is_some_and(|github| github.id == Some(named.id)));
    let unbound = |row: &&Repository| {
        of(row) && row.github.as_ref().is_some_and(|github| github.id.is_none() && github.name == named.name)
    };
    let Some(found) = by_id.filter(of).or_else(|| all.iter().find(unbound)) else {
        return Ok(None);
    };
    let (mut row, mut now) = (found.clone(), found.github.clone());
    if let Some(github) = &mut now {
        github.id = Some(named.id);
        github.name = named.name.clone();
        github.public = named.public.unwrap_or(github.public);
    }
    let follows = now.as_ref().is_some_and(|github| github.follows);
    let base = named.base.as_deref().filter(|_| follows).and_then(|base| BranchName::parse(base).ok());
    let base = base.unwrap_or_else(|| row.base.clone());
    if now != row.github || base != row.base {
        (row.github, row.base) = (now, base);
        store_repository(engine, ctx, &row).await?;
    }
    Ok(Some(row))
}

