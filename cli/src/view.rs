//! Tickets as people and programs see them.

use std::fmt::Write as _;

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use domain::change_set::ChangeSet;
use domain::decide::Event;
use domain::money::Usd;
use domain::name::TrackerKey;
use domain::state::State;
use domain::ticket::Ticket;
use engine::call::CallRecord;
use engine::key::{Key, TicketPartition};
use engine::port::{Forge as _, Index, Opened, Place, Workspace as _};
use engine::{artifact, call};
use serde_json::{Value, json};

use crate::client::Client;
use crate::usage::Usage;

/// A ticket as one object.
pub(crate) fn object(ticket: &Ticket) -> Value {
    let (is, next) = ticket.state.explained();
    let error = if let State::Failed { error, .. } = &ticket.state { Some(error) } else { None };
    json!({
        "ticket": ticket.key, "id": ticket.id, "state": ticket.state.name(), "is": is, "next": next,
        "title": ticket.text.title, "requester": ticket.requester_name,
        "repository": ticket.target().map(|t| &t.repo), "branch": ticket.target().map(|t| &t.branch),
        "awaiting": ticket.awaiting().map(|a| &a.hash), "plan": ticket.plan().map(|p| &p.hash),
        "spent_usd": dollars(ticket.budget.spent), "budget_usd": dollars(ticket.budget.limit),
        "pull_request": ticket.pull_request.as_ref().map(|p| p.number), "error": error,
        "updated_at": ticket.updated_at,
    })
}

/// Dollars as a number.
pub(crate) fn dollars(usd: Usd) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "budgets stay far below 2^53 micro-dollars")]
    let micros = usd.micros() as f64;
    micros / 1_000_000.0
}

/// A ticket in a few lines.
pub(crate) fn lines(ticket: &Ticket) -> String {
    let (is, next) = ticket.state.explained();
    let mut text = format!("{} · {}\n{is}\n", ticket.key, ticket.text.title);
    if let State::Failed { error, .. } = &ticket.state {
        let _ = writeln!(text, "{}: {}", error.fault.category(), error.message);
    }
    if let Some(awaiting) = ticket.awaiting() {
        let _ = writeln!(text, "waiting for a decision on {}", awaiting.hash.short());
    }
    if let Some(pull) = &ticket.pull_request {
        let _ = writeln!(text, "pull request #{} {}", pull.number, pull.url);
    }
    let _ = write!(text, "{} of {} spent\nnext: {next}", ticket.budget.spent, ticket.budget.limit);
    text
}

/// Tickets as a table.
pub(crate) fn table(tickets: &[Ticket]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["ticket", "state", "title", "repository", "spent", "updated"]);
    for ticket in tickets {
        let repository = ticket.target().map(|target| target.repo.to_string()).unwrap_or_default();
        let updated = ticket.updated_at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        let spent = ticket.budget.spent.to_string();
        table.add_row([
            ticket.key.to_string(),
            ticket.state.name().to_owned(),
            ticket.text.title.clone(),
            repository,
            spent,
            updated,
        ]);
    }
    table.to_string()
}

/// The history of a ticket.
pub(crate) async fn events(client: &Client, ticket: &Ticket) -> anyhow::Result<Vec<Event>> {
    let engine = &client.system().engine;
    let partition = Key::partition_of(client.ctx(), TicketPartition::of(&ticket.id).as_str());
    let all = engine.table.all(Index::Primary, &partition, "EVENT#").await?;
    all.into_iter().map(|item| serde_json::from_value(item.body).context("a stored event cannot be read")).collect()
}

/// The timeline with times, and the model calls with their cost.
pub(crate) async fn timeline(client: &Client, ticket: &Ticket) -> anyhow::Result<String> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["after", "who", "what", "state"]);
    for event in events(client, ticket).await? {
        let after = event.at.duration_since(ticket.created_at).as_millis();
        table.add_row([format!("{}.{:03} s", after / 1000, after % 1000), event.by, event.what, event.to]);
    }
    let calls: Vec<CallRecord> = call::list(&client.system().engine, client.ctx(), &ticket.id).await?;
    Ok(format!("{table}\n\n{}", Usage::of(calls.iter()).table()))
}

/// The pull request of a ticket with its diff.
pub(crate) async fn pull_request(client: &Client, ticket: &Ticket) -> anyhow::Result<Option<(Opened, String)>> {
    let system = client.system();
    let Some(target) = ticket.target() else {
        return Ok(None);
    };
    let Some(opened) = system.forge.find(client.ctx(), target).await? else {
        return Ok(None);
    };
    let (Some(change), Some(snapshot)) = (&ticket.change_set, &target.snapshot) else {
        return Ok(None);
    };
    let change_set: ChangeSet = artifact::load(&system.engine, client.ctx(), &change.hash).await?;
    let tree = system.workspace.open(client.ctx(), snapshot).await?;
    Ok(Some((opened, workspace::diff(tree.as_ref(), &change_set))))
}

/// Everything we said on a ticket, without markers, as a terminal can show it.
pub(crate) async fn comments(client: &Client, key: &TrackerKey) -> anyhow::Result<Vec<String>> {
    let all = client.system().tracker.comments(client.ctx(), &Place::Ticket(key.clone())).await?;
    Ok(all.into_iter().map(|posted| plain(&posted.text)).collect())
}

/// Undoes for a terminal what keeps text harmless in a browser.
pub(crate) fn plain(text: &str) -> String {
    let text = text.split("<!-- prfactory:").next().unwrap_or("").trim_end();
    text.replace("&#64;", "@").replace("&#91;", "[").replace("&#35;", "#").replace("&#47;", "/").replace("&lt;", "<")
}
