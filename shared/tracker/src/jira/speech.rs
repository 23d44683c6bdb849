//! What we say in Jira: comments in ADF, each found again by a property that people do not see, and by its author.

use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::name::TrackerKey;
use engine::port::{Permit, Place, Posted, Progress, Reread, Said, SaidKind, TicketView, Tracker, Words};
use engine::tenancy::TenantCtx;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Jira;
use crate::adf::{Node, from_markdown, to_markdown};

/// Most characters of one comment: Jira stops at 32,767, and ADF takes more room than what it says.
const ROOM: usize = 20_000;
/// The property that carries a comment's marker.
const PROPERTY: &str = "prfactory";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comments {
    pub(super) comments: Vec<Comment>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comment {
    pub(super) id: String,
    pub(super) author: Option<Author>,
    #[serde(default)]
    pub(super) body: Option<Node>,
    pub(super) created: Option<String>,
    pub(super) updated: Option<String>,
    #[serde(default)]
    properties: Vec<Property>,
    /// False marks an internal note of a service desk.
    pub(super) jsd_public: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Author {
    pub(super) account_id: String,
    #[serde(default)]
    pub(super) display_name: String,
    #[serde(default)]
    pub(super) account_type: String,
}

#[derive(Deserialize)]
struct Property {
    key: String,
    #[serde(default)]
    value: Value,
}

impl Comment {
    pub(super) fn markdown(&self) -> String {
        self.body.as_ref().map(to_markdown).unwrap_or_default()
    }

    fn has(&self, marker: &str) -> bool {
        let marker = Some(&json!(marker));
        self.properties.iter().any(|property| property.key == PROPERTY && property.value.get("marker") == marker)
    }
}

/// A ticket's address below the API.
pub(super) fn at(key: &TrackerKey, rest: &str) -> String {
    format!("/rest/api/3/issue/{}{rest}", key.as_str().replace('#', "%23"))
}

fn key_of(place: &Place) -> Result<&TrackerKey, Failure> {
    match place {
        Place::Ticket(key) => Ok(key),
        Place::Machine(_) | Place::PullRequest(..) | Place::Thread(..) | Place::Checks(..) => {
            Err(Failure::new(Fault::Bug, format!("`{place}` is not in Jira")))
        }
    }
}

fn body(words: &Words<'_>) -> Value {
    json!({
        "body": from_markdown(words.text),
        "properties": [{ "key": PROPERTY, "value": { "marker": words.marker } }],
    })
}

#[async_trait]
impl Tracker for Jira {
    async fn lag(&self, _ctx: &TenantCtx, _place: &Place) -> Result<Duration, Failure> {
        Ok(Duration::from_secs(30))
    }

    fn room(&self) -> usize {
        ROOM
    }

    async fn find(&self, ctx: &TenantCtx, place: &Place, marker: &str) -> Result<Vec<Posted>, Failure> {
        let (site, api) = self.site(ctx).await?;
        let key = key_of(place)?;
        let (mut found, mut start) = (Vec::new(), 0);
        loop {
            let rest = format!("/comment?startAt={start}&maxResults=100&orderBy=created&expand=properties");
            let page: Comments = api.get(&at(key, &rest)).await?.read("listing comments")?;
            start += page.comments.len();
            let end = page.comments.is_empty() || start >= page.total;
            found.extend(page.comments.into_iter().filter(|comment| {
                comment.author.as_ref().is_some_and(|author| author.account_id == site.account) && comment.has(marker)
            }));
            if end {
                return Ok(found.into_iter().map(|c| Posted { text: c.markdown(), id: c.id }).collect());
            }
        }
    }

    async fn create(&self, ctx: &TenantCtx, place: &Place, words: &Words<'_>) -> Result<Posted, Failure> {
        let (_, api) = self.site(ctx).await?;
        let made: Comment = api.post(&at(key_of(place)?, "/comment"), body(words)).await?.read("writing a comment")?;
        Ok(Posted { text: made.markdown(), id: made.id })
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        place: &Place,
        id: &str,
        words: &Words<'_>,
    ) -> Result<Option<Posted>, Failure> {
        let (_, api) = self.site(ctx).await?;
        let answer = api.put(&at(key_of(place)?, &format!("/comment/{id}?notifyUsers=false")), body(words)).await?;
        if answer.is_missing() {
            return Ok(None);
        }
        let made: Comment = answer.read("changing a comment")?;
        Ok(Some(Posted { text: made.markdown(), id: made.id }))
    }

    async fn delete(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        let (_, api) = self.site(ctx).await?;
        let answer = api.delete(&at(key_of(place)?, &format!("/comment/{id}"))).await?;
        if answer.is_missing() { Ok(()) } else { answer.done("removing a comment") }
    }

    async fn reread(&self, ctx: &TenantCtx, said: &Said) -> Result<Reread, Failure> {
        if said.kind != SaidKind::Comment {
            return Ok(Reread::Unasked);
        }
        let (_, api) = self.site(ctx).await?;
        let answer = api.get(&at(key_of(&said.place)?, &format!("/comment/{}", said.id))).await?;
        if answer.is_missing() {
            return Ok(Reread::Gone);
        }
        let comment: Comment = answer.read("reading a comment again")?;
        if comment.jsd_public == Some(false) {
            // It became an internal note: what it says stays in Jira.
            return Ok(Reread::Gone);
        }
        Ok(Reread::There {
            body: comment.markdown(),
            edited: comment.created != comment.updated,
            by: comment.author.map(|author| author.account_id).unwrap_or_default(),
        })
    }

    async fn read(&self, ctx: &TenantCtx, key: &TrackerKey) -> Result<Option<TicketView>, Failure> {
        self.view(ctx, key).await
    }

    async fn advance(
        &self,
        ctx: &TenantCtx,
        key: &TrackerKey,
        to: &Progress,
        permit: &Permit,
    ) -> Result<Vec<String>, Failure> {
        self.bring_up_to_date(ctx, key, to, permit).await
    }
}
