//! What a commit and a pull request say, from the approved artifacts and the platform's own records.

use std::fmt::Write as _;

use agent::Facts;
use domain::artifact::{DecisionRecord, FileAction, Severity, Verdict};
use domain::change_set::ChangeSet;
use domain::gate::is_hidden;
use domain::hash::ContentHash;
use domain::neutral::neutral;
use domain::policy::Policy;
use domain::ticket::Ticket;
use engine::port::{Person, PullRequestText};

use crate::template;

/// The commit's message; the trailers let anybody find ticket and change set from it, and credit who asked for it.
pub(crate) fn commit_message(
    ticket: &Ticket,
    change_set: &ContentHash,
    whole: bool,
    requester: Option<&Person>,
    sign_off: Option<&str>,
) -> String {
    // A subject is plain text, in which a number would close an issue and a name would call somebody.
    let title = one_line(&ticket.text.title).replace('#', "no. ").replace('@', "");
    let title: String = title.replace("://", " ").chars().filter(|c| !is_hidden(*c)).take(60).collect();
    let title = if whole { format!("{}: {title}", ticket.key) } else { format!("{}: the approved change", ticket.key) };
    let mut text = format!("{title}\n\nPRFactory-Ticket: {}\nPRFactory-Change-Set: {change_set}\n", ticket.key);
    if let Some(Person { id, login }) = requester {
        let _ = writeln!(text, "Co-authored-by: {login} <{id}+{login}@users.noreply.github.com>");
    }
    if let Some(signature) = sign_off {
        let _ = writeln!(text, "Signed-off-by: {signature}");
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a pull request tells of.
pub(crate) struct Told<'a> {
    pub(crate) ticket: &'a Ticket,
    pub(crate) facts: &'a Facts,
    pub(crate) policy: &'a Policy,
    pub(crate) change_set: &'a ChangeSet,
    pub(crate) decisions: &'a [DecisionRecord],
    /// Whether it may repeat what the ticket says, or has to leave it at the key.
    pub(crate) whole: bool,
}

impl Told<'_> {
    /// Title and body of the pull request, in the repository's template; *Verification* says only what was recorded.
    pub(crate) fn pull_request(&self, template: Option<&str>) -> PullRequestText {
        let (ticket, facts) = (self.ticket, self.facts);
        let title = facts.refinement.as_ref().map_or(ticket.text.title.as_str(), |refined| refined.title.as_str());
        let title = if self.whole { one_line(&neutral(title)) } else { "the approved change".to_owned() };
        let mut checked = verification(ticket, facts, self.change_set);
        checked.push_str(&approvals(ticket, self.decisions, self.whole));
        let mut body = template::filled(template, &self.what(), &checked);
        let _ = write!(body, "\nTicket {} · {} spent on models", ticket.key, ticket.budget.spent);
        if ticket.target().is_some_and(|t| ticket.key.as_str().starts_with(&format!("{}#", t.repo))) {
            // Our own word, not a model's: the plan was approved for exactly this ticket.
            let number = ticket.key.as_str().rsplit('#').next().unwrap_or_default();
            let _ = write!(body, "\n\nCloses #{number}");
        }
        PullRequestText { title: format!("[{}] {title}", ticket.key), body, draft: self.policy.draft_pull_requests }
    }

    fn what(&self) -> String {
        let mut text = String::new();
        if !self.whole {
            text.push_str("The ticket is not public, so that nothing of it is repeated here.\n\n");
        }
        if let Some(refined) = self.facts.refinement.as_ref().filter(|_| self.whole) {
            let _ = writeln!(text, "{}\n", neutral(&refined.description));
        }
        let Some(plan) = &self.facts.plan else {
            return text;
        };
        if self.whole {
            let _ = writeln!(text, "### What was done\n\n{}\n", neutral(&plan.body.summary));
        }
        let _ = writeln!(text, "| file | | why |\n|---|---|---|");
        for file in &plan.body.files {
            let action = match file.action {
                FileAction::Create => "new",
                FileAction::Modify => "changed",
                FileAction::Delete => "removed",
            };
            let why = if self.whole { neutral(&one_line(&file.why)).replace('|', "\\|") } else { String::new() };
            let _ = writeln!(text, "| `{}` | {action} | {why} |", file.path);
        }
        text
    }
}

fn verification(ticket: &Ticket, facts: &Facts, change_set: &ChangeSet) -> String {
    let mut text = String::from("### Verification\n\nRecorded by the platform, not claimed by a model:\n\n");
    let _ = writeln!(
        text,
        "- change set `{}`: {} file(s), {} bytes written",
        change_set.hash().short(),
        change_set.files.len(),
        change_set.written_bytes()
    );
    let _ = writeln!(text, "- {} round(s) of review against the plan", ticket.review_rounds);
    if let Some(review) = &facts.review {
        let critical = review.findings.iter().filter(|finding| finding.severity == Severity::Critical).count();
        let _ = writeln!(
            text,
            "- last review: {critical} critical finding(s), {} suggestion(s)",
            review.findings.len() - critical
        );
    }
    if ticket.approved_diff.as_ref() == ticket.change_set.as_ref().map(|change| &change.hash) {
        text.push_str("- a person let this very diff through a gate\n");
    } else {
        text.push_str("- gates passed: scope contract, sensitive paths, hidden characters, credentials, size\n");
    }
    text.push_str("- no test was run by PRFactory; the repository's own checks run on this pull request\n\n");
    text
}

fn approvals(ticket: &Ticket, decisions: &[DecisionRecord], whole: bool) -> String {
    let mut text = String::new();
    for record in decisions.iter().filter(|record| record.verdict == Verdict::Approved) {
        let is_plan = ticket.approved_plan.as_ref() == Some(&record.artifact);
        let what = if is_plan { "Plan" } else { "Diff" };
        let note = if record.note.is_empty() || !whole {
            String::new()
        } else {
            format!(": {}", neutral(&one_line(&record.note)))
        };
        let _ = writeln!(text, "{what} `{}` approved by {}{note}.", record.artifact.short(), record.name);
    }
    text.push('\n');
    text
}
