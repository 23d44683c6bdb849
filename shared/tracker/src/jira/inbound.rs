//! Jira's deliveries in the domain's words. The actor is whoever the change is by, never the reporter.

use commands::Markup;
use domain::Timestamp;
use domain::name::TrackerKey;
use domain::ticket::TicketText;
use engine::inbound::{Actor, Inbound, InboundError, InboundNews};
use engine::port::Place;
use serde::Deserialize;

use crate::wiki;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    webhook_event: String,
    timestamp: Option<i64>,
    user: Option<User>,
    issue: Option<Issue>,
    comment: Option<Comment>,
    changelog: Option<Changelog>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct User {
    account_id: String,
    #[serde(default)]
    display_name: String,
    /// `atlassian` for people; `app` and `customer` never act.
    #[serde(default)]
    account_type: String,
}

#[derive(Deserialize)]
struct Issue {
    key: String,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    summary: String,
    description: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    assignee: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    id: String,
    author: User,
    #[serde(default)]
    body: String,
    created: Option<String>,
    updated: Option<String>,
    /// Absent on ordinary projects; false marks an internal note of a service desk.
    jsd_public: Option<bool>,
}

#[derive(Deserialize)]
struct Changelog {
    items: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    field: String,
    /// The `accountId` that an assignment is to.
    to: Option<String>,
    #[serde(rename = "fromString")]
    from: Option<String>,
    #[serde(rename = "toString")]
    words: Option<String>,
}

/// Reads a delivery whose signature was verified. `account` is who we are on that site, if that is known: what is
/// assigned to it counts as labelled, and where it is mentioned the handle is.
pub fn parse(body: &[u8], handle: &str, account: Option<&str>) -> Result<Inbound, InboundError> {
    let delivery: Delivery =
        serde_json::from_slice(body).map_err(|error| InboundError(format!("not the documented shape: {error}")))?;
    let by = delivery.comment.as_ref().map(|comment| comment.author.clone()).or_else(|| delivery.user.clone());
    let actor = by.map(|user| Actor {
        provider: "jira",
        is_person: user.account_type == "atlassian",
        id: user.account_id,
        name: user.display_name,
    });
    let ours = actor.as_ref().is_some_and(|actor| account == Some(actor.id.as_str()));
    let at = delivery.timestamp.and_then(|at| Timestamp::from_millisecond(at).ok());
    if ours {
        let news = InboundNews::Ignored("a change of our own");
        return Ok(Inbound { installation: None, repository: None, actor, news });
    }
    let news = match (delivery.webhook_event.as_str(), delivery.issue) {
        ("jira:issue_created", Some(issue)) => {
            let mut added = issue.fields.labels.clone();
            let assignee = issue.fields.assignee.as_ref().map(|user| user.account_id.as_str());
            added.extend((account.is_some() && assignee == account).then(|| handle.to_owned()));
            labels(&issue, at, added, Vec::new())?
        }
        ("jira:issue_updated", Some(issue)) => {
            let assigned =
                |change: &Change| change.field == "assignee" && account.is_some() && change.to.as_deref() == account;
            let to_us = delivery.changelog.iter().flat_map(|log| &log.items).any(assigned);
            let (mut added, removed) = label_changes(delivery.changelog);
            added.extend(to_us.then(|| handle.to_owned()));
            labels(&issue, at, added, removed)?
        }
        ("comment_created", Some(issue)) => match delivery.comment {
            Some(comment) => written(&issue, comment, handle, account)?,
            None => return Err(InboundError("a comment event without a comment".to_owned())),
        },
        (_, None) => InboundNews::Ignored("an event without an issue"),
        (_, Some(_)) => InboundNews::Ignored("an event we do not act on"),
    };
    Ok(Inbound { installation: None, repository: None, actor, news })
}

/// A key of Jira and of nothing else: `KAN-22`.
fn key(issue: &Issue) -> Result<TrackerKey, InboundError> {
    let (project, number) = issue.key.rsplit_once('-').unwrap_or(("", ""));
    let fits = project.starts_with(|c: char| c.is_ascii_uppercase())
        && project.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && (1..=12).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit());
    if !fits {
        return Err(InboundError("the issue has a key that Jira does not give".to_owned()));
    }
    TrackerKey::parse(&issue.key).map_err(|error| InboundError(error.to_string()))
}

fn text(issue: &Issue) -> TicketText {
    let body = issue.fields.description.as_deref().map(wiki::to_markdown).unwrap_or_default();
    TicketText { title: issue.fields.summary.clone(), body }
}

fn labels(
    issue: &Issue,
    at: Option<Timestamp>,
    added: Vec<String>,
    removed: Vec<String>,
) -> Result<InboundNews, InboundError> {
    Ok(InboundNews::Labels { key: key(issue)?, text: text(issue), repo: None, added, removed, at })
}

/// Only what this very change added or removed counts; saving an issue again must not fire again.
fn label_changes(changelog: Option<Changelog>) -> (Vec<String>, Vec<String>) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for change in changelog.into_iter().flat_map(|log| log.items).filter(|change| change.field == "labels") {
        let split = |text: &Option<String>| -> Vec<String> {
            text.as_deref().unwrap_or("").split_whitespace().map(str::to_owned).collect()
        };
        let (before, after) = (split(&change.from), split(&change.words));
        added.extend(after.iter().filter(|label| !before.contains(label)).cloned());
        removed.extend(before.iter().filter(|label| !after.contains(label)).cloned());
    }
    (added, removed)
}

fn written(issue: &Issue, comment: Comment, handle: &str, account: Option<&str>) -> Result<InboundNews, InboundError> {
    if comment.created != comment.updated {
        return Ok(InboundNews::Ignored("the comment was edited after it was written"));
    }
    if comment.jsd_public == Some(false) {
        return Ok(InboundNews::Ignored("an internal comment"));
    }
    let body = match account {
        Some(account) => comment.body.replace(&format!("[~accountid:{account}]"), &format!("@{handle}")),
        None => comment.body,
    };
    Ok(InboundNews::Comment {
        place: Place::Ticket(key(issue)?),
        text: text(issue),
        repo: None,
        id: comment.id,
        body,
        markup: Markup::Wiki,
    })
}
