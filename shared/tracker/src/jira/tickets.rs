//! Issues of Jira as tickets: read whole, moved through the statuses that the tenant named, linked to their pull request.

use domain::error::{Failure, Fault};
use domain::name::TrackerKey;
use domain::ticket::TicketText;
use engine::directory::JiraSite;
use engine::port::{Attachment, Content, Permit, Phase, Progress, Remark, TicketView};
use engine::tenancy::TenantCtx;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Jira;
use super::api::Api;
use super::image;
use super::speech::{Comments, at};
use crate::adf::{Node, to_markdown};

/// Most remarks of people that join a ticket's context.
const REMARKS: usize = 10;
/// Most attachments that are looked at.
const ATTACHMENTS: usize = 8;
/// Longest text that is read.
const MAX_TEXT: u64 = 64 * 1024;
/// Most images that are shown to a model.
const IMAGES: usize = 3;
/// The label of an issue that is being worked on.
const WORKING: &str = "prfactory-working";
/// The label of an issue whose pull request is open.
const IN_REVIEW: &str = "prfactory-in-review";

#[derive(Deserialize)]
struct Issue {
    #[serde(default)]
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    id: String,
    filename: String,
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct Transitions {
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
    to: Status,
}

#[derive(Deserialize)]
struct Status {
    name: String,
}

fn field<T: serde::de::DeserializeOwned>(issue: &Issue, name: &str) -> Option<T> {
    issue.fields.get(name).and_then(|value| serde_json::from_value(value.clone()).ok())
}

/// Names in a list of things, or in one thing, or a plain word.
fn names(value: Option<&Value>) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(thing) => ["name", "value"].iter().find_map(|key| thing.get(*key)?.as_str().map(str::to_owned)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(one).collect(),
        Some(other) => one(other).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Whether a file is text by what it claims to be.
fn is_text(file: &File) -> bool {
    let kind = file.mime_type.to_ascii_lowercase();
    kind.starts_with("text/")
        || ["application/json", "application/xml", "application/yaml", "application/x-yaml"].contains(&kind.as_str())
}

impl Jira {
    pub(super) async fn view(&self, ctx: &TenantCtx, key: &TrackerKey) -> Result<Option<TicketView>, Failure> {
        let (site, api) = self.site(ctx).await?;
        let own = site.repository_field.as_ref().map(|field| format!(",{field}")).unwrap_or_default();
        let path = at(key, &format!("?fields=summary,description,labels,components,comment,attachment{own}"));
        let answer = api.get(&path).await?;
        if answer.is_missing() {
            return Ok(None);
        }
        let issue: Issue = answer.read("reading an issue")?;
        let remarks = remarks(&issue, &site);
        let mut components = site.repository_field.as_ref().map(|field| names(issue.fields.get(field)));
        let components = components.take().filter(|own| !own.is_empty());
        Ok(Some(TicketView {
            text: TicketText {
                title: field(&issue, "summary").unwrap_or_default(),
                body: field::<Node>(&issue, "description").as_ref().map(to_markdown).unwrap_or_default(),
            },
            labels: field(&issue, "labels").unwrap_or_default(),
            components: components.unwrap_or_else(|| names(issue.fields.get("components"))),
            remarks,
            attachments: attachments(&api, &issue).await?,
        }))
    }

    /// Moves the issue on, labels it, and links its pull request; says what our account may not do.
    pub(super) async fn bring_up_to_date(
        &self,
        ctx: &TenantCtx,
        key: &TrackerKey,
        to: &Progress,
        permit: &Permit,
    ) -> Result<Vec<String>, Failure> {
        let (site, api) = self.site(ctx).await?;
        let mut cannot = Vec::new();
        permit.holds()?;
        label(&api, key, to.phase, &mut cannot).await?;
        if let Some((url, title)) = &to.pull_request {
            // The same id always names the same link, so that making it again changes it.
            let link = json!({ "globalId": format!("prfactory={key}"), "object": { "url": url, "title": title } });
            permit.holds()?;
            let answer = api.post(&at(key, "/remotelink"), link).await?;
            if answer.is_forbidden() || answer.is_missing() {
                cannot.push(format!("I may not link issues here, so the pull request is only named: {url}"));
            } else {
                answer.done("linking the pull request")?;
            }
        }
        let all = &site.statuses;
        let way: &[&Option<String>] = match to.phase {
            Phase::InProgress => &[&all.in_progress],
            Phase::InReview => &[&all.in_progress, &all.in_review],
            Phase::Done => &[&all.in_progress, &all.in_review, &all.done],
            Phase::Ended => &[],
        };
        if way.last().is_some_and(|last| last.is_some()) {
            let way: Vec<&str> = way.iter().filter_map(|status| status.as_deref()).collect();
            cannot.extend(moved(&api, key, &way, permit).await?);
        }
        Ok(cannot)
    }
}

fn remarks(issue: &Issue, site: &JiraSite) -> Vec<Remark> {
    let all = field::<Comments>(issue, "comment").map(|found| found.comments).unwrap_or_default();
    let people = all.into_iter().filter_map(|comment| {
        let text = comment.markdown();
        let author = comment.author.filter(|author| author.account_type == "atlassian")?;
        let ours = author.account_id == site.account;
        // An internal note never leaves Jira.
        let open = comment.jsd_public != Some(false);
        (open && !ours).then(|| Remark { by: author.display_name, at: comment.created.unwrap_or_default(), text })
    });
    let mut remarks: Vec<Remark> = people.collect();
    remarks.drain(..remarks.len().saturating_sub(REMARKS));
    remarks
}

async fn attachments(api: &Api, issue: &Issue) -> Result<Vec<Attachment>, Failure> {
    let files: Vec<File> = field(issue, "attachment").unwrap_or_default();
    let remarks = field::<Comments>(issue, "comment").map(|found| found.comments).unwrap_or_default();
    if remarks.iter().any(|comment| comment.jsd_public == Some(false)) {
        // Nothing tells which of the files belong to the internal note.
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    let mut images = 0;
    for file in files.into_iter().take(ATTACHMENTS) {
        // What cannot be had, or is not what it claims to be, is named and nothing else.
        let is_image = image::KINDS.contains(&file.mime_type.as_str());
        let content = if is_text(&file) && file.size <= MAX_TEXT {
            let bytes = content(api, &file).await?;
            let fits = bytes.len() as u64 <= MAX_TEXT && !bytes.contains(&0);
            let text = String::from_utf8(bytes).ok().filter(|text| fits && !text.is_empty());
            text.map_or(Content::Unread, Content::Text)
        } else if is_image && file.size <= image::MAX_FILE && images < IMAGES {
            images += 1;
            image::fit(content(api, &file).await?).await
        } else {
            Content::Unread
        };
        out.push(Attachment { name: file.filename, kind: file.mime_type, content });
    }
    Ok(out)
}

/// The bytes of a file; none where they cannot be had, which keeps no ticket from its start.
async fn content(api: &Api, file: &File) -> Result<Vec<u8>, Failure> {
    let path = format!("/rest/api/3/attachment/content/{}?redirect=false", file.id);
    match api.get(&path).await {
        Ok(answer) if answer.is_good() => Ok(answer.bytes()),
        Ok(_) => Ok(Vec::new()),
        Err(failure) if matches!(failure.fault, Fault::RateLimited { .. } | Fault::Auth) => Err(failure),
        Err(failure) => {
            tracing::warn!(error = %failure, "an attachment is left out");
            Ok(Vec::new())
        }
    }
}

/// Adds our label and takes the other one away; labels of people stay.
async fn label(api: &Api, key: &TrackerKey, phase: Phase, cannot: &mut Vec<String>) -> Result<(), Failure> {
    let (add, remove): (Option<&str>, &[&str]) = match phase {
        Phase::InProgress => (Some(WORKING), &[IN_REVIEW]),
        Phase::InReview => (Some(IN_REVIEW), &[WORKING]),
        Phase::Done | Phase::Ended => (None, &[WORKING, IN_REVIEW]),
    };
    let changes = add.iter().map(|label| json!({ "add": label })).chain(remove.iter().map(|l| json!({ "remove": l })));
    let body = json!({ "update": { "labels": changes.collect::<Vec<_>>() } });
    let answer = api.put(&at(key, ""), body).await?;
    if !answer.is_good() {
        let why = answer.said();
        cannot.push(format!("Jira did not let me set a label that shows where the work stands: {why}"));
    }
    Ok(())
}

/// Moves the issue to the last of these statuses: in one step, or through those before it, whose news may have been
/// passed by; says why where that cannot be.
async fn moved(api: &Api, key: &TrackerKey, way: &[&str], permit: &Permit) -> Result<Option<String>, Failure> {
    let Some(goal) = way.last() else {
        return Ok(None);
    };
    let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    for _ in way {
        let now: Issue = api.get(&at(key, "?fields=status")).await?.read("reading the status")?;
        let is = field::<Status>(&now, "status").map(|status| status.name).unwrap_or_default();
        if same(&is, goal) {
            return Ok(None);
        }
        let all: Transitions = api.get(&at(key, "/transitions")).await?.read("listing transitions")?;
        let behind = way.iter().position(|status| same(status, &is)).map_or(0, |at| at + 1);
        let ahead = way.iter().skip(behind).rev();
        let to = |status: &&str| all.transitions.iter().find(|step| same(&step.to.name, status));
        let Some(step) = ahead.clone().find_map(to) else {
            return Ok(Some(format!("There is no step from *{is}* to *{goal}* that I may take, so the status stays.")));
        };
        permit.holds()?;
        let answer = api.post(&at(key, "/transitions"), json!({ "transition": { "id": step.id } })).await?;
        if !answer.is_good() {
            let (name, why) = (&step.to.name, answer.said());
            return Ok(Some(format!("Jira did not let me move this to *{name}*: {why} The status stays.")));
        }
        if same(&step.to.name, goal) {
            return Ok(None);
        }
    }
    Ok(None)
}
