//! What we say on GitHub: comments, replies in threads, checks, reactions; each found again by its marker and its author.

use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::name::{RepoName, TrackerKey};
use engine::port::{
    Conclusion, Permit, Place, Posted, Progress, Reaction, Reread, Said, SaidKind, TicketView, Tracker, Words,
};
use engine::tenancy::TenantCtx;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::{Scope, revoke};
use super::{Github, Guest, issue};

/// Most characters of one comment; GitHub stops at 65,536.
const ROOM: usize = 60_000;

#[derive(Deserialize)]
struct Comment {
    id: u64,
    node_id: String,
    body: Option<String>,
    user: Option<User>,
    #[serde(default)]
    in_reply_to_id: Option<u64>,
    created_at: String,
    updated_at: String,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Runs {
    check_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    id: u64,
    external_id: Option<String>,
    output: Output,
}

#[derive(Deserialize)]
struct Output {
    title: Option<String>,
    summary: Option<String>,
}

impl From<Comment> for Posted {
    fn from(comment: Comment) -> Self {
        Self { id: comment.id.to_string(), text: comment.body.unwrap_or_default() }
    }
}

impl From<Run> for Posted {
    fn from(run: Run) -> Self {
        let part = Option::unwrap_or_default;
        let text = format!("{}\n\n{}", part(run.output.title), part(run.output.summary));
        Self { id: run.id.to_string(), text }
    }
}

/// Where something stands: the repository, and the list it is in.
enum Spot<'a> {
    /// Comments of an issue or a pull request.
    Issue(RepoName, u64),
    /// Replies to a remark.
    Thread(&'a RepoName, u64, &'a str),
    /// Check runs of a commit.
    Checks(&'a RepoName, &'a str),
}

impl Spot<'_> {
    fn of(place: &Place) -> Result<Spot<'_>, Failure> {
        let elsewhere = || Failure::new(Fault::Bug, format!("`{place}` is not on GitHub"));
        match place {
            Place::Ticket(key) => issue(key).map(|(repo, number)| Spot::Issue(repo, number)).ok_or_else(elsewhere),
            Place::PullRequest(repo, number) => Ok(Spot::Issue(repo.clone(), *number)),
            Place::Thread(repo, number, id) => Ok(Spot::Thread(repo, *number, id)),
            Place::Checks(repo, head) => Ok(Spot::Checks(repo, head.as_str())),
            Place::Machine(_) => Err(elsewhere()),
        }
    }

    fn repo(&self) -> &RepoName {
        match self {
            Self::Issue(repo, _) => repo,
            Self::Thread(repo, ..) | Self::Checks(repo, _) => repo,
        }
    }

    /// Where one comment of this list is.
    fn one(&self, guest: &Guest, id: &str) -> String {
        match self {
            Self::Issue(..) => guest.at(&format!("issues/comments/{id}")),
            Self::Thread(..) => guest.at(&format!("pulls/comments/{id}")),
            Self::Checks(..) => guest.at(&format!("check-runs/{id}")),
        }
    }
}

/// A check run as GitHub takes it; the title has to be one line.
fn run(words: &Words<'_>) -> Value {
    let (title, summary) = words.text.split_once('\n').unwrap_or((words.text, ""));
    let conclusion = match words.conclusion {
        Some(Conclusion::Success) => "success",
        Some(Conclusion::ActionRequired) => "action_required",
        Some(Conclusion::Neutral) | None => "neutral",
    };
    let summary = if summary.trim().is_empty() { title } else { summary.trim() };
    json!({
        "name": words.marker,
        "external_id": words.marker,
        "status": "completed",
        "conclusion": conclusion,
        "output": { "title": title, "summary": summary },
    })
}

impl Github {
    async fn spot(&self, ctx: &TenantCtx, spot: &Spot<'_>) -> Result<Guest, Failure> {
        self.guest(ctx, spot.repo(), Scope::Talk).await
    }

    async fn found(&self, guest: &Guest, spot: &Spot<'_>, marker: &str) -> Result<Vec<Posted>, Failure> {
        let list = match spot {
            Spot::Checks(_, head) => {
                let path = format!("commits/{head}/check-runs?check_name={marker}&filter=all&app_id={}", self.app.id());
                let runs: Runs = guest.api.get(&guest.at(&path)).await?.read("listing checks")?;
                let ours = runs.check_runs.into_iter().filter(|run| run.external_id.as_deref() == Some(marker));
                let mut ours: Vec<Run> = ours.collect();
                ours.sort_by_key(|run| run.id);
                return Ok(ours.into_iter().map(Posted::from).collect());
            }
            Spot::Issue(_, number) => format!("issues/{number}/comments"),
            Spot::Thread(_, number, _) => format!("pulls/{number}/comments"),
        };
        let all: Vec<Comment> = guest.api.list(&guest.at(&list), "listing comments").await?;
        let (us, mark) = (self.app.login().await?, Words::comment(marker));
        let ours = all.into_iter().filter(|comment| {
            let here = match spot {
                Spot::Thread(_, _, id) => comment.in_reply_to_id.is_some_and(|to| to.to_string() == *id),
                Spot::Issue(..) | Spot::Checks(..) => true,
            };
            // A marker alone proves nothing: anybody can paste one.
            here && comment.user.as_ref().is_some_and(|user| user.login == us)
                && comment.body.as_ref().is_some_and(|body| body.contains(&mark))
        });
        let mut ours: Vec<Comment> = ours.collect();
        ours.sort_by_key(|comment| comment.id);
        Ok(ours.into_iter().map(Posted::from).collect())
    }
}

#[async_trait]
impl Tracker for Github {
    /// A list is behind what was written by seconds, as a rule; nobody promises how many.
    async fn lag(&self, _ctx: &TenantCtx, _place: &Place) -> Result<Duration, Failure> {
        Ok(Duration::from_secs(30))
    }

    fn room(&self) -> usize {
        ROOM
    }

    async fn find(&self, ctx: &TenantCtx, place: &Place, marker: &str) -> Result<Vec<Posted>, Failure> {
        let spot = Spot::of(place)?;
        let guest = self.spot(ctx, &spot).await?;
        self.found(&guest, &spot, marker).await
    }

    async fn create(&self, ctx: &TenantCtx, place: &Place, words: &Words<'_>) -> Result<Posted, Failure> {
        let spot = Spot::of(place)?;
        let guest = self.spot(ctx, &spot).await?;
        let (path, body) = match &spot {
            Spot::Issue(_, number) => (format!("issues/{number}/comments"), json!({ "body": words.marked() })),
            Spot::Thread(_, number, id) => {
                (format!("pulls/{number}/comments/{id}/replies"), json!({ "body": words.marked() }))
            }
            Spot::Checks(_, head) => {
                let mut run = run(words);
                if let Some(run) = run.as_object_mut() {
                    run.insert("head_sha".to_owned(), json!(head));
                }
                let run: Run = guest.api.post(&guest.at("check-runs"), run).await?.read("publishing a check")?;
                return Ok(run.into());
            }
        };
        let made: Comment = guest.api.post(&guest.at(&path), body).await?.read("writing a comment")?;
        Ok(made.into())
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        place: &Place,
        id: &str,
        words: &Words<'_>,
    ) -> Result<Option<Posted>, Failure> {
        let spot = Spot::of(place)?;
        let guest = self.spot(ctx, &spot).await?;
        let body = match &spot {
            Spot::Checks(..) => run(words),
            Spot::Issue(..) | Spot::Thread(..) => json!({ "body": words.marked() }),
        };
        let answer = guest.api.patch(&spot.one(&guest, id), body).await?;
        if answer.is_missing() {
            return Ok(None);
        }
        Ok(Some(match &spot {
            Spot::Checks(..) => answer.read::<Run>("changing a check")?.into(),
            Spot::Issue(..) | Spot::Thread(..) => answer.read::<Comment>("changing a comment")?.into(),
        }))
    }

    async fn delete(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        let spot = Spot::of(place)?;
        if matches!(spot, Spot::Checks(..)) {
            // A check run cannot be removed; the newest of a name is the one that counts.
            return Ok(());
        }
        let guest = self.spot(ctx, &spot).await?;
        let answer = guest.api.delete(&spot.one(&guest, id)).await?;
        if answer.is_missing() { Ok(()) } else { answer.done("removing a comment") }
    }

    async fn fold(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure> {
        let spot = Spot::of(place)?;
        let guest = self.spot(ctx, &spot).await?;
        let answer = guest.api.get(&spot.one(&guest, id)).await?;
        if answer.is_missing() {
            return Ok(());
        }
        let comment: Comment = answer.read("reading a comment")?;
        let fold = "mutation($id: ID!) { minimizeComment(input: { subjectId: $id, classifier: OUTDATED }) { minimizedComment { isMinimized } } }";
        guest.api.graphql(fold, json!({ "id": comment.node_id })).await.map(|_| ())
    }

    async fn resolve(&self, ctx: &TenantCtx, place: &Place) -> Result<(), Failure> {
        let Spot::Thread(repo, number, id) = Spot::of(place)? else {
            return Ok(());
        };
        let guest = self.guest(ctx, repo, Scope::Settle).await?;
        let done = resolve(&guest, number, id).await;
        revoke(&guest.api).await;
        done
    }

    async fn react(&self, ctx: &TenantCtx, said: &Said, reaction: Reaction) -> Result<(), Failure> {
        let spot = Spot::of(&said.place)?;
        let guest = self.spot(ctx, &spot).await?;
        let content = match reaction {
            Reaction::Seen => "eyes",
            Reaction::Opened => "rocket",
            Reaction::Done => "+1",
            Reaction::Refused => "confused",
        };
        let path = match (said.kind, &spot) {
            (SaidKind::Ticket, Spot::Issue(_, number)) => format!("issues/{number}/reactions"),
            (SaidKind::Comment, _) => format!("issues/comments/{}/reactions", said.id),
            (SaidKind::Remark, _) => format!("pulls/comments/{}/reactions", said.id),
            (SaidKind::Review | SaidKind::Ticket, _) => {
                let content = if reaction == Reaction::Done { "THUMBS_UP".to_owned() } else { content.to_uppercase() };
                let add = "mutation($id: ID!, $content: ReactionContent!) { addReaction(input: { subjectId: $id, content: $content }) { reaction { content } } }";
                return guest.api.graphql(add, json!({ "id": said.id, "content": content })).await.map(|_| ());
            }
        };
        let answer = guest.api.post(&guest.at(&path), json!({ "content": content })).await?;
        // Nothing to react to any more.
        if answer.is_missing() { Ok(()) } else { answer.done("reacting") }
    }

    async fn reread(&self, ctx: &TenantCtx, said: &Said) -> Result<Reread, Failure> {
        let spot = Spot::of(&said.place)?;
        let path = match said.kind {
            SaidKind::Comment => format!("issues/comments/{}", said.id),
            SaidKind::Remark => format!("pulls/comments/{}", said.id),
            SaidKind::Ticket | SaidKind::Review => return Ok(Reread::Unasked),
        };
        let guest = self.guest(ctx, spot.repo(), Scope::Look).await?;
        let answer = guest.api.get(&guest.at(&path)).await?;
        if answer.is_missing() {
            return Ok(Reread::Gone);
        }
        let comment: Comment = answer.read("reading a comment again")?;
        Ok(Reread::There {
            by: comment.user.map_or_else(String::new, |user| user.id.to_string()),
            body: comment.body.unwrap_or_default(),
            edited: comment.created_at != comment.updated_at,
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

/// Resolves the thread of a remark, unless somebody did.
async fn resolve(guest: &Guest, number: u64, id: &str) -> Result<(), Failure> {
    let Some((owner, name)) = guest.repo.name.as_str().split_once('/') else {
        return Ok(());
    };
    let ask = "query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) { pullRequest(number: $number) { reviewThreads(first: 100) { nodes { id isResolved comments(first: 1) { nodes { databaseId } } } } } } }";
    let data = guest.api.graphql(ask, json!({ "owner": owner, "name": name, "number": number })).await?;
    let threads = data.pointer("/repository/pullRequest/reviewThreads/nodes").and_then(Value::as_array);
    let ours = threads.into_iter().flatten().find(|thread| {
        let first = thread.pointer("/comments/nodes/0/databaseId").and_then(Value::as_u64);
        first.is_some_and(|first| first.to_string() == id)
    });
    let Some(thread) = ours.filter(|thread| thread.get("isResolved") != Some(&json!(true))) else {
        return Ok(());
    };
    let resolve = "mutation($id: ID!) { resolveReviewThread(input: { threadId: $id }) { thread { isResolved } } }";
    guest.api.graphql(resolve, json!({ "id": thread.get("id") })).await.map(|_| ())
}
