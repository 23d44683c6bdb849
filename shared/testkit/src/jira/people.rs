//! What people do in Jira; each act is an event that is delivered to the endpoint.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::answer::{comment, document};
use super::{Comment, File, Issue, JiraHost};

impl JiraHost {
    /// Creates an issue; nobody is told, since nobody asked to be.
    pub fn creates(&self, key: &str, summary: &str, description: &str) {
        let mut state = self.inner.state();
        let id = state.id();
        let issue = Issue {
            id,
            summary: summary.to_owned(),
            description: description.to_owned(),
            status: "To Do".to_owned(),
            ..Issue::default()
        };
        state.issues.insert(key.to_owned(), issue);
    }

    /// Puts an issue into components.
    pub fn components(&self, key: &str, names: &[&str]) {
        if let Some(issue) = self.inner.state().issues.get_mut(key) {
            issue.components = names.iter().map(|name| (*name).to_owned()).collect();
        }
    }

    /// Fills a field of an issue.
    pub fn field(&self, key: &str, field: &str, value: Value) {
        if let Some(issue) = self.inner.state().issues.get_mut(key) {
            issue.fields.insert(field.to_owned(), value);
        }
    }

    /// Moves an issue to a status, whatever the workflow says; nobody is told.
    pub fn moves(&self, key: &str, status: &str) {
        if let Some(issue) = self.inner.state().issues.get_mut(key) {
            status.clone_into(&mut issue.status);
        }
    }

    /// Attaches a file.
    pub fn attaches(&self, key: &str, name: &str, kind: &str, bytes: &[u8]) {
        let mut state = self.inner.state();
        let id = state.id();
        if let Some(issue) = state.issues.get_mut(key) {
            issue.files.push(File { id, name: name.to_owned(), kind: kind.to_owned(), bytes: bytes.to_vec() });
        }
    }

    /// Sets a label, or takes it off.
    pub async fn labels(&self, by: &str, key: &str, label: &str, on: bool) -> u16 {
        let (before, after) = {
            let mut state = self.inner.state();
            let Some(issue) = state.issues.get_mut(key) else { return 0 };
            let before = words(&issue.labels);
            if on {
                issue.labels.insert(label.to_owned())
            } else {
                issue.labels.remove(label)
            };
            (before, words(&issue.labels))
        };
        let item = json!({ "field": "labels", "fieldId": "labels", "from": null, "fromString": before, "to": null, "toString": after });
        self.send(by, key, "jira:issue_updated", json!({ "changelog": { "items": [item] } })).await
    }

    /// Assigns an issue to an account.
    pub async fn assigns(&self, by: &str, key: &str, to: &str) -> u16 {
        if let Some(issue) = self.inner.state().issues.get_mut(key) {
            issue.assignee = Some(to.to_owned());
        }
        let item = json!({ "field": "assignee", "fieldId": "assignee", "from": null, "to": to, "fromString": null, "toString": "PRFactory" });
        self.send(by, key, "jira:issue_updated", json!({ "changelog": { "items": [item] } })).await
    }

    /// Makes an issue known that is assigned to an account from the start.
    pub async fn announces(&self, by: &str, key: &str, to: &str) -> u16 {
        if let Some(issue) = self.inner.state().issues.get_mut(key) {
            issue.assignee = Some(to.to_owned());
        }
        self.send(by, key, "jira:issue_created", json!({})).await
    }

    /// Edits the summary, which changes no label.
    pub async fn edits(&self, by: &str, key: &str, summary: &str) -> u16 {
        if let Some(issue) = self.inner.state().issues.get_mut(key) {
            summary.clone_into(&mut issue.summary);
        }
        let item = json!({ "field": "summary", "fieldId": "summary", "from": null, "to": null, "fromString": "", "toString": summary });
        self.send(by, key, "jira:issue_updated", json!({ "changelog": { "items": [item] } })).await
    }

    /// Writes a comment, and returns its number.
    pub async fn comments(&self, by: &str, key: &str, text: &str) -> u64 {
        self.comments_as(by, key, text, false).await
    }

    /// Writes a comment, perhaps as an internal note.
    pub async fn comments_as(&self, by: &str, key: &str, text: &str, internal: bool) -> u64 {
        let now = (self.inner.clock)();
        let (id, shown) = {
            let mut state = self.inner.state();
            let id = state.id();
            let made = Comment {
                id,
                by: by.to_owned(),
                body: document(text),
                typed: text.to_owned(),
                properties: Vec::new(),
                created: now,
                updated: now,
                internal,
            };
            if let Some(issue) = state.issues.get_mut(key) {
                issue.comments.push(made.clone());
            }
            let mut shown = comment(&state, &made, false);
            // Deliveries carry what was typed, in the older notation.
            shown["body"] = json!(made.typed);
            (id, shown)
        };
        self.send(by, key, "comment_created", json!({ "comment": shown })).await;
        id
    }

    async fn send(&self, by: &str, key: &str, event: &str, mut payload: Value) -> u16 {
        let hook = {
            let state = self.inner.state();
            let user = state.users.iter().find(|user| user.account == by);
            let kind = user.map_or("unknown", |user| user.kind);
            let name = user.map_or("", |user| user.name.as_str());
            payload["timestamp"] = json!((self.inner.clock)().as_millisecond());
            payload["webhookEvent"] = json!(event);
            payload["user"] = json!({ "accountId": by, "displayName": name, "accountType": kind });
            if let Some(issue) = state.issues.get(key) {
                let mut fields = json!({ "summary": issue.summary, "labels": issue.labels });
                if event != "comment_created" {
                    // A comment is delivered with the head of its issue alone.
                    fields["description"] = json!(issue.description);
                    let assignee = issue.assignee.as_ref();
                    fields["assignee"] =
                        json!(assignee.map(|id| json!({ "accountId": id, "accountType": "atlassian" })));
                }
                payload["issue"] = json!({ "id": issue.id.to_string(), "key": key, "fields": fields });
            }
            state.hook.clone()
        };
        let Some((url, secret)) = hook else { return 0 };
        let body = payload.to_string().into_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret) else { return 0 };
        mac.update(&body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let sent = self.inner.http.post(&url).header("x-hub-signature", signature).body(body).send().await;
        sent.map_or(504, |answer| answer.status().as_u16())
    }
}

fn words(labels: &BTreeSet<String>) -> String {
    labels.iter().cloned().collect::<Vec<_>>().join(" ")
}
