//! Shows the whole way of a ticket: a signed delivery in, a pull request out, a person in between.

mod repository;
mod show;
mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domain::error::Failure;
use domain::id::EndpointId;
use domain::name::{BranchName, RepoName, TrackerKey};
use domain::ticket::TicketText;
use engine::port::Secret;
use local::{Settings, Workers, seed};
use testkit::model::ScriptedModel;

use crate::args::Demo;
use crate::client::Client;
use crate::delivery::RECORDED_ACCOUNT;
use crate::output::Output;
use crate::system::{KEEP, ModelAccess, Server, System};
use crate::{Exit, local_files};

/// The running demo.
struct Stage {
    client: Client,
    server: Server,
    workers: Workers,
    endpoint: EndpointId,
    key: TrackerKey,
    text: TicketText,
    location: String,
    data: PathBuf,
    /// Lives as long as the demo.
    _scripted: Option<ScriptedModel>,
}

/// Runs the demo.
pub(crate) async fn run(args: &Demo, out: Output) -> anyhow::Result<Exit> {
    let data = tempfile::Builder::new()
        .prefix("prfactory-demo-")
        .tempdir()
        .context("no folder for the demo can be made")?
        .keep();
    let (access, scripted) = model(args, out).await?;
    let stage = set(args, data, access, scripted).await?;
    let exit = Box::pin(story::tell(&stage, args.yes, out)).await;
    stage.server.stop().await;
    stage.workers.stop().await;
    exit
}

/// The real model where there is a key, the scripted one otherwise; it says which.
async fn model(args: &Demo, out: Output) -> anyhow::Result<(ModelAccess, Option<ScriptedModel>)> {
    if let Some(access) = ModelAccess::from_args(&args.model) {
        out.line(&format!(
            "Model: {} at {}",
            access.model.as_deref().unwrap_or(agent::price::DEFAULT_MODEL),
            access.url
        ));
        return Ok((access, None));
    }
    let scripted = ScriptedModel::start().await.context("the scripted model cannot be started")?;
    out.line("Model: scripted. ANTHROPIC_API_KEY is not set, so a small script stands in for the model; it speaks");
    out.line("the same API over HTTP, follows explicit edit instructions in a ticket, and understands nothing else.");
    let access = ModelAccess {
        url: scripted.url(),
        key: Secret::new(b"scripted".as_slice()),
        model: Some("scripted".to_owned()),
    };
    Ok((access, Some(scripted)))
}

async fn set(
    args: &Demo,
    data: PathBuf,
    access: ModelAccess,
    scripted: Option<ScriptedModel>,
) -> anyhow::Result<Stage> {
    let (location, base, text, key) = what(args, &data)?;
    let endpoint = EndpointId::parse(&format!("ep_{}", random_hex()?))?;
    let repo = RepoName::parse("demo/repository")?;
    let settings = settings_text(&repo, &location, &base, args.token_file.as_deref(), endpoint.as_str());
    std::fs::write(data.join("prfactory.toml"), settings).context("the settings of the demo cannot be written")?;
    let settings = Settings::load(&data)?;
    let system = System::open(&data)?;
    seed(&system.engine, system.vault.as_ref(), &settings).await?;
    let workers = system.work(access, 2, KEEP).await?;
    let server = Server::start(&system, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let client = Client::new(system, &settings, None, None)?;
    Ok(Stage { client, server, workers, endpoint, key, text, location, data, _scripted: scripted })
}

/// The repository and ticket of the demo: the built-in ones, or somebody's own.
fn what(args: &Demo, data: &Path) -> anyhow::Result<(String, BranchName, TicketText, TrackerKey)> {
    let (Some(repo), Some(ticket)) = (&args.repo, &args.ticket) else {
        let path = data.join("repository.git");
        let base = BranchName::parse("main")?;
        repository::create(&path, &base)?;
        return Ok((path.display().to_string(), base, repository::ticket(), TrackerKey::parse("KAN-22")?));
    };
    let text = local_files::ticket(ticket)?;
    let key = TrackerKey::parse("DEMO-1")?;
    let by_http = repo.starts_with("http://") || repo.starts_with("https://");
    let base = match &args.base {
        Some(base) => BranchName::parse(base)?,
        None if by_http => BranchName::parse("main")?,
        None => workspace::default_branch(Path::new(repo)).map_err(hint)?,
    };
    let location = if by_http {
        repo.clone()
    } else {
        std::fs::canonicalize(repo).with_context(|| format!("{repo} cannot be found"))?.display().to_string()
    };
    Ok((location, base, text, key))
}

fn hint(failure: Failure) -> anyhow::Error {
    anyhow::Error::new(failure).context("give a git repository, and `--base BRANCH` if its HEAD names none")
}

/// 32 random hex digits.
pub(crate) fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(hex::encode(bytes))
}

/// A first `prfactory.toml`, with every setting explained by its name.
pub(crate) fn settings_text(
    repo: &RepoName,
    location: &str,
    base: &BranchName,
    token: Option<&Path>,
    endpoint: &str,
) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let token = token.map(|path| format!("token_file = {}\n", quoted(&path.display().to_string()))).unwrap_or_default();
    format!(
        "# Settings of one machine. Members and roles live here until the API comes.\n\
         [[tenant]]\nid = \"ten_local\"\n\n\
         [tenant.policy]\n# required_approvals = 1\n# budget_usd = \"5\"\n# monthly_budget_usd = \"200\"\n\n\
         [[tenant.member]]\nid = \"mem_you\"\nname = \"you\"\nrole = \"admin\"\njira = {}\n# github = 583231\n\n\
         [[tenant.repository]]\nname = {}\nlocation = {}\nbase = {}\nprojects = []\n{token}\n\
         [[tenant.endpoint]]\nid = {}\ngeneration = 1\n",
        quoted(RECORDED_ACCOUNT),
        quoted(repo.as_str()),
        quoted(location),
        quoted(base.as_str()),
        quoted(endpoint),
    )
}
