//! GitHub's deliveries in the domain's words. The structs name only what we need, so nothing new breaks them.

use commands::Markup;
use domain::name::{BranchName, CommitSha, RepoName, TrackerKey};
use domain::ticket::TicketText;
use engine::inbound::{Actor, Inbound, InboundError, InboundNews, Named, Thread};
use engine::port::Place;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Envelope {
    action: Option<String>,
    installation: Option<Numbered>,
    repository: Option<Repository>,
    sender: Option<User>,
}

#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    r#type: String,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
    full_name: String,
    private: Option<bool>,
    default_branch: Option<String>,
}

#[derive(Deserialize)]
struct Installed {
    #[serde(default)]
    repositories: Vec<Repository>,
}

#[derive(Deserialize)]
struct Repositories {
    #[serde(default)]
    repositories_added: Vec<Repository>,
    #[serde(default)]
    repositories_removed: Vec<Repository>,
}

#[derive(Deserialize)]
struct Synchronized {
    after: String,
    pull_request: PullRequest,
    repository: Repository,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
    body: Option<String>,
    updated_at: Option<String>,
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
struct Issues {
    issue: Issue,
    repository: Repository,
    label: Option<Label>,
    assignee: Option<User>,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
    user: User,
    body: String,
    created_at: String,
    updated_at: String,
}

#[derive(Deserialize)]
struct IssueComment {
    issue: Issue,
    comment: Comment,
    repository: Repository,
}

#[derive(Deserialize)]
struct PullRequest {
    number: u64,
    #[serde(default)]
    merged: bool,
}

#[derive(Deserialize)]
struct PullRequestEvent {
    pull_request: PullRequest,
    repository: Repository,
}

#[derive(Deserialize)]
struct Review {
    id: u64,
    #[serde(default)]
    node_id: String,
    user: User,
    body: Option<String>,
    state: String,
}

#[derive(Deserialize)]
struct ReviewEvent {
    review: Review,
    pull_request: PullRequest,
    repository: Repository,
}

#[derive(Deserialize)]
struct ReviewComment {
    id: u64,
    user: User,
    body: String,
    path: String,
    line: Option<u64>,
    pull_request_review_id: Option<u64>,
}

#[derive(Deserialize)]
struct ReviewCommentEvent {
    comment: ReviewComment,
    pull_request: PullRequest,
    repository: Repository,
}

#[derive(Deserialize)]
struct CheckSuite {
    app: Option<Numbered>,
    head_sha: String,
    head_branch: Option<String>,
    #[serde(default)]
    pull_requests: Vec<PullRequest>,
}

#[derive(Deserialize)]
struct CheckSuiteEvent {
    check_suite: CheckSuite,
    repository: Repository,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

#[derive(Deserialize)]
struct StatusEvent {
    sha: String,
    state: String,
    #[serde(default)]
    branches: Vec<Branch>,
    repository: Repository,
}

#[derive(Deserialize)]
struct PushEvent {
    r#ref: String,
    #[serde(default)]
    deleted: bool,
    repository: Repository,
}

/// Reads a delivery whose signature was verified. `event` is an unsigned hint: a body of another shape is refused.
pub fn parse(event: &str, body: &[u8], handle: &str) -> Result<Inbound, InboundError> {
    let envelope: Envelope = shaped(body)?;
    let action = envelope.action.as_deref().unwrap_or("");
    let news = match (event, action) {
        ("issues", "labeled" | "unlabeled" | "assigned") => issues(shaped(body)?, action, handle)?,
        ("issue_comment", "created") => issue_comment(shaped(body)?, envelope.sender.as_ref())?,
        ("pull_request", "closed") => {
            let event: PullRequestEvent = shaped(body)?;
            let (number, merged) = (event.pull_request.number, event.pull_request.merged);
            InboundNews::PullRequestClosed { repo: repo(&event.repository)?, number, merged }
        }
        ("pull_request_review", "submitted") => review(shaped(body)?, envelope.sender.as_ref())?,
        ("pull_request_review_comment", "created") => review_comment(shaped(body)?, envelope.sender.as_ref())?,
        ("check_suite", "completed") => checks(shaped(body)?)?,
        ("status", _) => status(&shaped(body)?)?,
        ("push", _) => push(&shaped(body)?)?,
        ("pull_request", "synchronize") => {
            let event: Synchronized = shaped(body)?;
            let (repo, number) = (repo(&event.repository)?, event.pull_request.number);
            InboundNews::Pushed { repo, number, head: commit(&event.after)? }
        }
        ("installation", "created" | "unsuspend" | "new_permissions_accepted") => {
            let event: Installed = shaped(body)?;
            InboundNews::Installed { repositories: event.repositories.iter().filter_map(named).collect() }
        }
        ("installation_repositories", "added" | "removed") => {
            let event: Repositories = shaped(body)?;
            let all = |list: &[Repository]| list.iter().filter_map(named).collect();
            let (added, removed) = (all(&event.repositories_added), all(&event.repositories_removed));
            InboundNews::Repositories { added, removed }
        }
        ("repository", "renamed" | "transferred" | "publicized" | "privatized") => InboundNews::Renamed,
        ("installation", "deleted" | "suspend") => InboundNews::Uninstalled { suspended: action == "suspend" },
        ("issue_comment" | "pull_request_review_comment" | "pull_request_review", _) => {
            InboundNews::Ignored("only what is newly written acts")
        }
        _ => InboundNews::Ignored("an event we do not act on"),
    };
    Ok(Inbound {
        installation: envelope.installation.map(|i| i.id),
        repository: envelope.repository.as_ref().and_then(named),
        actor: envelope.sender.as_ref().map(actor),
        news,
    })
}

fn named(repository: &Repository) -> Option<Named> {
    Some(Named {
        id: repository.id,
        name: repo(repository).ok()?,
        public: repository.private.map(|private| !private),
        base: repository.default_branch.clone(),
    })
}

fn commit(sha: &str) -> Result<CommitSha, InboundError> {
    CommitSha::parse(sha).map_err(|error| InboundError(error.to_string()))
}

fn shaped<T: DeserializeOwned>(body: &[u8]) -> Result<T, InboundError> {
    serde_json::from_slice(body).map_err(|error| InboundError(format!("not the documented shape: {error}")))
}

fn actor(user: &User) -> Actor {
    Actor { provider: "github", id: user.id.to_string(), name: user.login.clone(), is_person: user.r#type == "User" }
}

fn repo(repository: &Repository) -> Result<RepoName, InboundError> {
    RepoName::parse(&repository.full_name).map_err(|error| InboundError(error.to_string()))
}

fn key(repository: &Repository, number: u64) -> Result<TrackerKey, InboundError> {
    TrackerKey::parse(&format!("{}#{number}", repository.full_name)).map_err(|error| InboundError(error.to_string()))
}

fn text(issue: &Issue) -> TicketText {
    TicketText { title: issue.title.clone(), body: issue.body.clone().unwrap_or_default() }
}

fn issues(event: Issues, action: &str, handle: &str) -> Result<InboundNews, InboundError> {
    if event.issue.pull_request.is_some() {
        return Ok(InboundNews::Ignored("a pull request is not a ticket"));
    }
    let label = event.label.map(|label| label.name);
    let (added, removed) = match action {
        "unlabeled" => (Vec::new(), label.into_iter().collect()),
        "labeled" => (label.into_iter().collect(), Vec::new()),
        _ => {
            let ours = |user: &User| user.login.trim_end_matches("[bot]").eq_ignore_ascii_case(handle);
            let to_us = event.assignee.as_ref().is_some_and(ours);
            (to_us.then(|| handle.to_owned()).into_iter().collect(), Vec::new())
        }
    };
    Ok(InboundNews::Labels {
        key: key(&event.repository, event.issue.number)?,
        text: text(&event.issue),
        repo: Some(repo(&event.repository)?),
        added,
        removed,
        at: event.issue.updated_at.and_then(|at| at.parse().ok()),
    })
}

/// The signed sender must be the comment's author, and the comment must be as it was created.
fn issue_comment(event: IssueComment, sender: Option<&User>) -> Result<InboundNews, InboundError> {
    let comment = event.comment;
    if sender.is_none_or(|sender| sender.id != comment.user.id) {
        return Ok(InboundNews::Ignored("the sender is not the author of the comment"));
    }
    if comment.created_at != comment.updated_at {
        return Ok(InboundNews::Ignored("the comment was edited after it was written"));
    }
    let number = event.issue.number;
    let place = match event.issue.pull_request {
        Some(_) => Place::PullRequest(repo(&event.repository)?, number),
        None => Place::Ticket(key(&event.repository, number)?),
    };
    Ok(InboundNews::Comment {
        place,
        text: text(&event.issue),
        repo: Some(repo(&event.repository)?),
        id: comment.id.to_string(),
        body: comment.body,
        markup: Markup::Markdown,
    })
}

fn review(event: ReviewEvent, sender: Option<&User>) -> Result<InboundNews, InboundError> {
    if sender.is_none_or(|sender| sender.id != event.review.user.id) {
        return Ok(InboundNews::Ignored("the sender is not the author of the review"));
    }
    Ok(InboundNews::Review {
        repo: repo(&event.repository)?,
        number: event.pull_request.number,
        id: event.review.id.to_string(),
        node: event.review.node_id,
        asks_for_changes: event.review.state.eq_ignore_ascii_case("changes_requested"),
        body: event.review.body.unwrap_or_default(),
    })
}

fn review_comment(event: ReviewCommentEvent, sender: Option<&User>) -> Result<InboundNews, InboundError> {
    let comment = event.comment;
    if sender.is_none_or(|sender| sender.id != comment.user.id) {
        return Ok(InboundNews::Ignored("the sender is not the author of the comment"));
    }
    Ok(InboundNews::ReviewComment {
        repo: repo(&event.repository)?,
        number: event.pull_request.number,
        review: comment.pull_request_review_id.map(|id| id.to_string()),
        thread: Thread {
            id: comment.id.to_string(),
            path: comment.path,
            line: comment.line,
            body: comment.body,
            by: comment.user.login,
        },
    })
}

fn checks(event: CheckSuiteEvent) -> Result<InboundNews, InboundError> {
    let suite = event.check_suite;
    Ok(InboundNews::Checks {
        repo: repo(&event.repository)?,
        head: commit(&suite.head_sha)?,
        app: suite.app.map(|app| app.id),
        branches: suite.head_branch.as_deref().and_then(ours).into_iter().collect(),
        numbers: suite.pull_requests.iter().map(|pull| pull.number).collect(),
    })
}

/// Older systems report a status where others run a check; it names branches and no pull request.
fn status(event: &StatusEvent) -> Result<InboundNews, InboundError> {
    if event.state == "pending" {
        return Ok(InboundNews::Ignored("a status that is not final"));
    }
    let branches: Vec<BranchName> = event.branches.iter().filter_map(|branch| ours(&branch.name)).collect();
    if branches.is_empty() {
        return Ok(InboundNews::Ignored("a status of a commit on no branch of ours"));
    }
    let (repo, head) = (repo(&event.repository)?, commit(&event.sha)?);
    Ok(InboundNews::Checks { repo, head, app: None, branches, numbers: Vec::new() })
}

/// A branch, if it is one of ours.
fn ours(name: &str) -> Option<BranchName> {
    BranchName::parse(name).ok().filter(BranchName::is_ours)
}

fn push(event: &PushEvent) -> Result<InboundNews, InboundError> {
    let branch = event.r#ref.strip_prefix("refs/heads/").and_then(|name| BranchName::parse(name).ok());
    match branch.filter(|branch| !event.deleted && !branch.is_ours()) {
        Some(branch) => Ok(InboundNews::Advanced { repo: repo(&event.repository)?, branch }),
        None => Ok(InboundNews::Ignored("a push to nothing that work is based on")),
    }
}
