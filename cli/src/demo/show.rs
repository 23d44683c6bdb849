//! What the demo puts on the screen: a spinner while it works, and everything there is at the end.

use std::time::Duration;

use anyhow::Context as _;
use domain::ticket::Ticket;
use engine::port::PullRequestState;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::Exit;
use crate::demo::Stage;
use crate::output::Output;
use crate::view;

/// A spinner on a terminal, plain lines in a pipe.
pub(super) struct Spinner {
    bar: Option<ProgressBar>,
    out: Output,
}

impl Spinner {
    pub(super) fn new(out: Output) -> Self {
        let bar = out.is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, out }
    }

    /// Writes a line above the spinner.
    pub(super) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.out.line(text)),
            None => self.out.line(text),
        }
    }

    /// Says what is happening.
    pub(super) fn at(&self, what: &'static str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what);
        }
    }

    /// Keeps still while somebody types.
    pub(super) fn paused<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(ask),
            None => ask(),
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Branch, diff, pull request, timeline, and how to look further.
pub(super) async fn finale(stage: &Stage, ticket: &Ticket, out: Output) -> anyhow::Result<Exit> {
    let (opened, diff) = view::pull_request(&stage.client, ticket).await?.context("the pull request is not there")?;
    let target = ticket.target().context("the ticket has no target")?;
    let (head, number) = (&opened.reference.head, opened.reference.number);
    let shown = match (opened.state, opened.text.draft) {
        (PullRequestState::Open, true) => "draft",
        (PullRequestState::Open, false) => "open",
        (PullRequestState::Closed | PullRequestState::Merged, _) => "closed",
    };
    out.line(&format!("\n── branch {} at {} ──\n\n{diff}", target.branch, head.short()));
    out.line(&format!(
        "── pull request #{number} ({shown}) into {} ──\n\n{}\n\n{}\n",
        target.base, opened.text.title, opened.text.body
    ));
    out.line(&format!("── timeline ──\n\n{}\n", view::timeline(&stage.client, ticket).await?));
    let (data, location) = (stage.data.display(), &stage.location);
    out.line("Look further:");
    out.line(&format!("  git --git-dir {location} log -p -1 {}", target.branch));
    out.line(&format!("  prfactory --data {data} ticket show {}", ticket.key));
    let change_set = ticket.change_set.as_ref().map(|change| &change.hash);
    out.object(&json!({
        "event": "done", "ticket": ticket.key, "state": ticket.state.name(), "repository": location,
        "branch": target.branch, "base": target.base, "head": head, "change_set": change_set,
        "pull_request": number, "data": stage.data, "spent_usd": view::dollars(ticket.budget.spent),
    }));
    Ok(Exit::Done)
}
