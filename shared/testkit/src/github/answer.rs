//! What each operation of the REST API does.

use serde_json::{Value, json};

use super::serve::{Ask, Caller, Reply, missing, refused};
use super::state::{Comment, Token};
use super::{bot, checks, login, pulls, repository, wire};

/// Carries out an operation that is allowed.
pub(super) fn answer(ask: &Ask<'_>, operation: &str) -> Reply {
    if let Caller::Person(_) = ask.caller {
        return login::for_person(ask, operation);
    }
    match operation.split_once('/') {
        Some(("apps" | "users", name)) => apps(ask, name),
        Some(("git", name)) => git(ask, name),
        Some(("pulls", name)) => pulls::answer(ask, name),
        Some(("issues", name)) => issues(ask, name),
        Some(("reactions", name)) => react(ask, name),
        Some(("checks", name)) => checks::answer(ask, name),
        _ => others(ask, operation),
    }
}

fn unknown(ask: &Ask<'_>, operation: &str) -> Reply {
    ask.inner.wrong(format!("the stand-in does not know {operation}"));
    missing()
}

fn apps(ask: &Ask<'_>, name: &str) -> Reply {
    match name {
        "get-authenticated" => (200, wire::app()),
        "get-by-username" => {
            let state = ask.inner.state();
            match state.login(ask.place("username")) {
                Some(user) => {
                    let parts = [("/id", json!(user.id)), ("/login", json!(user.login)), ("/type", json!(user.kind))];
                    (200, wire::like("users/get-by-username", 200, &parts))
                }
                None => missing(),
            }
        }
        "create-installation-access-token" => mint(ask),
        "revoke-installation-access-token" => {
            if let Caller::Guest(token) = &ask.caller
                && let Some(token) = ask.inner.state().tokens.get_mut(token)
            {
                token.live = false;
            }
            (204, Value::Null)
        }
        "get-repo-installation" => {
            let state = ask.inner.state();
            let repo = state.repo(&ask.repo()).map(|repo| repo.id);
            let found = state.installations.iter().find(|i| i.live && repo.is_some_and(|id| i.repos.contains(&id)));
            found.map_or_else(missing, |found| {
                (200, wire::like("apps/get-repo-installation", 200, &[("/id", json!(found.id))]))
            })
        }
        "list-webhook-deliveries" => deliveries(ask),
        "redeliver-webhook-delivery" => {
            if ask.inner.again(ask.number("delivery_id")) {
                (202, json!({}))
            } else {
                refused("no such delivery")
            }
        }
        _ => unknown(ask, name),
    }
}

fn mint(ask: &Ask<'_>) -> Reply {
    let mut state = ask.inner.state();
    let id = ask.number("installation_id");
    let Some(installation) = state.installations.iter().find(|i| i.id == id && i.live).cloned() else {
        return missing();
    };
    let named = ask.body.get("repositories").and_then(Value::as_array).into_iter().flatten();
    let by_name = named.filter_map(|name| {
        let full = format!("{}/{}", installation.account, name.as_str()?);
        state.repo(&full).map(|repo| repo.id)
    });
    let by_id = ask.body.get("repository_ids").and_then(Value::as_array).into_iter().flatten();
    let repos: Vec<u64> = by_id.filter_map(Value::as_u64).chain(by_name).collect();
    let asked = |name: &str| ask.body.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    if asked("repositories") + asked("repository_ids") != 1 {
        state.wrong.push("a token for other than one repository".to_owned());
    }
    if repos.len() != 1 || !repos.iter().all(|id| installation.repos.contains(id)) {
        return refused("There is at least one repository that does not exist or is not accessible");
    }
    let asked = ask.body.get("permissions").and_then(Value::as_object).cloned().unwrap_or_default();
    let permissions = asked.into_iter().filter_map(|(name, level)| Some((name, level.as_str()?.to_owned()))).collect();
    let number = state.id();
    // The long shape: whoever takes a token apart does it wrong.
    let token = format!("ghs_{}_eyJ{}.{}", super::APP, "x".repeat(300), number);
    let made = Token { installation: id, repos, permissions, live: true };
    state.tokens.insert(token.clone(), made);
    let until = (ask.inner.clock)() + std::time::Duration::from_hours(1);
    let mut body = wire::like(
        "apps/create-installation-access-token",
        201,
        &[("/token", json!(token)), ("/expires_at", wire::time(until))],
    );
    if let Some(map) = body.as_object_mut() {
        map.remove("repositories");
    }
    (201, body)
}

fn deliveries(ask: &Ask<'_>) -> Reply {
    let state = ask.inner.state();
    let before = ask.query("cursor").and_then(|cursor| cursor.strip_prefix("v1_")?.parse::<u64>().ok());
    let some = ask.query("per_page").and_then(|n| n.parse().ok()).unwrap_or(30);
    let base = wire::like("apps/list-webhook-deliveries", 200, &[]).get(0).cloned().unwrap_or_default();
    let all = state.deliveries.iter().rev().filter(|delivery| before.is_none_or(|before| delivery.id < before));
    let list = all.take(some).map(|delivery| {
        let mut one = base.clone();
        for (name, value) in [
            ("id", json!(delivery.id)),
            ("guid", json!(delivery.guid)),
            ("delivered_at", wire::time(delivery.at)),
            ("redelivery", json!(delivery.again)),
            ("status_code", json!(delivery.status)),
            ("status", json!(if delivery.status < 300 { "OK" } else { "failed" })),
            ("event", json!(delivery.event)),
        ] {
            one[name] = value;
        }
        one
    });
    (200, list.collect())
}

fn git(ask: &Ask<'_>, name: &str) -> Reply {
    let (path, now) = {
        let state = ask.inner.state();
        let Some(repo) = state.repo(&ask.repo()) else { return missing() };
        (repo.path.clone(), (ask.inner.clock)())
    };
    let reference = ask.place("ref").to_owned();
    let branch = reference.strip_prefix("heads/").unwrap_or("").to_owned();
    match name {
        "get-ref" => {
            repository::head(&path, &branch).map_or_else(missing, |sha| (200, repository::reference(&branch, &sha)))
        }
        "get-commit" => shown(&path, ask.place("commit_sha")).map_or_else(missing, |body| (200, body)),
        "create-tree" => {
            let base = ask.body.get("base_tree").and_then(Value::as_str);
            let entries = ask.body.get("tree").and_then(Value::as_array).cloned().unwrap_or_default();
            let made = repository::tree(&path, base, &entries);
            made.map_or_else(
                || refused("the tree cannot be made"),
                |sha| (201, wire::like("git/create-tree", 201, &[("/sha", json!(sha))])),
            )
        }
        "create-commit" => {
            let parents = ask.body.get("parents").and_then(Value::as_array).cloned().unwrap_or_default();
            let parents: Vec<&str> = parents.iter().filter_map(Value::as_str).collect();
            if ask.body.get("author").is_some() {
                ask.inner.wrong("a commit with an author of its own is not signed".to_owned());
            }
            let (message, tree) = (ask.text("message"), ask.text("tree"));
            // Each one is another: the signature has the time in it.
            let at = now.as_second() + i64::try_from(ask.inner.state().id()).unwrap_or(0);
            let Some(sha) = repository::make(&path, super::SLUG, (&message, &tree, &parents), at) else {
                return refused("the commit cannot be made");
            };
            if let Some(repo) = ask.inner.state().repo_mut(&ask.repo()) {
                repo.signed.insert(sha.clone());
            }
            shown(&path, &sha).map_or_else(missing, |body| (201, body))
        }
        "create-ref" | "update-ref" | "delete-ref" => moved(ask, name, &path, &branch),
        _ => unknown(ask, name),
    }
}

fn moved(ask: &Ask<'_>, name: &str, path: &std::path::Path, branch: &str) -> Reply {
    let sha = ask.text("sha");
    if name == "create-ref" {
        let full = ask.text("ref");
        let branch = full.strip_prefix("refs/heads/").unwrap_or("");
        if repository::head(path, branch).is_some() {
            return (422, json!({ "message": "Reference already exists" }));
        }
        let done = repository::git(path, &["update-ref", &full, &sha, ""], None, &[]);
        return done.map_or_else(|| refused("no such object"), |_| (201, repository::reference(branch, &sha)));
    }
    let Some(now) = repository::head(path, branch) else {
        return (422, json!({ "message": "Reference does not exist" }));
    };
    let full = format!("refs/heads/{branch}");
    if name == "delete-ref" {
        repository::git(path, &["update-ref", "-d", &full], None, &[]);
        return (204, Value::Null);
    }
    if ask.body.get("force") == Some(&json!(true)) {
        ask.inner.wrong("a branch was forced".to_owned());
    }
    if !repository::is_behind(path, &now, &sha) {
        return (422, json!({ "message": "Update is not a fast forward" }));
    }
    repository::git(path, &["update-ref", &full, &sha, &now], None, &[]);
    (200, repository::reference(branch, &sha))
}

fn shown(path: &std::path::Path, sha: &str) -> Option<Value> {
    let (tree, message, parents) = repository::commit(path, sha)?;
    let base = wire::like("git/get-commit", 200, &[]);
    let parent = base.pointer("/parents/0").cloned().unwrap_or_default();
    let parents: Vec<Value> = parents
        .iter()
        .map(|sha| {
            let mut one = parent.clone();
            one["sha"] = json!(sha);
            one
        })
        .collect();
    let parts =
        [("/sha", json!(sha)), ("/tree/sha", json!(tree)), ("/message", json!(message)), ("/parents", json!(parents))];
    Some(wire::like("git/get-commit", 200, &parts))
}

#[expect(clippy::too_many_lines, reason = "the operations on one thing")]
fn issues(ask: &Ask<'_>, name: &str) -> Reply {
    let (mut state, name_of) = (ask.inner.state(), ask.repo());
    let (us, fresh, now) = (bot(&state), state.id(), (ask.inner.clock)());
    let Some(repo) = state.repo_mut(&name_of) else { return missing() };
    let number = ask.number("issue_number");
    let id = ask.number("comment_id");
    let body = ask.text("body");
    match name {
        "create-comment" => {
            if !repo.issues.contains_key(&number) && !repo.pulls.contains_key(&number) {
                return missing();
            }
            if body.chars().count() > 65_536 {
                return refused("body is too long (maximum is 65536 characters)");
            }
            repo.comments.push(Comment::new(fresh, number, us, &body, now));
            let repo = repo.clone();
            (201, repo.comments.last().map(|comment| wire::comment(&state, &repo, comment)).unwrap_or_default())
        }
        "list-comments" => {
            let repo = repo.clone();
            let all: Vec<Value> =
                repo.comments.iter().filter(|c| c.number == number).map(|c| wire::comment(&state, &repo, c)).collect();
            (200, page(ask, all))
        }
        "get-comment" | "update-comment" => {
            let Some(comment) = repo.comments.iter_mut().find(|comment| comment.id == id) else { return missing() };
            if name == "update-comment" {
                if comment.by != us {
                    return (403, json!({ "message": "Resource not accessible by integration" }));
                }
                (comment.body, comment.updated) = (body, now);
            }
            let (comment, repo) = (comment.clone(), repo.clone());
            (200, wire::comment(&state, &repo, &comment))
        }
        "delete-comment" => {
            repo.comments.retain(|comment| comment.id != id || comment.by != us);
            (204, Value::Null)
        }
        "get" | "update" | "add-labels" | "remove-label" => {
            let Some(issue) = repo.issues.get_mut(&number) else { return missing() };
            if name == "update" && ask.text("state") == "closed" {
                issue.open = false;
            }
            let added = ask.body.get("labels").and_then(Value::as_array).into_iter().flatten();
            for label in added.filter_map(Value::as_str).filter(|_| name == "add-labels") {
                if !issue.labels.iter().any(|has| has == label) {
                    issue.labels.push(label.to_owned());
                }
            }
            if name == "remove-label" {
                issue.labels.retain(|label| label != ask.place("name"));
            }
            let (issue, repo) = (issue.clone(), repo.clone());
            let whole = wire::issue(&state, &repo, number, &issue);
            (200, if name.contains("label") { whole["labels"].clone() } else { whole })
        }
        _ => {
            drop(state);
            unknown(ask, name)
        }
    }
}

pub(super) fn page(ask: &Ask<'_>, all: Vec<Value>) -> Value {
    let number = |name: &str, usual: usize| ask.query(name).and_then(|n| n.parse().ok()).unwrap_or(usual);
    let (some, at) = (number("per_page", 30), number("page", 1));
    all.into_iter().skip(some * (at.max(1) - 1)).take(some).collect()
}

fn react(ask: &Ask<'_>, name: &str) -> Reply {
    let (mut state, content) = (ask.inner.state(), ask.text("content"));
    let us = bot(&state);
    let Some(repo) = state.repo_mut(&ask.repo()) else { return missing() };
    let id = ask.number("comment_id");
    let reactions = match name {
        "create-for-issue" => repo.issues.get_mut(&ask.number("issue_number")).map(|issue| &mut issue.reactions),
        "create-for-issue-comment" => repo.comments.iter_mut().find(|c| c.id == id).map(|c| &mut c.reactions),
        _ => repo.remarks.iter_mut().find(|c| c.id == id).map(|c| &mut c.reactions),
    };
    let Some(reactions) = reactions else { return missing() };
    let status = if reactions.insert((us, content.clone())) { 201 } else { 200 };
    (status, wire::like(&format!("reactions/{name}"), 201, &[("/content", json!(content))]))
}

fn others(ask: &Ask<'_>, operation: &str) -> Reply {
    let state = ask.inner.state();
    match operation {
        "repos/get-collaborator-permission-level" => {
            let (Some(repo), Some(user)) = (state.repo(&ask.repo()), state.login(ask.place("username"))) else {
                return missing();
            };
            let level = repo.access.get(&user.id).copied().unwrap_or(if repo.private { "none" } else { "read" });
            let parts = [
                ("/permission", json!(level)),
                ("/role_name", json!(level)),
                ("/user/id", json!(user.id)),
                ("/user/login", json!(user.login)),
            ];
            (200, wire::like(operation, 200, &parts))
        }
        "repos/get" => {
            let Some(repo) = state.repo(&ask.repo()) else { return missing() };
            (200, wire::repository(repo))
        }
        "teams/get-membership-for-user-in-org" => {
            let team = format!("{}/{}", ask.place("org"), ask.place("team_slug"));
            let user = state.login(ask.place("username")).map(|user| user.id);
            let inside = user.is_some_and(|id| state.teams.get(&team).is_some_and(|team| team.contains(&id)));
            if inside { (200, wire::like(operation, 200, &[("/state", json!("active"))])) } else { missing() }
        }
        "repos/get-combined-status-for-ref" => {
            let repo = state.repo(&ask.repo()).cloned();
            let all = repo.iter().flat_map(|repo| &repo.statuses).filter(|status| status.head == ask.place("ref"));
            (200, wire::statuses(ask.place("ref"), all))
        }
        _ => {
            drop(state);
            unknown(ask, operation)
        }
    }
}
