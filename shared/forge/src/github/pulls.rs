//! Pull requests on GitHub: one for a branch, made once, changed only where it is ours to change.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::name::{CommitSha, RepoName};
use domain::ticket::{PullRequestRef, Target};
use engine::inbound::{Named, Thread};
use engine::port::{Access, Capabilities, Checks, Forge, Opened, Permit, Person, PullRequestState, PullRequestText};
use engine::tenancy::TenantCtx;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::{Scope, revoke};
use super::{Github, Guest};

#[derive(Deserialize)]
struct Pull {
    number: u64,
    node_id: String,
    html_url: String,
    state: String,
    title: String,
    body: Option<String>,
    #[serde(default)]
    draft: Option<bool>,
    merged_at: Option<String>,
    #[serde(default)]
    mergeable: Option<bool>,
    head: Tip,
    base: Tip,
}

#[derive(Deserialize)]
struct Tip {
    sha: String,
    r#ref: String,
    /// Absent once the fork is gone.
    #[serde(default)]
    repo: Option<Where>,
}

#[derive(Deserialize)]
struct Where {
    id: u64,
    full_name: String,
}

#[derive(Deserialize)]
struct About {
    id: u64,
    full_name: String,
    private: bool,
    default_branch: String,
}

#[derive(Deserialize)]
struct Runs {
    check_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    name: String,
    status: String,
    conclusion: Option<String>,
    output: Output,
    app: Option<Numbered>,
}

#[derive(Deserialize)]
struct Output {
    title: Option<String>,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct Remark {
    id: u64,
    path: String,
    #[serde(default)]
    line: Option<u64>,
    body: String,
    user: Option<User>,
    #[serde(default)]
    in_reply_to_id: Option<u64>,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

impl From<Remark> for Thread {
    fn from(remark: Remark) -> Self {
        let by = remark.user.map(|user| user.login).unwrap_or_default();
        Self { id: remark.id.to_string(), path: remark.path, line: remark.line, body: remark.body, by }
    }
}

#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

#[derive(Deserialize)]
struct Statuses {
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    state: String,
    description: Option<String>,
}

/// Around what we write into a pull request's text; people may write beside it.
const BEGIN: &str = "<!-- prfactory:begin -->";
const END: &str = "<!-- prfactory:end -->";
/// Most characters of a pull request's text; GitHub stops at 65,536.
const ROOM: usize = 60_000;

/// How long GitHub is given, time after time, to find out whether a pull request conflicts.
const FINDING_OUT: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6)];

/// A part of a query as it travels.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn framed(body: &str) -> String {
    let body: String = body.chars().take(ROOM).collect();
    format!("{BEGIN}\n{body}\n{END}")
}

/// Our part of a text renewed, everything else as people left it; `None` when they took our part out.
fn renewed(before: &str, body: &str) -> Option<String> {
    let (head, rest) = before.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{}{tail}", framed(body)))
}

fn opened(pull: Pull) -> Result<Opened, Failure> {
    let head = CommitSha::parse(&pull.head.sha).map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
    let state = match (pull.state.as_str(), &pull.merged_at) {
        (_, Some(_)) => PullRequestState::Merged,
        ("open", None) => PullRequestState::Open,
        (_, None) => PullRequestState::Closed,
    };
    let draft = pull.draft.unwrap_or(false);
    let text = PullRequestText { title: pull.title, body: pull.body.unwrap_or_default(), draft };
    Ok(Opened { reference: PullRequestRef { number: pull.number, url: pull.html_url, head }, state, text })
}

impl Guest {
    async fn pull_of(&self, target: &Target) -> Result<Option<Opened>, Failure> {
        let owner = self.repo.name.as_str().split('/').next().unwrap_or_default();
        let (branch, base) = (encoded(target.branch.as_str()), encoded(target.base.as_str()));
        let path = format!("pulls?state=all&head={owner}:{branch}&base={base}&sort=created&direction=desc");
        let mut all: Vec<Pull> = self.api.get(&self.at(&path)).await?.read("listing pull requests")?;
        // A fork within the same organisation has branches of the same names.
        let ours = |pull: &Pull| {
            let here = pull.head.repo.as_ref().is_some_and(|repo| {
                self.repo.id.map_or_else(|| repo.full_name == self.repo.name.as_str(), |id| repo.id == id)
            });
            here && pull.head.r#ref == target.branch.as_str() && pull.base.r#ref == target.base.as_str()
        };
        all.retain(ours);
        all.sort_by_key(|pull| std::cmp::Reverse((pull.state == "open", pull.number)));
        all.into_iter().next().map(opened).transpose()
    }

    async fn pull(&self, number: u64) -> Result<Pull, Failure> {
        self.api.get(&self.at(&format!("pulls/{number}"))).await?.read("reading a pull request")
    }

    async fn create(
        &self,
        target: &Target,
        text: &PullRequestText,
        draft: bool,
    ) -> Result<super::api::Answer, Failure> {
        let body = json!({
            "title": text.title,
            "body": framed(&text.body),
            "head": target.branch,
            "base": target.base,
            "draft": draft,
            "maintainer_can_modify": false,
        });
        self.api.post(&self.at("pulls"), body).await
    }
}

#[async_trait]
impl Forge for Github {
    fn capabilities(&self) -> Capabilities {
        Capabilities { drafts: true, reactions: true, resolvable_threads: true, check_runs: true, api_commits: true }
    }

    fn app(&self) -> Option<u64> {
        Some(self.app.id())
    }

    async fn find(&self, ctx: &TenantCtx, target: &Target) -> Result<Option<Opened>, Failure> {
        self.guest(ctx, &target.repo, Scope::Look).await?.pull_of(target).await
    }

    async fn open(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        _head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure> {
        let guest = self.guest(ctx, &target.repo, Scope::Offer).await?;
        if let Some(found) = guest.pull_of(target).await?.filter(|found| found.state == PullRequestState::Open) {
            return Ok(found);
        }
        permit.holds()?;
        let mut answer = guest.create(target, text, text.draft).await?;
        if answer.is_refused() && text.draft && answer.said().to_lowercase().contains("draft") {
            // Private repositories of some plans know no drafts.
            permit.holds()?;
            answer = guest.create(target, text, false).await?;
        }
        if answer.is_refused() && answer.said().contains("already exists") {
            let found = guest.pull_of(target).await?;
            let listed = || Failure::new(Fault::Transient, "the pull request exists and is not listed yet");
            return found.ok_or_else(listed);
        }
        opened(answer.read("opening a pull request")?)
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        number: u64,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure> {
        let guest = self.guest(ctx, &target.repo, Scope::Offer).await?;
        let pull = guest.pull(number).await?;
        let before = pull.body.clone().unwrap_or_default();
        let mut now = opened(pull)?;
        // The branch was moved a moment ago; what GitHub shows of it may be older.
        now.reference.head = head.clone();
        let Some(body) = renewed(&before, &text.body).filter(|body| *body != before) else {
            return Ok(now);
        };
        permit.holds()?;
        let answer = guest.api.patch(&guest.at(&format!("pulls/{number}")), json!({ "body": body })).await?;
        answer.done("changing a pull request").map(|()| now)
    }

    async fn ready(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<(), Failure> {
        let pull = self.guest(ctx, &target.repo, Scope::Look).await?.pull(number).await?;
        if pull.draft != Some(true) || pull.state != "open" {
            return Ok(());
        }
        let ready = "mutation($id: ID!) { markPullRequestReadyForReview(input: { pullRequestId: $id }) { pullRequest { isDraft } } }";
        let guest = self.guest(ctx, &target.repo, Scope::Settle).await?;
        let done = guest.api.graphql(ready, json!({ "id": pull.node_id })).await;
        revoke(&guest.api).await;
        done.map(|_| ())
    }

    async fn mergeable(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<Option<bool>, Failure> {
        let guest = self.guest(ctx, &target.repo, Scope::Look).await?;
        // The first to ask has GitHub find out.
        for wait in FINDING_OUT {
            if let Some(found) = guest.pull(number).await?.mergeable {
                return Ok(Some(found));
            }
            tokio::time::sleep(wait).await;
        }
        Ok(guest.pull(number).await?.mergeable)
    }

    async fn checks(&self, ctx: &TenantCtx, repo: &RepoName, head: &CommitSha) -> Result<Option<Checks>, Failure> {
        let guest = self.guest(ctx, repo, Scope::Look).await?;
        let path = guest.at(&format!("commits/{head}/check-runs?filter=latest"));
        let runs = guest.api.pages(&path, "listing checks", |page: &Runs| page.check_runs.len()).await?;
        let mut checks = Checks::default();
        let ours = |run: &Run| run.app.as_ref().is_some_and(|app| app.id == self.app.id());
        for run in runs.into_iter().flat_map(|page| page.check_runs).filter(|run| !ours(run)) {
            checks.total += 1;
            if run.status != "completed" {
                checks.running += 1;
            } else if matches!(run.conclusion.as_deref(), Some("success" | "neutral" | "skipped")) {
                checks.passed += 1;
            } else if matches!(run.conclusion.as_deref(), Some("failure" | "timed_out" | "startup_failure")) {
                let said = [run.output.title, run.output.summary].into_iter().flatten().collect::<Vec<_>>().join("\n");
                checks.failed.push((run.name, said.chars().take(4_000).collect()));
            }
        }
        // Older systems report statuses beside the checks.
        let path = guest.at(&format!("commits/{head}/status"));
        let statuses = guest.api.pages(&path, "reading statuses", |page: &Statuses| page.statuses.len()).await?;
        for status in statuses.into_iter().flat_map(|page| page.statuses) {
            checks.total += 1;
            match status.state.as_str() {
                "pending" => checks.running += 1,
                "failure" | "error" => checks.failed.push((status.context, status.description.unwrap_or_default())),
                _ => checks.passed += 1,
            }
        }
        checks.failed.sort();
        Ok(Some(checks))
    }

    async fn remarks(
        &self,
        ctx: &TenantCtx,
        repo: &RepoName,
        number: u64,
        review: &str,
    ) -> Result<Option<Vec<Thread>>, Failure> {
        let guest = self.guest(ctx, repo, Scope::Look).await?;
        let path = guest.at(&format!("pulls/{number}/reviews/{review}/comments"));
        let all: Vec<Remark> = guest.api.list(&path, "listing the remarks of a review").await?;
        // A reply is part of a thread that somebody else began.
        let first = all.into_iter().filter(|remark| remark.in_reply_to_id.is_none());
        Ok(Some(first.map(Thread::from).collect()))
    }

    async fn access(&self, ctx: &TenantCtx, repo: &RepoName, who: &Person) -> Result<Option<Access>, Failure> {
        self.access_of(ctx, repo, who).await.map(Some)
    }

    async fn in_team(&self, ctx: &TenantCtx, repo: &RepoName, team: &str, who: &Person) -> Result<bool, Failure> {
        self.is_in_team(ctx, repo, team, who).await
    }

    async fn about(&self, ctx: &TenantCtx, repo: &RepoName) -> Result<Option<Named>, Failure> {
        let guest = self.guest(ctx, repo, Scope::Look).await?;
        let found: About =
            guest.api.get(&format!("/repos/{}", guest.repo.name)).await?.read("looking at a repository")?;
        let name = RepoName::parse(&found.full_name).map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
        let public = Some(!found.private);
        Ok(Some(Named { id: found.id, name, public, base: Some(found.default_branch) }))
    }

    async fn signature(&self, _ctx: &TenantCtx, _target: &Target) -> Result<Option<String>, Failure> {
        self.app.signature().await.map(Some)
    }

    async fn close(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<(), Failure> {
        let guest = self.guest(ctx, &target.repo, Scope::Talk).await?;
        if guest.pull(number).await?.state != "open" {
            return Ok(());
        }
        let body: Value = json!({ "state": "closed" });
        guest.api.patch(&guest.at(&format!("pulls/{number}")), body).await?.done("closing a pull request")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_part_of_a_pull_requests_text_is_renewed() {
        let before = format!("Seen by Ada.\n\n{}\n\nSee also the wiki.", framed("old"));
        let after = renewed(&before, "new").unwrap();
        assert_eq!(after, format!("Seen by Ada.\n\n{}\n\nSee also the wiki.", framed("new")));
        assert_eq!(renewed("a person rewrote it", "new"), None, "what people wrote instead stays");
    }
}
