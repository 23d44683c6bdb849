//! What a commit and a pull request say, from the approved artifacts and the platform's own records.

use std::fmt::Write as _;

use agent::Facts;
use domain::artifact::{DecisionRecord, FileAction, Severity, Verdict};
use domain::change_set::ChangeSet;
use domain::hash::ContentHash;
use domain::neutral::neutral;
use domain::policy::Policy;
use domain::ticket::Ticket;
use engine::port::PullRequestText;

/// The commit's message; the trailers let anybody find ticket and change set from it.
pub(crate) fn commit_message(ticket: &Ticket, change_set: &ContentHash) -> String {
    let title: String = one_line(&ticket.text.title).chars().take(60).collect();
    format!("{}: {title}\n\nPRFactory-Ticket: {}\nPRFactory-Change-Set: {change_set}\n", ticket.key, ticket.key)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Title and body of the pull request; *Verification* says only what was recorded.
pub(crate) fn pull_request(
    ticket: &Ticket,
    facts: &Facts,
    policy: &Policy,
    change_set: &ChangeSet,
    decisions: &[DecisionRecord],
) -> PullRequestText {
    let title = facts.refinement.as_ref().map_or(ticket.text.title.as_str(), |refined| refined.title.as_str());
    let mut body = String::new();
    if let Some(refined) = &facts.refinement {
        let _ = writeln!(body, "{}\n", neutral(&refined.description));
    }
    if let Some(plan) = &facts.plan {
        let _ = writeln!(body, "## What was done\n\n{}\n", neutral(&plan.body.summary));
        let _ = writeln!(body, "| file | | why |\n|---|---|---|");
        for file in &plan.body.files {
            let action = match file.action {
                FileAction::Create => "new",
                FileAction::Modify => "changed",
                FileAction::Delete => "removed",
            };
            let _ = writeln!(
                body,
                "| `{}` | {action} | {} |",
                file.path,
                neutral(&one_line(&file.why)).replace('|', "\\|")
            );
        }
        body.push('\n');
    }
    body.push_str(&verification(ticket, facts, change_set));
    body.push_str(&approvals(ticket, decisions));
    let _ = write!(body, "Ticket {} · {} spent on models", ticket.key, ticket.budget.spent);
    PullRequestText {
        title: format!("[{}] {}", ticket.key, one_line(&neutral(title))),
        body,
        draft: policy.draft_pull_requests,
    }
}

fn verification(ticket: &Ticket, facts: &Facts, change_set: &ChangeSet) -> String {
    let mut text = String::from("## Verification\n\nRecorded by the platform, not claimed by a model:\n\n");
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

fn approvals(ticket: &Ticket, decisions: &[DecisionRecord]) -> String {
    let mut text = String::new();
    for record in decisions.iter().filter(|record| record.verdict == Verdict::Approved) {
        let is_plan = ticket.approved_plan.as_ref() == Some(&record.artifact);
        let what = if is_plan { "Plan" } else { "Diff" };
        let note =
            if record.note.is_empty() { String::new() } else { format!(": {}", neutral(&one_line(&record.note))) };
        let _ = writeln!(text, "{what} `{}` approved by {}{note}.", record.artifact.short(), record.name);
    }
    text.push('\n');
    text
}
