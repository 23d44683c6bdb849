//! `prfactory github`: connects an installation of the GitHub App to a tenant, once its owner has signed in.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::principal::{Role, Via};
use engine::tenancy::TenantCtx;
use engine::{Engine, directory};
use forge::{Claimable, Claims};
use serde_json::json;

use crate::Exit;
use crate::client::Client;
use crate::output::Output;

/// What to do with the GitHub App.
#[derive(Debug, Subcommand)]
pub enum GithubTask {
    /// Connects an installation: signs you in at GitHub, and asks whether you administer the account it was made for.
    Claim {
        /// Its number, where you administer several.
        #[arg(long)]
        installation: Option<u64>,
    },
}

/// Carries out one task.
pub(crate) async fn run(client: &Client, task: &GithubTask, out: Output) -> anyhow::Result<Exit> {
    let GithubTask::Claim { installation } = task;
    client.must_be_admin("connecting an installation").await?;
    let github = client.system().github.as_ref().context("prfactory.toml has no [github]: name the App first")?;
    let claims = github.claims().await?;
    claim(&client.system().engine, client.ctx(), &claims, *installation, out).await
}

/// Signs a person in and connects what they administer.
pub(crate) async fn claim(
    engine: &Engine,
    ctx: &TenantCtx,
    claims: &Claims,
    wanted: Option<u64>,
    out: Output,
) -> anyhow::Result<Exit> {
    let code = claims.begin().await?;
    let (address, enter) = (&code.verification_uri, &code.user_code);
    out.either(
        &format!("Open {address} and enter {enter}. Only do so if you began this yourself."),
        &json!({ "open": address, "enter": enter }),
    );
    let token = claims.signed_in(&code).await?;
    let (who, all) = claims.claimable(&token).await?;
    // A code may be passed on to somebody who does not know what it is for: an admin of this very tenant does.
    let member = directory::member_of(engine, ctx, "github", &who.id.to_string(), Via::Github).await?;
    if member.is_none_or(|member| member.role < Role::Admin) {
        let (login, id, tenant) = (&who.login, who.id, ctx.tenant());
        bail!("@{login} signed in at GitHub and is no admin of {tenant}; an admin whose GitHub number is {id} may");
    }
    let one = chosen(&all, wanted)?;
    directory::claim(engine, ctx, one.installation).await?;
    let connected = directory::offer(engine, ctx, one.installation, &one.repositories).await?;
    let names: Vec<&str> = connected.iter().map(domain::name::RepoName::as_str).collect();
    let (number, account, tenant) = (one.installation, &one.account, ctx.tenant());
    out.either(
        &format!("Installation {number} of {account} belongs to {tenant} now, by @{}. Connected: {}", who.login, names.join(", ")),
        &json!({ "by": who.login, "installation": number, "account": account, "tenant": tenant, "repositories": names }),
    );
    Ok(Exit::Done)
}

fn chosen(all: &[Claimable], wanted: Option<u64>) -> anyhow::Result<&Claimable> {
    let listed = || {
        let one = |one: &Claimable| format!("{} ({})", one.installation, one.account);
        all.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match (wanted, all) {
        (Some(number), _) => all.iter().find(|one| one.installation == number).with_context(|| {
            format!("you do not administer the account of installation {number}; those you do: [{}]", listed())
        }),
        (None, [one]) => Ok(one),
        (None, []) => bail!("the App is not installed on any account that you administer; install it first"),
        (None, _) => bail!("you administer several: {}; name one with --installation", listed()),
    }
}
