//! Repositories of GitHub by the number that stays, whatever they are called.

use domain::error::{Failure, Fault};
use domain::name::{BranchName, RepoName};
use serde_json::json;

use super::{Connection, ForgeRepo, Repository, change_repository, repositories, repository, store_repository};
use crate::Engine;
use crate::inbound::Named;
use crate::key::Key;
use crate::port::{Condition, Item, TableError, Write};
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
    known_among(engine, ctx, installation, named, &repositories(engine, ctx).await?).await
}

/// The same among repositories that were read before.
async fn known_among(
    engine: &Engine,
    ctx: &TenantCtx,
    installation: u64,
    named: &Named,
    all: &[Repository],
) -> Result<Option<Repository>, Failure> {
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

/// Connects an installation of the GitHub App to a tenant, unless it was removed or is another's.
pub async fn claim(engine: &Engine, ctx: &TenantCtx, installation: u64) -> Result<(), Failure> {
    let taken = || {
        let say = format!("installation {installation} was removed, or belongs to another tenant");
        Failure::new(Fault::Permission, say)
    };
    match super::installation(engine, installation).await? {
        Some(known) if known.tenant == *ctx.tenant() && !known.revoked => return Ok(()),
        Some(_) => return Err(taken()),
        None => {}
    }
    let item = Item::new(Key::installation(installation), json!(Connection::live(ctx.tenant().clone(), 1)));
    let when = vec![Condition::NotExists { now: engine.clock.now() }];
    match engine.table.transact(vec![Write::Put { item, when }]).await {
        Ok(()) => Ok(()),
        Err(TableError::Condition { .. }) => Err(taken()),
        Err(error) => Err(error.into()),
    }
}

/// Connects what an installation may see now; where another repository has the name, that one stays. Says which are
/// connected through it.
pub async fn offer(
    engine: &Engine,
    ctx: &TenantCtx,
    installation: u64,
    offered: &[Named],
) -> Result<Vec<RepoName>, Failure> {
    let mut connected = Vec::with_capacity(offered.len());
    let all = repositories(engine, ctx).await?;
    for named in offered {
        if let Some(known) = known_among(engine, ctx, installation, named, &all).await? {
            connected.push(known.name);
        } else if repository(engine, ctx, &named.name).await?.is_some() {
            tracing::warn!(repository = %named.name, "a repository of this name is connected otherwise, and stays so");
        } else {
            store_repository(engine, ctx, &seen_through(installation, named)).await?;
            connected.push(named.name.clone());
        }
    }
    Ok(connected)
}

fn seen_through(installation: u64, named: &Named) -> Repository {
    let base = named.base.as_deref().and_then(|base| BranchName::parse(base).ok());
    Repository {
        name: named.name.clone(),
        location: String::new(),
        base: base.unwrap_or_else(BranchName::main),
        projects: Vec::new(),
        token: None,
        components: Vec::new(),
        github: Some(ForgeRepo {
            installation,
            id: Some(named.id),
            name: named.name.clone(),
            public: named.public.unwrap_or(false),
            seen: named.public.is_some(),
            follows: true,
        }),
    }
}
