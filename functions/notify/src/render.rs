//! What is said of a ticket, as Markdown, from its stored artifacts.

use std::fmt::Write as _;

use domain::artifact::{Confidence, FileAction, Plan, PlanBody, Questions, Refinement};
use domain::change_set::ChangeSet;
use domain::decide::Notice;
use domain::error::Failure;
use domain::gate::secrets_in;
use domain::neutral::neutral;
use domain::state::State;
use domain::ticket::Ticket;
use engine::artifact::load;
use engine::tenancy::TenantCtx;

use crate::{Notify, Say, Then, status, threads};

/// Most bytes of a diff in one comment; it goes on in the next.
const MAX_DIFF: usize = 20_000;

/// Renders all that a notice asks to be said.
pub(crate) async fn render(
    function: &Notify,
    ctx: &TenantCtx,
    ticket: &Ticket,
    notice: &Notice,
) -> Result<Vec<Say>, Failure> {
    let engine = &function.engine;
    let handle = &function.handle;
    let one = |kind: String, text: String| vec![Say::new(kind, text)];
    Ok(match notice {
        Notice::Status => status::says(function, ctx, ticket).await?,
        Notice::Questions { questions } => {
            let asked: Questions = load(engine, ctx, &questions.hash).await?;
            one(format!("questions-{}", questions.version), questions_text(&asked, handle))
        }
        Notice::Refinement { refinement } => {
            let refined: Refinement = load(engine, ctx, &refinement.hash).await?;
            one(
                format!("refinement-{}", refinement.version),
                refinement_text(ticket, &refined, refinement.version, handle),
            )
        }
        Notice::Plan { plan } => {
            let mut says = Vec::new();
            for version in ticket.plans.iter().filter(|p| p.version + 1 >= plan.version && p.version <= plan.version) {
                let body: Plan = load(engine, ctx, &version.hash).await?;
                let newest = ticket.plan().is_some_and(|latest| latest.hash == version.hash);
                let text = plan_text(&body, &version.changed, newest, handle);
                let then = (!newest).then_some(Then::Fold);
                says.push(Say { then, ..Say::new(format!("plan-{}", version.version), text) });
            }
            says
        }
        Notice::Diff { change_set } => {
            let changes: ChangeSet = load(engine, ctx, &change_set.hash).await?;
            let diff = match ticket.target().and_then(|target| target.snapshot.as_ref()) {
                Some(snapshot) => workspace::diff(function.workspace.open(ctx, snapshot).await?.as_ref(), &changes),
                None => String::new(),
            };
            diff_says(ticket, &changes, &redacted(&diff), handle)
        }
        Notice::Published => one("published".to_owned(), published(ticket)),
        Notice::Answered { answer } => threads::says(function, ctx, ticket, answer).await?,
        Notice::Ready => Vec::new(),
        Notice::Told { what, version } => {
            let place = status::pull_request(function, ctx, ticket).await?.map(|pull| pull.place());
            vec![Say { place, ..Say::new(format!("told-{version}"), with_handle(what, handle)) }]
        }
        Notice::Failed => one(format!("failed-{}", ticket.run), failed(ticket, handle)),
        Notice::Done { what, version } => one(format!("done-{version}"), format!("Done: {what}.")),
    })
}

fn questions_text(questions: &Questions, handle: &str) -> String {
    let mut text = format!("**Questions before I go on**\n\n{}\n\n", neutral(&questions.understanding));
    for question in &questions.questions {
        let _ = writeln!(text, "{}. *{}* — {}", question.number, neutral(&question.category), neutral(&question.text));
        if !question.options.is_empty() {
            let _ = writeln!(text, "   Options: {}", neutral(&question.options.join(" · ")));
        }
        let _ = writeln!(text, "   Default: {}", neutral(&question.default));
    }
    let _ = write!(text, "\nSay `@{handle} answer 1: …` (what you leave out takes its default), or `@{handle} skip`.");
    text
}

fn refinement_text(ticket: &Ticket, refined: &Refinement, version: u32, handle: &str) -> String {
    let mut text =
        format!("**Refined ticket v{version}: {}**\n\n{}\n\n", neutral(&refined.title), neutral(&refined.description));
    text.push_str("Success criteria:\n");
    for criterion in &refined.success_criteria {
        let priority = serde_name(criterion.priority);
        let _ = writeln!(text, "- *{priority}*, {}: {}", neutral(&criterion.category), neutral(&criterion.text));
    }
    if !refined.acceptance_criteria.is_empty() {
        text.push_str("\nAcceptance criteria:\n");
        for criterion in &refined.acceptance_criteria {
            let _ = writeln!(text, "- {}", neutral(criterion));
        }
    }
    let original = format!("{}\n\n{}", ticket.text.title, ticket.text.body);
    let _ = write!(text, "\n<details><summary>The original</summary>\n\n{}\n\n</details>\n\n", neutral(&original));
    let _ = write!(text, "Say `@{handle} approve` or `@{handle} reject REASON`.");
    text
}

fn serde_name<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn plan_text(plan: &Plan, changed: &str, newest: bool, handle: &str) -> String {
    let hash = plan.hash();
    let body = &plan.body;
    let confidence = match body.confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    };
    let mut text = format!(
        "**Plan v{} · `{}`** · confidence {confidence} · about {}\n\n",
        plan.version,
        hash.short(),
        body.estimated_cost
    );
    if !changed.is_empty() {
        let _ = writeln!(text, "New in this version: {changed}\n");
    }
    let _ = writeln!(text, "{}\n\n| file | | why |\n|---|---|---|", neutral(&body.summary));
    for file in &body.files {
        let action = match file.action {
            FileAction::Create => "create",
            FileAction::Modify => "modify",
            FileAction::Delete => "delete",
        };
        let _ = writeln!(
            text,
            "| `{}` | {action} | {} |",
            file.path,
            neutral(&file.why).replace('|', "\\|").replace('\n', " ")
        );
    }
    text.push_str(&lists(body));
    let _ = writeln!(
        text,
        "\nRepository {} at `{}`. Files not named above will not be touched.",
        plan.repo,
        plan.base.short()
    );
    if newest {
        let short = hash.short();
        let _ = write!(
            text,
            "Say `@{handle} approve {short}`, `@{handle} replan INSTRUCTION` or `@{handle} reject REASON`."
        );
        text
    } else {
        format!("<details><summary>Plan v{} (superseded)</summary>\n\n{text}\n</details>", plan.version)
    }
}

/// The whole diff, in as many comments as it takes: nobody approves what they cannot see.
fn diff_says(ticket: &Ticket, changes: &ChangeSet, diff: &str, handle: &str) -> Vec<Say> {
    let hash = changes.hash();
    let mut head = format!("**This diff needs a look · `{}`**\n\n", hash.short());
    if let State::AwaitingDiffApproval { reasons } = &ticket.state {
        for reason in reasons {
            let _ = writeln!(head, "- It {reason} — needs the role *{}*.", reason.least_role().as_str());
        }
    }
    let parts = parts(diff, MAX_DIFF);
    let count = parts.len();
    let fence = if diff.contains("```") { "~~~~~" } else { "```" };
    let say = |(at, part): (usize, String)| {
        let number = at + 1;
        let top = if at == 0 {
            format!("{head}\n")
        } else {
            format!("**Diff `{}`, part {number} of {count}**\n\n", hash.short())
        };
        let end = format!("\nSay `@{handle} approve {}` or `@{handle} reject REASON`.", hash.short());
        let end = if number == count { end.as_str() } else { "\nThe diff goes on in the next comment." };
        Say::new(format!("diff-{}-{number}", hash.short()), format!("{top}{fence}diff\n{part}\n{fence}\n{end}"))
    };
    parts.into_iter().enumerate().map(say).collect()
}

/// A diff without what looks like a credential: a comment must not be where it leaks.
///
/// Nothing else is hidden: whoever approves must be able to read every line of code.
fn redacted(diff: &str) -> String {
    let mut text = String::with_capacity(diff.len());
    for line in diff.split_inclusive('\n') {
        if is_key_body(line) {
            text.push_str("[redacted]\n");
        } else {
            text.push_str(&secrets_in(line).fold(line.to_owned(), |line, secret| line.replace(secret, "[redacted]")));
        }
    }
    text
}

/// Says whether a line of a diff is nothing but base64, as the inside of a private key is.
fn is_key_body(line: &str) -> bool {
    let body = line.get(1..).unwrap_or("").trim();
    body.len() >= 48 && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

/// Cuts a text into parts of at most so many bytes, between lines where that is possible.
fn parts(text: &str, most: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for mut line in text.split_inclusive('\n') {
        while !line.is_empty() {
            let (now, rest) = line.split_at(line.floor_char_boundary(most));
            line = rest;
            match parts.last_mut() {
                Some(part) if part.len() + now.len() <= most => part.push_str(now),
                _ => parts.push(now.to_owned()),
            }
        }
    }
    parts
}

/// Commands in a sentence, as they are written in a comment.
fn with_handle(text: &str, handle: &str) -> String {
    format!("{text} (Commands begin with `@{handle}`.)")
}

fn published(ticket: &Ticket) -> String {
    match (&ticket.pull_request, ticket.target()) {
        (Some(pull), Some(target)) => format!(
            "**Pull request #{} is open**: `{}` into `{}`, head `{}`. Review and merge it as any other; I never merge.",
            pull.number,
            target.branch,
            target.base,
            pull.head.short()
        ),
        _ => "**The change is published.**".to_owned(),
    }
}

fn failed(ticket: &Ticket, handle: &str) -> String {
    let State::Failed { from, error } = &ticket.state else {
        return "**A step failed and was taken up again.**".to_owned();
    };
    let retried = if error.fault.is_retryable() { "It was retried and kept failing." } else { "It was not retried." };
    format!(
        "**Failed while {}** ({})\n\n{}\n\n{retried} Who must act: {}. Then say `@{handle} retry`.",
        from.explained().0,
        error.fault.category(),
        neutral(&error.message),
        error.fault.who_acts()
    )
}

/// The lists of a plan that have anything in them.
fn lists(body: &PlanBody) -> String {
    let mut text = String::new();
    for (title, lines) in [
        ("Steps", &body.steps),
        ("Tests", &body.tests),
        ("API changes", &body.api_changes),
        ("Schema changes", &body.schema_changes),
        ("Risks", &body.risks),
        ("Out of scope", &body.out_of_scope),
    ] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{title}:");
            for line in lines {
                let _ = writeln!(text, "- {}", neutral(line));
            }
        }
    }
    text
}
