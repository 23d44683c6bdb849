//! What each operation of the API does.

use std::collections::BTreeMap;

use domain::Timestamp;
use serde_json::{Value, json};

use super::{ACCOUNT, Comment, File, Inner, Issue, Reply, State, missing};

pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let all = query.split('&').filter(|part| !part.is_empty());
    all.map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(k, v)| (k.to_owned(), v.replace("%2C", ",")))
        .collect()
}

/// What a permission is called that an operation needs.
fn needs(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "addComment" => "ADD_COMMENTS",
        "updateComment" | "deleteComment" => "EDIT_OWN_COMMENTS",
        "editIssue" => "EDIT_ISSUES",
        "doTransition" => "TRANSITION_ISSUES",
        "createOrUpdateRemoteIssueLink" => "LINK_ISSUES",
        "getIssue" | "getComments" | "getComment" | "getTransitions" | "getAttachmentContent" => "BROWSE_PROJECTS",
        _ => return None,
    })
}

/// A new access token for a refresh token, which is a new one after each use.
pub(super) fn token(inner: &Inner, body: &Value) -> Reply {
    let mut state = inner.state();
    let given = body.get("refresh_token").and_then(Value::as_str).map(str::to_owned);
    if given.is_none() || given != state.refresh {
        state.wrong.push("a refresh token was used that is not good any more".to_owned());
        return (403, json!({ "error": "unauthorized_client" }));
    }
    let number = state.id();
    state.refresh = Some(format!("refresh-{number}"));
    state.access = Some(format!("access-{number}"));
    (
        200,
        json!({ "access_token": state.access, "refresh_token": state.refresh, "expires_in": 3600, "token_type": "Bearer" }),
    )
}

/// The site's webhooks, which an administrator may list and add to.
pub(super) fn hooks(inner: &Inner, method: &str, body: Value) -> Reply {
    let mut state = inner.state();
    if state.forbidden.contains("ADMINISTER") {
        return (403, json!({ "errorMessages": ["You are not permitted to register webhooks"] }));
    }
    if method == "POST" {
        state.hooks.push(body.clone());
        return (201, body);
    }
    (200, json!(state.hooks))
}

/// Carries out an operation, if our account may.
pub(super) fn answer(
    inner: &Inner,
    operation: &str,
    places: &BTreeMap<String, String>,
    query: &[(String, String)],
    body: &Value,
) -> Reply {
    let mut state = inner.state();
    let now = (inner.clock)();
    if let Some(permission) = needs(operation).filter(|permission| state.forbidden.contains(*permission)) {
        if permission == "BROWSE_PROJECTS" {
            return missing();
        }
        return (
            403,
            json!({ "errorMessages": [format!("You do not have the permission {permission}.")], "errors": {} }),
        );
    }
    match operation {
        "getCurrentUser" => (200, me(&state)),
        "getMyPermissions" => (200, permissions(&state, query)),
        "getAttachmentContent" => {
            let id = places.get("id").and_then(|id| id.parse::<u64>().ok());
            let file = state.issues.values().flat_map(|issue| &issue.files).find(|file| Some(file.id) == id);
            // Each byte as one character: `written` makes bytes of them again.
            let whole = |file: &File| json!(file.bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
            file.map_or_else(missing, |file| (200, whole(file)))
        }
        _ => on_issue(&mut state, operation, places, (query, body), now),
    }
}

fn me(state: &State) -> Value {
    json!({ "accountId": ACCOUNT, "accountType": "atlassian", "displayName": name(state, ACCOUNT), "active": true })
}

fn permissions(state: &State, query: &[(String, String)]) -> Value {
    let asked = query.iter().find(|(name, _)| name == "permissions").map_or("", |(_, names)| names.as_str());
    let all: serde_json::Map<String, Value> = asked
        .split(',')
        .enumerate()
        .map(|(id, key)| {
            let has = !state.forbidden.contains(key);
            let shown = json!({ "id": id.to_string(), "key": key, "name": key, "type": "PROJECT", "description": "", "havePermission": has });
            (key.to_owned(), shown)
        })
        .collect();
    json!({ "permissions": all })
}

fn name(state: &State, account: &str) -> String {
    state.users.iter().find(|user| user.account == account).map_or_else(String::new, |user| user.name.clone())
}

fn author(state: &State, account: &str) -> Value {
    let kind = state.users.iter().find(|user| user.account == account).map_or("unknown", |user| user.kind);
    json!({ "accountId": account, "accountType": kind, "displayName": name(state, account), "active": true })
}

fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let (text, _) = text.split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
    format!("{text}.000+0000")
}

pub(super) fn comment(state: &State, comment: &Comment, properties: bool) -> Value {
    let mut shown = json!({
        "id": comment.id.to_string(),
        "author": author(state, &comment.by),
        "body": comment.body,
        "created": time(comment.created),
        "updated": time(comment.updated),
        "jsdPublic": !comment.internal,
    });
    if properties {
        shown["properties"] = json!(comment.properties);
    }
    shown
}

/// Words as a person's editor makes a document of them.
pub(super) fn document(text: &str) -> Value {
    let paragraphs = text.split("\n\n").filter(|part| !part.trim().is_empty());
    let content: Vec<Value> =
        paragraphs.map(|part| json!({ "type": "paragraph", "content": [{ "type": "text", "text": part }] })).collect();
    json!({ "type": "doc", "version": 1, "content": content })
}

fn fields(state: &State, issue: &Issue) -> Value {
    let comments: Vec<Value> = issue.comments.iter().map(|c| comment(state, c, false)).collect();
    let files: Vec<Value> = issue.files.iter().map(file).collect();
    let mut all = json!({
        "summary": issue.summary,
        "description": document(&issue.description),
        "labels": issue.labels,
        "status": { "name": issue.status },
        "components": issue.components.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "comment": { "comments": comments, "total": comments.len(), "startAt": 0, "maxResults": 100 },
        "attachment": files,
        "assignee": issue.assignee,
    });
    for (name, value) in &issue.fields {
        all[name] = value.clone();
    }
    all
}

fn file(file: &File) -> Value {
    json!({ "id": file.id.to_string(), "filename": file.name, "mimeType": file.kind, "size": file.bytes.len() })
}

fn on_issue(
    state: &mut State,
    operation: &str,
    places: &BTreeMap<String, String>,
    (query, body): (&[(String, String)], &Value),
    now: Timestamp,
) -> Reply {
    let key = places.get("issueIdOrKey").cloned().unwrap_or_default();
    let Some(issue) = state.issues.get(&key).cloned() else {
        return missing();
    };
    match operation {
        "getIssue" => {
            let wanted = query.iter().find(|(name, _)| name == "fields").map(|(_, fields)| fields.clone());
            let mut all = fields(state, &issue);
            if let (Some(wanted), Some(map)) = (wanted, all.as_object_mut()) {
                map.retain(|name, _| wanted.split(',').any(|field| field == name));
            }
            (200, json!({ "id": issue.id.to_string(), "key": key, "fields": all }))
        }
        "editIssue" => edited(state, &key, body),
        "getTransitions" | "doTransition" => moved(state, (operation, &key, &issue), body),
        "createOrUpdateRemoteIssueLink" => {
            let id = body.get("globalId").and_then(Value::as_str).unwrap_or_default().to_owned();
            let is_new = !issue.links.contains_key(&id);
            if let Some(issue) = state.issues.get_mut(&key) {
                issue.links.insert(id, body.clone());
            }
            (if is_new { 201 } else { 200 }, json!({ "id": 1, "self": "https://jira.test/link/1" }))
        }
        _ => comments(state, operation, (&key, places, query), body, now),
    }
}

fn edited(state: &mut State, key: &str, body: &Value) -> Reply {
    let changes = body.pointer("/update/labels").and_then(Value::as_array).cloned().unwrap_or_default();
    if body.pointer("/fields/labels").is_some() {
        state.wrong.push("labels were set as a whole, which takes those of people away".to_owned());
    }
    if let Some(issue) = state.issues.get_mut(key) {
        for change in changes {
            let word = |name: &str| change.get(name).and_then(Value::as_str).map(str::to_owned);
            issue.labels.extend(word("add"));
            if let Some(label) = word("remove") {
                issue.labels.remove(&label);
            }
        }
    }
    (204, Value::Null)
}

fn moved(state: &mut State, (operation, key, issue): (&str, &str, &Issue), body: &Value) -> Reply {
    let ways: Vec<(usize, String)> = (state.ways.iter().enumerate())
        .filter(|(_, (from, _))| *from == issue.status)
        .map(|(at, (_, to))| (at + 11, to.clone()))
        .collect();
    if operation == "getTransitions" {
        let all: Vec<Value> = ways
            .iter()
            .map(|(id, to)| json!({ "id": id.to_string(), "name": format!("Move to {to}"), "to": { "name": to } }))
            .collect();
        return (200, json!({ "transitions": all }));
    }
    let id = body.pointer("/transition/id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    match ways.into_iter().find(|(way, _)| Some(*way) == id) {
        Some((_, to)) => {
            if let Some(issue) = state.issues.get_mut(key) {
                issue.status = to;
            }
            (204, Value::Null)
        }
        None => (400, json!({ "errorMessages": ["It is not on the board."], "errors": {} })),
    }
}

fn comments(
    state: &mut State,
    operation: &str,
    (key, places, query): (&str, &BTreeMap<String, String>, &[(String, String)]),
    body: &Value,
    now: Timestamp,
) -> Reply {
    let fresh = state.id();
    let number = places.get("id").and_then(|id| id.parse::<u64>().ok()).unwrap_or(0);
    let properties = body.get("properties").and_then(Value::as_array).cloned().unwrap_or_default();
    let said = body.get("body").cloned().unwrap_or_default();
    let expanded = query.iter().any(|(name, value)| name == "expand" && value.contains("properties"));
    if matches!(operation, "addComment" | "updateComment") && said.to_string().len() > 32_767 {
        return (
            400,
            json!({ "errorMessages": ["The entered text is too long."], "errors": { "comment": "CONTENT_LIMIT_EXCEEDED" } }),
        );
    }
    let Some(issue) = state.issues.get_mut(key) else { return missing() };
    match operation {
        "addComment" => {
            let made = Comment {
                id: fresh,
                by: ACCOUNT.to_owned(),
                body: said,
                typed: String::new(),
                properties,
                created: now,
                updated: now,
                internal: false,
            };
            issue.comments.push(made.clone());
            (201, comment(state, &made, false))
        }
        "getComments" => {
            let part = |name: &str, usual: usize| {
                query.iter().find(|(key, _)| key == name).and_then(|(_, n)| n.parse().ok()).unwrap_or(usual)
            };
            let (start, most) = (part("startAt", 0), part("maxResults", 50));
            let all = issue.comments.clone();
            let shown: Vec<Value> = all.iter().skip(start).take(most).map(|c| comment(state, c, expanded)).collect();
            (200, json!({ "startAt": start, "maxResults": most, "total": all.len(), "comments": shown }))
        }
        _ => {
            let Some(at) = issue.comments.iter().position(|comment| comment.id == number) else { return missing() };
            let ours = issue.comments.get(at).is_some_and(|comment| comment.by == ACCOUNT);
            if operation != "getComment" && !ours {
                return (403, json!({ "errorMessages": ["You may edit your own comments alone."], "errors": {} }));
            }
            if operation == "deleteComment" {
                issue.comments.remove(at);
                return (204, Value::Null);
            }
            let Some(found) = issue.comments.get_mut(at) else { return missing() };
            if operation == "updateComment" {
                (found.body, found.properties, found.updated) = (said, properties, now);
            }
            let found = found.clone();
            (200, comment(state, &found, expanded))
        }
    }
}
