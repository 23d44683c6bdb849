//! What models were used for and what that cost, by stage and model, over all tickets of a month or of one ticket.

use std::collections::BTreeMap;

use anyhow::bail;
use comfy_table::{ContentArrangement, Table, presets};
use domain::money::Usd;
use domain::state::Stage;
use domain::ticket::Ticket;
use engine::call::{self, CallRecord};
use serde_json::json;

use crate::Exit;
use crate::client::{Client, key};
use crate::output::Output;

/// Sums of calls.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    calls: u64,
    input: u64,
    cached: u64,
    output: u64,
    cost: Usd,
}

impl Sum {
    fn add(&mut self, record: &CallRecord) {
        self.calls += 1;
        self.input += record.usage.total_input();
        self.cached += record.usage.cache_read;
        self.output += record.usage.output;
        self.cost += record.cost;
    }

    /// The share of what was read that a cache served, in hundredths.
    fn cached_percent(self) -> u64 {
        (self.cached * 100).checked_div(self.input).unwrap_or(0)
    }

    fn cells(self) -> [String; 5] {
        let cached = format!("{} %", self.cached_percent());
        [self.calls.to_string(), self.input.to_string(), cached, self.output.to_string(), self.cost.to_string()]
    }
}

fn name(stage: Option<Stage>) -> &'static str {
    stage.map_or("other", Stage::as_str)
}

/// Sums by stage and model, and over everything.
#[derive(Default)]
pub(crate) struct Usage {
    /// In the order in which a ticket meets the stages.
    rows: BTreeMap<(Option<Stage>, String), Sum>,
    total: Sum,
}

impl Usage {
    /// Sums up calls.
    pub(crate) fn of<'a>(records: impl Iterator<Item = &'a CallRecord>) -> Self {
        let mut usage = Self::default();
        for record in records {
            usage.rows.entry((record.stage, record.model.clone())).or_default().add(record);
            usage.total.add(record);
        }
        usage
    }

    /// The sums as a table.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["stage", "model", "calls", "tokens in", "cached", "tokens out", "cost"]);
        for ((stage, model), sum) in &self.rows {
            table.add_row([vec![name(*stage).to_owned(), model.clone()], sum.cells().to_vec()].concat());
        }
        table.add_row([vec!["all".to_owned(), String::new()], self.total.cells().to_vec()].concat());
        table.to_string()
    }
}

/// Shows the usage of one ticket, or of every ticket in a month (UTC).
pub(crate) async fn run(client: &Client, k: Option<&str>, month: Option<&str>, out: Output) -> anyhow::Result<Exit> {
    let (engine, ctx) = (&client.system().engine, client.ctx());
    let now: String = engine.clock.now().to_string().chars().take(7).collect();
    let month = month.unwrap_or(&now);
    if month.len() != 7 || jiff::civil::Date::strptime("%Y-%m-%d", format!("{month}-01")).is_err() {
        bail!("`{month}` is no month; write it as 2026-11");
    }
    let tickets: Vec<Ticket> = match k {
        Some(k) => match client.find(&key(k)?).await? {
            Some(ticket) => vec![ticket],
            None => bail!("there is no ticket {k}"),
        },
        None => engine::ticket::list(engine, ctx).await?,
    };
    let mut records = Vec::new();
    for ticket in &tickets {
        records.extend(call::list(engine, ctx, &ticket.id).await?);
    }
    let wanted = |record: &&CallRecord| k.is_some() || record.at.to_string().starts_with(month);
    let usage = Usage::of(records.iter().filter(wanted));
    let of = k.unwrap_or(month);
    for ((stage, model), sum) in &usage.rows {
        out.object(&json!({
            "of": of, "stage": name(*stage), "model": model, "calls": sum.calls, "tokens_in": sum.input,
            "tokens_cached": sum.cached, "tokens_out": sum.output, "cost_micros": sum.cost.micros(),
        }));
    }
    out.line(&format!("Models used for {of}\n{}", usage.table()));
    Ok(Exit::Done)
}
