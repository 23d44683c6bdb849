//! How things look on the wire: the description's own examples, with what is kept put in.

use domain::Timestamp;
use serde_json::{Value, json};

use super::state::{Check, Comment, Installation, Issue, Pull, Repo, State, Status, User};
use super::{APP, CLIENT, SLUG};
use crate::openapi;

fn example(operation: &str, status: u16) -> Value {
    openapi::github().example(operation, status)
}

fn put(mut whole: Value, parts: &[(&str, Value)]) -> Value {
    for (name, value) in parts {
        if let Some(place) = whole.pointer_mut(name) {
            *place = value.clone();
        } else if let Some((around, last)) = name.rsplit_once('/') {
            let around = if around.is_empty() { Some(&mut whole) } else { whole.pointer_mut(around) };
            if let Some(Value::Object(map)) = around {
                map.insert(last.to_owned(), value.clone());
            }
        }
    }
    whole
}

pub(super) fn time(at: Timestamp) -> Value {
    json!(at.to_string().split('.').next().map_or_else(String::new, |text| format!("{}Z", text.trim_end_matches('Z'))))
}

/// A user as others see one.
pub(super) fn user(user: Option<&User>) -> Value {
    let base = example("issues/get-comment", 200);
    let base = base.get("user").cloned().unwrap_or_default();
    let Some(user) = user else { return Value::Null };
    put(base, &[("/id", json!(user.id)), ("/login", json!(user.login)), ("/type", json!(user.kind))])
}

pub(super) fn comment(state: &State, repo: &Repo, comment: &Comment) -> Value {
    let html = format!("https://github.test/{}/issues/{}#issuecomment-{}", repo.name, comment.number, comment.id);
    put(
        example("issues/get-comment", 200),
        &[
            ("/id", json!(comment.id)),
            ("/node_id", json!(format!("IC_{}", comment.id))),
            ("/body", json!(comment.body)),
            ("/html_url", json!(html)),
            ("/user", user(state.user(comment.by))),
            ("/created_at", time(comment.created)),
            ("/updated_at", time(comment.updated)),
        ],
    )
}

pub(super) fn remark(state: &State, repo: &Repo, comment: &Comment) -> Value {
    let (path, line) = comment.at.clone().unwrap_or_default();
    let mut whole = put(
        example("pulls/get-review-comment", 200),
        &[
            ("/id", json!(comment.id)),
            ("/node_id", json!(format!("PRRC_{}", comment.id))),
            ("/body", json!(comment.body)),
            ("/path", json!(path)),
            ("/line", json!(line)),
            ("/pull_request_review_id", json!(comment.review)),
            ("/user", user(state.user(comment.by))),
            ("/created_at", time(comment.created)),
            ("/updated_at", time(comment.updated)),
            ("/html_url", json!(format!("https://github.test/{}/pull/{}#r{}", repo.name, comment.number, comment.id))),
        ],
    );
    if let Some(map) = whole.as_object_mut() {
        match comment.reply_to {
            Some(id) => map.insert("in_reply_to_id".to_owned(), json!(id)),
            None => map.remove("in_reply_to_id"),
        };
    }
    whole
}

/// A remark as the list of a review's remarks shows it.
pub(super) fn reviewed(state: &State, repo: &Repo, comment: &Comment) -> Value {
    let whole = remark(state, repo, comment);
    let base = example("pulls/list-comments-for-review", 200).get(0).cloned().unwrap_or_default();
    let mut parts: Vec<(&str, Value)> = ["/id", "/body", "/path", "/user", "/pull_request_review_id"]
        .into_iter()
        .map(|name| (name, whole.pointer(name).cloned().unwrap_or_default()))
        .collect();
    parts.push(("/line", json!(comment.at.as_ref().map(|(_, line)| *line))));
    let mut shown = put(base, &parts);
    if let Some(map) = shown.as_object_mut() {
        map.remove("in_reply_to_id");
    }
    shown
}

pub(super) fn issue(state: &State, repo: &Repo, number: u64, issue: &Issue) -> Value {
    let base = example("issues/get", 200);
    let label = base.pointer("/labels/0").cloned().unwrap_or_default();
    let labels = issue.labels.iter().map(|name| put(label.clone(), &[("/name", json!(name))]));
    let mut whole = put(
        base,
        &[
            ("/number", json!(number)),
            ("/title", json!(issue.title)),
            ("/body", json!(issue.body)),
            ("/state", json!(if issue.open { "open" } else { "closed" })),
            ("/labels", labels.collect()),
            ("/user", user(state.user(issue.by))),
            ("/updated_at", time(issue.updated)),
            ("/html_url", json!(format!("https://github.test/{}/issues/{number}", repo.name))),
        ],
    );
    if let Some(map) = whole.as_object_mut() {
        map.remove("pull_request");
    }
    whole
}

/// A pull request as a list shows it.
pub(super) fn listed(state: &State, repo: &Repo, pull: (u64, &Pull), head: &str) -> Value {
    let base = example("pulls/list", 200).get(0).cloned().unwrap_or_default();
    put(base, &parts(state, repo, pull, head))
}

/// A pull request on its own.
pub(super) fn whole(state: &State, repo: &Repo, pull: (u64, &Pull), head: &str, mergeable: Option<bool>) -> Value {
    let mut all = parts(state, repo, pull, head);
    all.extend([("/merged", json!(pull.1.merged)), ("/mergeable", json!(mergeable))]);
    put(example("pulls/get", 200), &all)
}

fn parts(state: &State, repo: &Repo, (number, pull): (u64, &Pull), head: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/number", json!(number)),
        ("/node_id", json!(format!("PR_{}_{number}", repo.id))),
        ("/title", json!(pull.title)),
        ("/body", json!(pull.body)),
        ("/state", json!(if pull.open { "open" } else { "closed" })),
        ("/draft", json!(pull.draft)),
        ("/merged_at", if pull.merged { json!("2026-03-01T12:00:00Z") } else { Value::Null }),
        ("/head/sha", json!(head)),
        ("/head/ref", json!(pull.branch)),
        ("/head/repo/id", json!(repo.id)),
        ("/head/repo/full_name", json!(repo.name)),
        ("/base/ref", json!(pull.base)),
        ("/user", user(state.user(pull.by))),
        ("/html_url", json!(format!("https://github.test/{}/pull/{number}", repo.name))),
    ]
}

pub(super) fn check(check: &Check) -> Value {
    let app = put(example("apps/get-authenticated", 200), &[("/id", json!(check.app)), ("/slug", json!(SLUG))]);
    put(
        example("checks/create", 201),
        &[
            ("/id", json!(check.id)),
            ("/name", json!(check.name)),
            ("/head_sha", json!(check.head)),
            ("/external_id", json!(check.external)),
            ("/status", json!(if check.done { "completed" } else { "in_progress" })),
            ("/conclusion", json!(check.conclusion)),
            ("/output/title", json!(check.title)),
            ("/output/summary", json!(check.summary)),
            ("/app", app),
        ],
    )
}

/// The statuses of a commit, and what they are together.
pub(super) fn statuses<'a>(head: &str, all: impl Iterator<Item = &'a Status>) -> Value {
    let base = example("repos/get-combined-status-for-ref", 200);
    let one = base.pointer("/statuses/0").cloned().unwrap_or_default();
    let shown = all.map(|s| put(one.clone(), &[("/context", json!(s.context)), ("/state", json!(s.state))]));
    let shown: Vec<Value> = shown.collect();
    let is = |state: &str| shown.iter().any(|status| status.get("state") == Some(&json!(state)));
    let together = match () {
        () if is("failure") || is("error") => "failure",
        () if shown.is_empty() || is("pending") => "pending",
        () => "success",
    };
    let parts = [("/sha", json!(head)), ("/total_count", json!(shown.len())), ("/state", json!(together))];
    put(put(base, &parts), &[("/statuses", json!(shown))])
}

/// A repository on its own.
pub(super) fn repository(repo: &Repo) -> Value {
    let parts = [
        ("/id", json!(repo.id)),
        ("/full_name", json!(repo.name)),
        ("/private", json!(repo.private)),
        ("/default_branch", json!("main")),
    ];
    put(example("repos/get", 200), &parts)
}

/// An installation as those see it who see some of it.
pub(super) fn installation(state: &State, installation: &Installation, app: u64) -> Value {
    let person = state.login(&installation.account);
    let (id, kind) = person.map_or((1, "Organization"), |user| (user.id, user.kind));
    let base = example("apps/list-installations-for-authenticated-user", 200);
    let parts = [
        ("/id", json!(installation.id)),
        ("/app_id", json!(app)),
        ("/account/id", json!(id)),
        ("/account/login", json!(installation.account)),
        ("/account/type", json!(kind)),
    ];
    put(base.pointer("/installations/0").cloned().unwrap_or_default(), &parts)
}

/// The App itself.
pub(super) fn app() -> Value {
    put(
        example("apps/get-authenticated", 200),
        &[("/id", json!(APP)), ("/slug", json!(SLUG)), ("/client_id", json!(CLIENT))],
    )
}

/// An answer of the description, with parts of it put in.
pub(super) fn like(operation: &str, status: u16, parts: &[(&str, Value)]) -> Value {
    put(example(operation, status), parts)
}
