//! What became of a review: an answer in each of its threads, and one for the whole.

use domain::artifact::{Disposition, ReviewAnswer, ThreadAnswer};
use domain::error::Failure;
use domain::hash::ContentHash;
use domain::neutral::neutral;
use domain::ticket::Ticket;
use engine::artifact::load;
use engine::tenancy::TenantCtx;

use crate::{Notify, Say, Then, status};

/// Answers each thread where it stands, and the review on its pull request.
pub(crate) async fn says(
    function: &Notify,
    ctx: &TenantCtx,
    ticket: &Ticket,
    answer: &ContentHash,
) -> Result<Vec<Say>, Failure> {
    let Some(pull) = status::pull_request(function, ctx, ticket).await? else {
        return Ok(Vec::new());
    };
    let head = ticket.pull_request.as_ref().map_or("", |pull| pull.head.short());
    let answers: ReviewAnswer = load(&function.engine, ctx, answer).await?;
    let mut says = Vec::new();
    for thread in &answers.threads {
        // Only what is fixed is settled; the rest is for whoever asked to settle.
        let then = (thread.disposition == Disposition::Fixed).then_some(Then::Resolve);
        let text = if pull.tells { text(thread, head) } else { verdict(thread, head) };
        let say = Say::new(format!("answer-{}", answer.short()), text);
        says.push(Say { place: Some(pull.thread(&thread.thread)), then, ..say });
    }
    let summary = if pull.tells { neutral(&answers.summary) } else { String::new() };
    let whole = if answers.threads.is_empty() {
        format!("**Changed as asked**, head `{head}`.\n\n{summary}")
    } else {
        format!("{}\n\n{summary}", counted(&answers, head))
    };
    says.push(Say { place: Some(pull.place()), ..Say::new(format!("review-{}", answer.short()), whole) });
    Ok(says)
}

fn counted(answers: &ReviewAnswer, head: &str) -> String {
    let count = |what: Disposition| answers.threads.iter().filter(|thread| thread.disposition == what).count();
    format!(
        "**Worked through the review**: {} fixed, {} declined, {} to be clarified. Head `{head}`.",
        count(Disposition::Fixed),
        count(Disposition::Declined),
        count(Disposition::Question)
    )
}

fn text(thread: &ThreadAnswer, head: &str) -> String {
    format!("{}: {}", verdict(thread, head), neutral(&thread.text))
}

fn verdict(thread: &ThreadAnswer, head: &str) -> String {
    match thread.disposition {
        Disposition::Fixed => format!("Fixed in {head}"),
        Disposition::Declined => "Declined".to_owned(),
        Disposition::Question => "Question".to_owned(),
    }
}
