//! The few queries and mutations that the REST API has no word for.

use serde_json::{Value, json};

use super::serve::{Ask, Caller, Reply};
use super::state::{Repo, State};

fn failed(kind: &str, message: &str) -> Reply {
    (200, json!({ "data": null, "errors": [{ "type": kind, "message": message }] }))
}

/// Answers a query or a mutation.
pub(super) fn answer(ask: &Ask<'_>) -> Reply {
    let query = ask.text("query");
    let id = ask.body.pointer("/variables/id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut state = ask.inner.state();
    let Caller::Guest(token) = &ask.caller else {
        return failed("FORBIDDEN", "Resource not accessible by the App itself");
    };
    let Some(token) = state.tokens.get(token).cloned() else {
        return failed("FORBIDDEN", "Bad credentials");
    };
    if token.permissions.get("pull_requests").map(String::as_str) != Some("write") {
        return failed("FORBIDDEN", "Resource not accessible by integration");
    }
    let settles = query.contains("resolveReviewThread") || query.contains("markPullRequestReadyForReview");
    if settles && token.permissions.get("contents").map(String::as_str) != Some("write") {
        return failed("FORBIDDEN", "Resource not accessible by integration");
    }
    let us = super::bot(&state);
    let done = if query.contains("reviewThreads") {
        return threads(&state, ask, &token.repos);
    } else if query.contains("minimizeComment") {
        comment(&mut state, &token.repos, &id, &|comment| comment.folded = true)
    } else if query.contains("resolveReviewThread") {
        comment(&mut state, &token.repos, &id, &|comment| comment.resolved = true)
    } else if query.contains("markPullRequestReadyForReview") {
        ready(&mut state, &token.repos, &id)
    } else if query.contains("addReaction") {
        let content = ask.body.pointer("/variables/content").and_then(Value::as_str).unwrap_or_default().to_owned();
        react(&mut state, &token.repos, &id, (us, content))
    } else {
        state.wrong.push(format!("an unknown query: {query}"));
        false
    };
    if done { (200, json!({ "data": {} })) } else { failed("NOT_FOUND", "Could not resolve to a node") }
}

fn numbered(id: &str) -> u64 {
    id.rsplit('_').next().and_then(|id| id.parse().ok()).unwrap_or(0)
}

fn seen<'a>(state: &'a mut State, repos: &'a [u64]) -> impl Iterator<Item = &'a mut Repo> {
    state.repos.iter_mut().filter(|repo| repos.contains(&repo.id))
}

/// Changes a comment, a remark, or a thread by its first remark.
fn comment(state: &mut State, repos: &[u64], id: &str, change: &dyn Fn(&mut super::state::Comment)) -> bool {
    let number = numbered(id);
    for repo in seen(state, repos) {
        let all = if id.starts_with("IC_") { &mut repo.comments } else { &mut repo.remarks };
        if let Some(comment) = all.iter_mut().find(|comment| comment.id == number) {
            change(comment);
            return true;
        }
    }
    false
}

fn ready(state: &mut State, repos: &[u64], id: &str) -> bool {
    let number = numbered(id);
    for repo in seen(state, repos).filter(|repo| id == format!("PR_{}_{number}", repo.id)) {
        if let Some(pull) = repo.pulls.get_mut(&number) {
            pull.draft = false;
            return true;
        }
    }
    false
}

fn react(state: &mut State, repos: &[u64], id: &str, reaction: (u64, String)) -> bool {
    let number = numbered(id);
    for repo in seen(state, repos) {
        if let Some(reactions) = repo.reviews.get_mut(&number) {
            reactions.insert(reaction);
            return true;
        }
    }
    false
}

fn threads(state: &State, ask: &Ask<'_>, repos: &[u64]) -> Reply {
    let variable = |name: &str| ask.body.pointer(&format!("/variables/{name}")).cloned().unwrap_or_default();
    let name = format!("{}/{}", variable("owner").as_str().unwrap_or(""), variable("name").as_str().unwrap_or(""));
    let number = variable("number").as_u64().unwrap_or(0);
    let Some(repo) = state.repo(&name).filter(|repo| repos.contains(&repo.id)) else {
        return failed("NOT_FOUND", "Could not resolve to a Repository");
    };
    let first = repo.remarks.iter().filter(|remark| remark.number == number && remark.reply_to.is_none());
    let nodes: Vec<Value> = first
        .map(|remark| {
            json!({
                "id": format!("PRRT_{}", remark.id),
                "isResolved": remark.resolved,
                "comments": { "nodes": [{ "databaseId": remark.id }] },
            })
        })
        .collect();
    (200, json!({ "data": { "repository": { "pullRequest": { "reviewThreads": { "nodes": nodes } } } } }))
}
