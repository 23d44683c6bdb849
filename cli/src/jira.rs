//! `prfactory jira`: connects a tenant to its site, and says exactly what is missing.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use engine::directory::JiraStatuses;
use engine::port::Secret;
use engine::tenancy::TenantCtx;
use serde_json::json;
use tracker::Jira;
use tracker::jira::{Checked, Credentials, EVENTS};
use webhooks::endpoint_secret;

use crate::Exit;
use crate::client::Client;
use crate::output::Output;

/// What to do with a site of Jira.
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
#[derive(Debug, Subcommand)]
pub enum JiraTask {
    /// Logs in, remembers how, and has the site deliver to us where our account may arrange that.
    Connect(JiraConnect),
    /// Says who we are there and which permission is missing.
    Test {
        /// The project whose permissions are looked at; those of the whole site unless told otherwise.
        #[arg(long)]
        project: Option<String>,
    },
}

/// Arguments of `jira connect`.
#[derive(Debug, Args)]
pub struct JiraConnect {
    /// The site, such as <https://acme.atlassian.net>.
    #[arg(long)]
    pub site: String,
    /// The address of the service account.
    #[arg(long)]
    pub email: Option<String>,
    /// A file with the service account's API token.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The site's number at Atlassian, for OAuth 2.0.
    #[arg(long)]
    pub cloud: Option<String>,
    /// The OAuth client.
    #[arg(long)]
    pub client: Option<String>,
    /// A file with the OAuth client's secret.
    #[arg(long, value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// A file with a first refresh token.
    #[arg(long, value_name = "FILE")]
    pub refresh_token_file: Option<PathBuf>,
    /// Where this system is reached from outside, so that the webhook can be registered.
    #[arg(long)]
    pub url: Option<String>,
    /// The status of a ticket once work has begun.
    #[arg(long)]
    pub in_progress: Option<String>,
    /// The status of a ticket once its pull request is open.
    #[arg(long)]
    pub in_review: Option<String>,
    /// The status of a ticket once that is merged.
    #[arg(long)]
    pub done: Option<String>,
    /// The field that names a ticket's repository, such as `customfield_10050`.
    #[arg(long)]
    pub repository_field: Option<String>,
}

/// Carries out one task.
pub(crate) async fn run(
    client: &Client,
    settings: &local::Settings,
    task: &JiraTask,
    out: Output,
) -> anyhow::Result<Exit> {
    let (jira, ctx) = (&client.system().jira, client.ctx());
    if let JiraTask::Connect(_) = task {
        client.must_be_admin("connecting a site").await?;
    }
    carry_out(jira, ctx, task, endpoint(client, settings)?, out).await
}

/// An endpoint of Jira: its path below wherever we are reached, or its whole address; and its secret.
pub(crate) type Endpoint = (String, Secret);

/// The same for whoever may do it.
pub(crate) async fn carry_out(
    jira: &Jira,
    ctx: &TenantCtx,
    task: &JiraTask,
    endpoint: Option<Endpoint>,
    out: Output,
) -> anyhow::Result<Exit> {
    let args = match task {
        JiraTask::Connect(args) => args,
        JiraTask::Test { project } => return Ok(told(&jira.test(ctx, project.as_deref()).await?, out)),
    };
    let statuses = JiraStatuses {
        in_progress: args.in_progress.clone(),
        in_review: args.in_review.clone(),
        done: args.done.clone(),
    };
    let statuses = (statuses != JiraStatuses::default()).then_some(statuses);
    let credentials = credentials(args)?;
    let checked = jira.connect(ctx, &args.site, &credentials, (statuses, args.repository_field.clone())).await?;
    let exit = told(&checked, out);
    let Some((path, secret)) = endpoint else {
        let say = "No endpoint was named that the site could deliver to: add a `[[tenant.endpoint]]` to prfactory.toml, or make one with `admin endpoint create` and name it, then run this again.";
        out.either(say, &json!({ "endpoint": null }));
        return Ok(exit);
    };
    let address = match &args.url {
        Some(_) if path.starts_with("http") => bail!("the stack knows its own address; leave out --url"),
        Some(url) => format!("{}{path}", url.trim_end_matches('/')),
        None => path,
    };
    if address.starts_with("http") && jira.register(ctx, &address, &secret).await? {
        out.either(&format!("Jira delivers to {address}"), &json!({ "webhook": address, "registered": true }));
    } else {
        by_hand(&address, &secret, out);
    }
    Ok(exit)
}

/// The endpoint of the tenant, and its secret.
fn endpoint(client: &Client, settings: &local::Settings) -> anyhow::Result<Option<Endpoint>> {
    let tenant = settings.tenant.iter().find(|tenant| tenant.id == *client.tenant());
    let live = tenant.and_then(|tenant| tenant.endpoint.iter().find(|endpoint| !endpoint.revoked));
    let Some(endpoint) = live else {
        return Ok(None);
    };
    let master = client.system().secrets.versions("endpoint-master")?;
    let master = master.first().context("secrets.toml lacks `endpoint-master`")?;
    let secret =
        endpoint_secret(master, &endpoint.id, endpoint.generation).context("the endpoint's secret cannot be made")?;
    Ok(Some((format!("{}{}/{}", jira_webhook::PREFIX, endpoint.id, endpoint.generation), secret)))
}

fn by_hand(address: &str, secret: &Secret, out: Output) {
    let secret = secret.expose_text().unwrap_or_default();
    let events = EVENTS.join(", ");
    let say = format!(
        "Our account may not register webhooks, or you gave no --url. An administrator of Jira adds one under System, WebHooks:\n  address: {address}\n  secret: {secret}\n  events: {events}"
    );
    out.either(&say, &json!({ "webhook": address, "secret": secret, "events": EVENTS, "registered": false }));
}

fn credentials(args: &JiraConnect) -> anyhow::Result<Credentials> {
    let read = |path: &std::path::Path| -> anyhow::Result<Secret> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Secret::new(text.trim().as_bytes()))
    };
    match (&args.email, &args.token_file, &args.cloud, &args.client, &args.client_secret_file, &args.refresh_token_file)
    {
        (Some(email), Some(token), None, None, None, None) => {
            Ok(Credentials::Token { email: email.clone(), token: read(token)? })
        }
        (None, None, Some(cloud), Some(client), Some(secret), Some(refresh)) => Ok(Credentials::OAuth {
            cloud: cloud.clone(),
            client: client.clone(),
            secret: read(secret)?,
            refresh: read(refresh)?,
        }),
        _ => bail!(
            "give --email and --token-file for a service account, or --cloud, --client, --client-secret-file and --refresh-token-file for OAuth 2.0"
        ),
    }
}

/// Says who we are there, and what we may not do.
fn told(checked: &Checked, out: Output) -> Exit {
    let missing: Vec<String> = checked.missing.iter().map(|(name, why)| format!("  {name}: to {why}")).collect();
    let value = json!({ "account": checked.account, "name": checked.name, "missing": checked.missing });
    if missing.is_empty() {
        out.either(&format!("Connected as {} ({}); nothing is missing.", checked.name, checked.account), &value);
        return Exit::Done;
    }
    let say =
        format!("Connected as {} ({}). Missing permissions:\n{}", checked.name, checked.account, missing.join("\n"));
    out.either(&say, &value);
    Exit::Failed
}
