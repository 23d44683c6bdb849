//! Carries out what the command line says.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::name::{BranchName, RepoName};
use intake::{Answer, CliWish};
use local::{Settings, seed};
use serde_json::{Value, json};
use webhooks::endpoint_secret;

use crate::args::{Cli, Command, Serve, Ticket};
use crate::client::{Client, key};
use crate::output::Output;
use crate::system::{ModelAccess, Server, System};
use crate::{Exit, context, demo, doctor, github, jira, local_files, usage, view};

/// Sets up logging: structured and on standard error for `serve`, warnings only otherwise.
pub fn logging(serving: bool) {
    let level = if serving { "info" } else { "error" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("PRFACTORY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if serving {
        builder.json().init();
    } else {
        builder.without_time().init();
    }
}

/// Says what went wrong, and what to do about it.
pub fn report(json: bool, error: &anyhow::Error) {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    if json {
        Output::new(true).object(&json!({ "error": causes.join(": ") }));
    } else {
        eprintln!("error: {}", causes.join("\n  because "));
    }
}

/// Carries out one command.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let out = Output::new(cli.json);
    match &cli.command {
        Command::Demo(args) => Box::pin(demo::run(args, out)).await,
        Command::Serve(args) => serve(&cli.data, args, out).await,
        Command::Webhooks => webhooks(&cli.data, out),
        Command::Usage { key: k, month } => usage::run(&client(&cli).await?, k.as_deref(), month.as_deref(), out).await,
        Command::Github(task) => github::run(&client(&cli).await?, task, out).await,
        Command::Jira(task) => jira::run(&client(&cli).await?, &Settings::load(&cli.data)?, task, out).await,
        Command::Context(args) => context::run(args, out),
        Command::Doctor(args) => doctor::run(&cli.data, args, out).await,
        Command::Admin(args) => admin(args, out).await,
        Command::Init { repo, location, base } => init(&cli.data, repo, location, base, out),
        Command::Ticket(ticket) => tickets(&client(&cli).await?, ticket, out).await,
        Command::Status { key: k, watch } => status(&client(&cli).await?, k, *watch, out).await,
        Command::Pr { key: k } => pull_request(&client(&cli).await?, k, out).await,
        Command::Answer { key: k, answers } if answers.is_empty() => say(&cli, k, "skip", out).await,
        Command::Answer { key: k, answers } => say(&cli, k, &format!("answer {}", answers.join(" ")), out).await,
        Command::Approve { key: k, hash, note } => {
            let note = note.as_ref().map(|note| format!(" -- {note}")).unwrap_or_default();
            say(&cli, k, &format!("approve {}{note}", hash.as_deref().unwrap_or("")), out).await
        }
        Command::Reject { key: k, reason } => say(&cli, k, &format!("reject {}", reason.join(" ")), out).await,
        Command::Replan { key: k, instruction } => {
            say(&cli, k, &format!("replan {}", instruction.join(" ")), out).await
        }
        Command::Cancel { key: k } => say(&cli, k, "cancel", out).await,
        Command::Retry { key: k } => say(&cli, k, "retry", out).await,
        Command::Say { key: k, command } => say(&cli, k, &command.join(" "), out).await,
    }
}

async fn client(cli: &Cli) -> anyhow::Result<Client> {
    let settings = Settings::load(&cli.data)
        .context("there is no system in this folder yet; `prfactory init` makes one, `--data` names another folder")?;
    let system = System::open(&cli.data)?;
    seed(&system.engine, system.vault.as_ref(), &settings).await?;
    Client::new(system, &settings, cli.tenant.as_deref(), cli.member.as_deref())
}

#[cfg(feature = "aws")]
async fn admin(args: &crate::args::Admin, out: Output) -> anyhow::Result<Exit> {
    crate::admin::run(args, out).await
}

#[cfg(not(feature = "aws"))]
fn admin(_args: &crate::args::Admin, _out: Output) -> std::future::Ready<anyhow::Result<Exit>> {
    let say = "this prfactory knows nothing of AWS; build it with `cargo build -p prfactory --features aws`";
    std::future::ready(Err(anyhow::anyhow!(say)))
}

async fn serve(data: &Path, args: &Serve, out: Output) -> anyhow::Result<Exit> {
    let settings = Settings::load(data)
        .context("there is nothing to serve yet; `prfactory init` writes a first prfactory.toml")?;
    let access = ModelAccess::from_args(&args.model).context("there is no model key; set ANTHROPIC_API_KEY")?;
    let keep = Duration::try_from(settings.keep).ok().filter(|keep| !keep.is_zero());
    let keep = keep.context("`keep` in prfactory.toml must be a time such as `720h`")?;
    let system = System::open(data)?;
    seed(&system.engine, system.vault.as_ref(), &settings).await?;
    let workers = system.work(access, usize::from(args.workers), keep).await?;
    // Every connection is a file; the hard limit stays the operator's.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(error = %error, "the limit of open files could not be raised");
    }
    let server = Server::start(&system, args.listen).await?;
    let address = server.address;
    out.either(
        &format!("listening on http://{address}; stop with Ctrl-C"),
        &json!({ "listening": address.to_string() }),
    );
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("signals cannot be received")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("signals cannot be received")?,
        _ = terminate.recv() => {}
    }
    server.stop().await;
    workers.stop().await;
    Ok(Exit::Done)
}

fn init(data: &Path, repo: &str, location: &str, base: &str, out: Output) -> anyhow::Result<Exit> {
    let path = data.join("prfactory.toml");
    if path.exists() {
        bail!("{} exists; edit it instead", path.display());
    }
    let repo = RepoName::parse(repo)?;
    let base = BranchName::parse(base)?;
    std::fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    let endpoint = format!("ep_{}", demo::random_hex()?);
    let text = demo::settings_text(&repo, location, &base, None, &endpoint);
    std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    Settings::load(data)?.check()?;
    out.either(
        &format!("wrote {}; look through it, then run `prfactory serve`", path.display()),
        &json!({ "settings": path }),
    );
    Ok(Exit::Done)
}

/// Shows what must be entered elsewhere; the one command that prints secrets, because that is what it is for.
fn webhooks(data: &Path, out: Output) -> anyhow::Result<Exit> {
    let settings = Settings::load(data)?;
    settings.check()?;
    let system = System::open(data)?;
    let show = |at: &str, secret: Option<&str>| {
        let secret = secret.context("secrets.toml lacks the secret for this address")?;
        out.either(&format!("{at}\n  secret: {secret}"), &json!({ "path": at, "secret": secret }));
        anyhow::Ok(())
    };
    let github = system.secrets.versions("github-webhook")?;
    show(github_webhook::PATH, github.first().and_then(|secret| secret.expose_text()))?;
    let master = system.secrets.versions("endpoint-master")?;
    for endpoint in settings.tenant.iter().flat_map(|tenant| &tenant.endpoint).filter(|endpoint| !endpoint.revoked) {
        let secret = master.first().and_then(|master| endpoint_secret(master, &endpoint.id, endpoint.generation));
        let at = format!("{}{}/{}", jira_webhook::PREFIX, endpoint.id, endpoint.generation);
        show(&at, secret.as_ref().and_then(|secret| secret.expose_text()))?;
    }
    Ok(Exit::Done)
}

async fn say(cli: &Cli, k: &str, command: &str, out: Output) -> anyhow::Result<Exit> {
    let client = client(cli).await?;
    let key = key(k)?;
    if client.find(&key).await?.is_none() {
        return Ok(missing(k, out));
    }
    Ok(answered(&client.say(&key, command).await?, out))
}

fn missing(k: &str, out: Output) -> Exit {
    out.either(&format!("There is no ticket {k}."), &json!({ "error": "no such ticket", "ticket": k }));
    Exit::NotFound
}

/// Says what became of a request.
fn answered(answer: &Answer, out: Output) -> Exit {
    let value = serde_json::to_value(answer).unwrap_or(Value::Null);
    let (text, exit) = match answer {
        Answer::Started { ticket } => (format!("Started as {ticket}."), Exit::Done),
        Answer::Moved { state, .. } => (format!("Done; the ticket is now {state}."), Exit::Done),
        Answer::Told { text, refused } => (view::plain(text), if *refused { Exit::Refused } else { Exit::Done }),
        Answer::Duplicate => ("This was done before.".to_owned(), Exit::Done),
        Answer::Ignored { why } => (format!("Nothing was done: {why}."), Exit::Refused),
    };
    out.either(&text, &value);
    exit
}

async fn tickets(client: &Client, ticket: &Ticket, out: Output) -> anyhow::Result<Exit> {
    match ticket {
        Ticket::Create { key: k, file, repo, base } => {
            let text = local_files::ticket(file)?;
            let repo = repo.as_deref().map(RepoName::parse).transpose()?;
            let base = base.as_deref().map(BranchName::parse).transpose()?;
            let answer = client.ask(&key(k)?, CliWish::Create { text, repo, base }).await?;
            Ok(answered(&answer, out))
        }
        Ticket::List => {
            let tickets = engine::ticket::list(&client.system().engine, client.ctx()).await?;
            if tickets.is_empty() {
                out.line("No tickets yet; `prfactory ticket create` starts one.");
            } else {
                out.line(&view::table(&tickets));
            }
            for ticket in &tickets {
                out.object(&view::object(ticket));
            }
            Ok(Exit::Done)
        }
        Ticket::Show { key: k } => {
            let key = key(k)?;
            let Some(ticket) = client.find(&key).await? else {
                return Ok(missing(k, out));
            };
            let comments = view::comments(client, &key).await?;
            let mut object = view::object(&ticket);
            if let Some(fields) = object.as_object_mut() {
                fields.insert("comments".to_owned(), json!(comments));
            }
            out.object(&object);
            out.line(&view::lines(&ticket));
            for comment in &comments {
                out.line(&format!("\n────────\n{comment}"));
            }
            out.line(&format!("\n{}", view::timeline(client, &ticket).await?));
            Ok(Exit::Done)
        }
    }
}

/// How often a watched ticket is looked at.
const WATCH: Duration = Duration::from_millis(200);

async fn status(client: &Client, k: &str, watch: bool, out: Output) -> anyhow::Result<Exit> {
    let key = key(k)?;
    let mut shown = None;
    loop {
        let Some(ticket) = client.find(&key).await? else {
            return Ok(missing(k, out));
        };
        if shown != Some(ticket.events) {
            shown = Some(ticket.events);
            out.either(&view::lines(&ticket), &view::object(&ticket));
        }
        if !watch || ticket.state.stage().is_none() {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(WATCH).await;
    }
}

async fn pull_request(client: &Client, k: &str, out: Output) -> anyhow::Result<Exit> {
    let Some(ticket) = client.find(&key(k)?).await? else {
        return Ok(missing(k, out));
    };
    let Some((opened, diff)) = view::pull_request(client, &ticket).await? else {
        out.either("No pull request yet.", &json!({ "ticket": ticket.key, "pull_request": null }));
        return Ok(Exit::NotFound);
    };
    let number = opened.reference.number;
    out.object(&json!({ "ticket": ticket.key, "pull_request": number, "head": opened.reference.head,
        "state": opened.state, "title": opened.text.title, "body": opened.text.body, "diff": diff }));
    out.line(&format!("#{number} {}\n\n{}\n\n{diff}", opened.text.title, opened.text.body));
    Ok(Exit::Done)
}
