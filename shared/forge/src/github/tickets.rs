//! Issues of GitHub as tickets: read whole, labelled by where their work stands, closed when it is done.

use domain::error::Failure;
use domain::name::TrackerKey;
use domain::ticket::TicketText;
use engine::port::{Permit, Phase, Progress, Remark, TicketView};
use engine::tenancy::TenantCtx;
use serde::Deserialize;
use serde_json::json;

use super::app::Scope;
use super::{Github, Guest, issue};

/// Most remarks of people that join a ticket's context.
const REMARKS: usize = 10;
/// The label of an issue that is being worked on.
const WORKING: &str = "prfactory:working";
/// The label of an issue whose pull request is open.
const IN_REVIEW: &str = "prfactory:in-review";

#[derive(Deserialize)]
struct Issue {
    title: String,
    body: Option<String>,
    state: String,
    labels: Vec<Label>,
}

/// GitHub's description allows both, and old answers have both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Label {
    Plain(String),
    Whole { name: Option<String> },
}

impl Label {
    fn name(self) -> Option<String> {
        match self {
            Self::Plain(name) => Some(name),
            Self::Whole { name } => name,
        }
    }
}

#[derive(Deserialize)]
struct Comment {
    body: Option<String>,
    user: Option<User>,
    created_at: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
    r#type: String,
}

impl Guest {
    async fn issue(&self, number: u64) -> Result<Option<Issue>, Failure> {
        let answer = self.api.get(&self.at(&format!("issues/{number}"))).await?;
        if answer.is_missing() {
            return Ok(None);
        }
        answer.read("reading an issue").map(Some)
    }
}

impl Github {
    pub(super) async fn view(&self, ctx: &TenantCtx, key: &TrackerKey) -> Result<Option<TicketView>, Failure> {
        let Some((repo, number)) = issue(key) else {
            return Ok(None);
        };
        let guest = self.guest(ctx, &repo, Scope::Look).await?;
        let Some(found) = guest.issue(number).await? else {
            return Ok(None);
        };
        let all: Vec<Comment> =
            guest.api.list(&guest.at(&format!("issues/{number}/comments")), "listing comments").await?;
        let people = all.into_iter().filter_map(|comment| {
            let user = comment.user.filter(|user| user.r#type == "User")?;
            Some(Remark { by: user.login, at: comment.created_at, text: comment.body.unwrap_or_default() })
        });
        let mut remarks: Vec<Remark> = people.collect();
        remarks.drain(..remarks.len().saturating_sub(REMARKS));
        Ok(Some(TicketView {
            text: TicketText { title: found.title, body: found.body.unwrap_or_default() },
            labels: found.labels.into_iter().filter_map(Label::name).collect(),
            components: Vec::new(),
            remarks,
            attachments: Vec::new(),
        }))
    }

    /// Labels the issue by where its work stands, and closes it once that is merged.
    pub(super) async fn bring_up_to_date(
        &self,
        ctx: &TenantCtx,
        key: &TrackerKey,
        to: &Progress,
        permit: &Permit,
    ) -> Result<Vec<String>, Failure> {
        let Some((repo, number)) = issue(key) else {
            return Ok(Vec::new());
        };
        let guest = self.guest(ctx, &repo, Scope::Talk).await?;
        let Some(found) = guest.issue(number).await? else {
            return Ok(Vec::new());
        };
        let (open, labels): (bool, Vec<String>) =
            (found.state == "open", found.labels.into_iter().filter_map(Label::name).collect());
        let wanted = match to.phase {
            Phase::InProgress => Some(WORKING),
            Phase::InReview => Some(IN_REVIEW),
            Phase::Done | Phase::Ended => None,
        };
        if let Some(label) = wanted.filter(|label| !labels.iter().any(|has| has == label)) {
            permit.holds()?;
            let body = json!({ "labels": [label] });
            guest.api.post(&guest.at(&format!("issues/{number}/labels")), body).await?.done("labelling an issue")?;
        }
        let old = [WORKING, IN_REVIEW].into_iter().filter(|label| wanted != Some(*label));
        for label in old.filter(|label| labels.iter().any(|has| has == label)) {
            let path = guest.at(&format!("issues/{number}/labels/{}", label.replace(':', "%3A")));
            permit.holds()?;
            let answer = guest.api.delete(&path).await?;
            if !answer.is_missing() {
                answer.done("removing a label")?;
            }
        }
        if to.phase == Phase::Done && open {
            permit.holds()?;
            let body = json!({ "state": "closed", "state_reason": "completed" });
            guest.api.patch(&guest.at(&format!("issues/{number}")), body).await?.done("closing an issue")?;
        }
        Ok(Vec::new())
    }
}
