//! The story of the demo, told from the ticket's own history while it happens.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::state::{Awaited, State};
use domain::ticket::Ticket;
use engine::port::Secret;
use intake::Answer;
use serde_json::json;
use webhooks::{endpoint_secret, sign};

use crate::demo::{Stage, show};
use crate::output::Output;
use crate::{Exit, delivery, view};

/// How often the ticket is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// Tells it; ends when the pull request is open, or when it cannot be.
pub(super) async fn tell(stage: &Stage, yes: bool, out: Output) -> anyhow::Result<Exit> {
    deliver(stage, out).await?;
    let mut shown = 0;
    let spinner = show::Spinner::new(out);
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(ticket) = stage.client.find(&stage.key).await? else {
            continue;
        };
        let events = view::events(&stage.client, &ticket).await?;
        for event in events.iter().skip(shown) {
            spinner.line(&format!("  {:<28} {}", event.to, event.what));
            out.object(&json!({ "event": "state", "ticket": ticket.key, "state": event.to, "what": event.what, "by": event.by, "at": event.at }));
        }
        shown = events.len();
        spinner.at(ticket.state.explained().0);
        let stands = &ticket.state;
        if *stands == State::InReview {
            spinner.end();
            return show::finale(stage, &ticket, out).await;
        }
        if let State::Failed { error, .. } = stands {
            spinner.end();
            out.line(&format!("\n{}", view::lines(&ticket)));
            bail!("{}", error.message);
        }
        if stands.is_end() || matches!(stands, State::Paused { .. }) {
            spinner.end();
            out.either(&format!("\n{}", view::lines(&ticket)), &view::object(&ticket));
            return Ok(Exit::Refused);
        }
        if stands.awaits_decision() || matches!(stands, State::AwaitingAnswers | State::PlanApproved) {
            decide(stage, &ticket, yes, &spinner, out).await?;
        }
    }
}

/// A tampered delivery first, to be turned away; then the real one.
async fn deliver(stage: &Stage, out: Output) -> anyhow::Result<()> {
    let system = stage.client.system();
    let now = system.engine.clock.now();
    let body = delivery::jira_label(&stage.key, &stage.text, now)?;
    let masters: Vec<Secret> = system.secrets.versions("endpoint-master")?;
    let secret = masters.first().and_then(|master| endpoint_secret(master, &stage.endpoint, 1));
    let signature = sign(&secret.context("there is no secret for the endpoint")?, &body);
    let mut forged = signature.clone();
    let last = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(last);
    let path = format!("{}{}/1", jira_webhook::PREFIX, stage.endpoint);
    let refused = delivery::post(stage.server.address, &path, &forged, &body).await?;
    let tickets = engine::ticket::list(&system.engine, stage.client.ctx()).await?.len();
    out.line(&format!("\nA delivery with one digit of its signature changed: HTTP {refused}, {tickets} tickets."));
    out.object(&json!({ "event": "delivery", "signature": "forged", "status": refused, "tickets": tickets }));
    if refused != 401 || tickets != 0 {
        bail!("a forged delivery was not turned away");
    }
    let accepted = delivery::post(stage.server.address, &path, &signature, &body).await?;
    out.line(&format!(
        "The recorded Jira delivery \"label prfactory set on {}\", signed: HTTP {accepted}.\n",
        stage.key
    ));
    out.object(&json!({ "event": "delivery", "signature": "valid", "status": accepted }));
    if accepted != 202 {
        bail!("the delivery was not accepted");
    }
    Ok(())
}

/// Shows what waits, once it is said, and asks the person.
async fn decide(stage: &Stage, ticket: &Ticket, yes: bool, spinner: &show::Spinner, out: Output) -> anyhow::Result<()> {
    let comments = view::comments(&stage.client, &stage.key).await?;
    let waiting = match ticket.state.awaited() {
        Some(Awaited::Refinement) => "**Refined ticket",
        Some(Awaited::Plan) => "**Plan v",
        Some(Awaited::Diff) => "**This diff",
        None if ticket.state == State::AwaitingAnswers => "**Questions",
        None => "**PRFactory",
    };
    let hash = ticket.awaiting().map(|artifact| artifact.hash.short().to_owned());
    let named =
        |comment: &&String| hash.as_ref().is_none_or(|h| comment.contains(h.as_str()) || waiting == "**Refined ticket");
    let Some(comment) = comments.iter().rev().filter(|c| c.starts_with(waiting)).find(named) else {
        return Ok(());
    };
    spinner.line(&format!("\n{comment}\n"));
    let usual = match hash {
        Some(hash) => format!("approve {hash}"),
        None if ticket.state == State::AwaitingAnswers => "skip".to_owned(),
        None => "implement".to_owned(),
    };
    loop {
        let command = if yes { usual.clone() } else { spinner.paused(|| ask(&usual))? };
        let answer = stage.client.say(&stage.key, &command).await?;
        spinner.line(&format!("  you: {command}"));
        out.object(&json!({ "event": "command", "command": command, "answer": answer }));
        match answer {
            Answer::Told { text, .. } if !yes => spinner.line(&view::plain(&text)),
            Answer::Told { text, .. } => bail!("{text}"),
            Answer::Ignored { why } => bail!("{why}"),
            Answer::Started { .. } | Answer::Moved { .. } | Answer::Duplicate => return Ok(()),
        }
    }
}

/// Asks for a command; an empty line takes the usual one.
fn ask(usual: &str) -> anyhow::Result<String> {
    let mut err = std::io::stderr().lock();
    write!(err, "  your command [{usual}]: ").and_then(|()| err.flush()).context("the terminal is gone")?;
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).context("your answer cannot be read")?;
    if read == 0 {
        bail!("nobody is there to decide; `--yes` answers and approves by itself");
    }
    let line = line.trim().trim_start_matches("@prfactory").trim();
    Ok(if line.is_empty() { usual.to_owned() } else { line.to_owned() })
}
