//! GitHub and Jira as senders: late, twice, out of order, again after an hour, again after a day.

use std::sync::{Arc, Mutex};

use domain::id::EndpointId;
use engine::port::Secret;
use serde_json::{Value, json};
use webhooks::{Request, endpoint_secret, sign};

use crate::clockwork::{MINUTE, Micros, SECOND, Who};
use crate::port::held;
use crate::scene::{Errand, Firm, LOGIN, Person, REPO, REPO_ID};
use crate::watch::CANARIES;
use crate::world::{LABEL, World};

/// A delivery, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Delivery {
    request: Request,
    jira: bool,
    /// When it was made, where its bytes say so.
    made: Option<Micros>,
}

/// What providers sent and what was accepted.
#[derive(Default)]
pub struct Post {
    sent: Mutex<Vec<(Firm, Delivery)>>,
    accepted: Mutex<Vec<(Firm, Delivery)>>,
}

impl Post {
    /// Every delivery that was answered with 202.
    pub fn accepted(&self) -> Vec<(Firm, Delivery)> {
        held(&self.accepted).clone()
    }

    /// Every delivery there was.
    pub fn sent(&self) -> Vec<(Firm, Delivery)> {
        held(&self.sent).clone()
    }
}

impl Delivery {
    /// Its bytes.
    pub fn body(&self) -> &[u8] {
        &self.request.body
    }

    /// What the ledger names its source.
    pub fn source(&self, firm: &Firm) -> String {
        if self.jira { format!("jira:{}", firm.endpoint) } else { "github".to_owned() }
    }

    /// A delivery of Jira through a tenant's endpoint.
    pub fn jira(firm: &Firm, event: &Value) -> Self {
        let body = event.to_string().into_bytes();
        let master = Secret::new(CANARIES[2].as_bytes());
        let endpoint = EndpointId::parse(&firm.endpoint).ok();
        let secret = endpoint.and_then(|endpoint| endpoint_secret(&master, &endpoint, 1));
        let signature = secret.map(|secret| sign(&secret, &body)).unwrap_or_default();
        let path = format!("/webhooks/jira/{}/1", firm.endpoint);
        let headers = vec![("x-hub-signature".to_owned(), signature)];
        Self {
            request: Request { method: "POST".to_owned(), path, headers, body },
            jira: true,
            made: event["timestamp"].as_i64().map(|at| at * 1_000),
        }
    }

    /// A delivery of GitHub through a tenant's installation.
    pub fn github(firm: &Firm, event: &str, mut body: Value) -> Self {
        if let Some(body) = body.as_object_mut() {
            body.insert("installation".to_owned(), json!({ "id": firm.installation }));
        }
        let body = body.to_string().into_bytes();
        let signature = sign(&Secret::new(CANARIES[1].as_bytes()), &body);
        let headers = vec![
            ("x-hub-signature-256".to_owned(), signature),
            ("x-github-event".to_owned(), event.to_owned()),
            ("x-github-delivery".to_owned(), "d".to_owned()),
        ];
        let path = "/webhooks/github".to_owned();
        Self { request: Request { method: "POST".to_owned(), path, headers, body }, jira: false, made: None }
    }
}

fn user(person: &Person, firm: &Firm) -> Value {
    json!({ "id": person.github(firm), "login": person.id, "type": "User" })
}

fn issue(errand: &Errand) -> Value {
    json!({ "key": errand.key.as_str(), "fields": { "summary": "Change a value", "description": "Change it.", "labels": [] } })
}

/// A label is set or removed.
pub fn labelled(world: &World, errand: &Errand, by: &Person, set: bool) -> Delivery {
    let at = world.clockwork.at();
    if errand.github {
        let body = json!({
            "action": if set { "labeled" } else { "unlabeled" }, "sender": user(by, &errand.firm),
            "issue": { "number": errand.number, "title": "Change a value", "body": "Change it.", "updated_at": at.to_string() },
            "label": { "name": LABEL }, "repository": { "id": REPO_ID, "full_name": REPO, "private": true } });
        return Delivery::github(&errand.firm, "issues", body);
    }
    let (from, to) = if set { ("", LABEL) } else { (LABEL, "") };
    let event = json!({
        "timestamp": at.as_millisecond(), "webhookEvent": "jira:issue_updated", "issue": issue(errand),
        "user": { "accountId": by.jira(&errand.firm), "displayName": by.id, "accountType": "atlassian" },
        "changelog": { "items": [{ "field": "labels", "fromString": from, "toString": to }] } });
    Delivery::jira(&errand.firm, &event)
}

/// Somebody writes a comment under a ticket.
pub fn commented(world: &World, errand: &Errand, by: &Person, id: u64, text: &str) -> Delivery {
    let at = world.clockwork.at();
    if errand.github {
        let body = json!({
            "action": "created", "sender": user(by, &errand.firm), "repository": { "id": REPO_ID, "full_name": REPO, "private": true },
            "issue": { "number": errand.number, "title": "Change a value", "body": "Change it." },
            "comment": { "id": id, "user": user(by, &errand.firm), "body": text, "created_at": at.to_string(), "updated_at": at.to_string() } });
        return Delivery::github(&errand.firm, "issue_comment", body);
    }
    let event = json!({
        "timestamp": at.as_millisecond(), "webhookEvent": "comment_created", "issue": issue(errand),
        "comment": {
            "id": id.to_string(), "body": text, "created": at.to_string(), "updated": at.to_string(),
            "author": { "accountId": by.jira(&errand.firm), "displayName": by.id, "accountType": "atlassian" } } });
    Delivery::jira(&errand.firm, &event)
}

/// A pull request was closed.
pub fn closed(firm: &Firm, number: u64, merged: bool) -> Delivery {
    let body = json!({
        "action": "closed", "repository": { "id": REPO_ID, "full_name": REPO, "private": true }, "sender": { "id": 1, "login": LOGIN, "type": "User" },
        "pull_request": { "number": number, "merged": merged } });
    Delivery::github(firm, "pull_request", body)
}

/// A review asks for changes, with one remark on a line, in whatever order.
pub fn reviewed(firm: &Firm, by: &Person, number: u64, id: u64, path: &str) -> [Delivery; 2] {
    let user = user(by, firm);
    let review = json!({
        "action": "submitted", "sender": user, "repository": { "id": REPO_ID, "full_name": REPO, "private": true }, "pull_request": { "number": number },
        "review": { "id": id, "user": user, "body": "Please change this.", "state": "changes_requested" } });
    let remark = json!({
        "action": "created", "sender": user, "repository": { "id": REPO_ID, "full_name": REPO, "private": true }, "pull_request": { "number": number },
        "comment": { "id": id + 1, "user": user, "body": "Here.", "path": path, "line": 1, "pull_request_review_id": id } });
    [
        Delivery::github(firm, "pull_request_review", review),
        Delivery::github(firm, "pull_request_review_comment", remark),
    ]
}

/// The checks of a commit failed.
pub fn checks_failed(firm: &Firm, number: u64, head: &str) -> Delivery {
    let body = json!({
        "action": "completed", "repository": { "id": REPO_ID, "full_name": REPO, "private": true }, "sender": { "id": 1, "login": LOGIN, "type": "User" },
        "check_suite": { "head_sha": head, "conclusion": "failure", "pull_requests": [{ "number": number }] } });
    Delivery::github(firm, "check_suite", body)
}

/// The app was removed.
pub fn uninstalled(firm: &Firm) -> Delivery {
    let body = json!({ "action": "deleted", "sender": { "id": 1, "login": LOGIN, "type": "User" } });
    Delivery::github(firm, "installation", body)
}

/// Sends a delivery as its provider does: after a while, again when nobody takes it, at times twice.
pub fn send(world: &Arc<World>, post: &Arc<Post>, firm: &Firm, delivery: &Delivery) {
    held(&post.sent).push((firm.clone(), delivery.clone()));
    let wild = world.clockwork.wild();
    let late = if wild { world.clockwork.between(0, 30 * SECOND) } else { world.clockwork.between(0, SECOND) };
    let copies = if wild && world.clockwork.chance(100) { 2 } else { 1 };
    for copy in 0..copies {
        let (world, post, firm, delivery) = (Arc::clone(world), Arc::clone(post), firm.clone(), delivery.clone());
        let after = late + copy * world.clockwork.between(0, 20 * MINUTE);
        let clockwork = world.clockwork.clone();
        let who = Who { name: "provider", ..Who::default() };
        clockwork.spawn(who, after, async move { insist(&world, &post, firm, delivery).await });
    }
}

/// When Jira tries again, 75 minutes in all; whoever runs the GitHub App asks for redelivery as often.
const RETRIES: [Micros; 5] = [0, 5 * MINUTE, 15 * MINUTE, 25 * MINUTE, 30 * MINUTE];
/// How long a provider waits for an answer.
const PATIENCE: Micros = 10 * SECOND;

async fn insist(world: &Arc<World>, post: &Arc<Post>, firm: Firm, delivery: Delivery) {
    for wait in RETRIES {
        world.clockwork.sleep(wait).await;
        let answer = Arc::new(Mutex::new(None));
        let (receiver, slot, sent) = (world.receiver(), Arc::clone(&answer), delivery.clone());
        let (post, firm) = (Arc::clone(post), firm.clone());
        let name = if delivery.jira { "jira-webhook" } else { "github-webhook" };
        let who = Who { name, tenant: None, ours: true, skew: 0 };
        world.clockwork.spawn(who, 0, async move {
            let response = if sent.jira {
                jira_webhook::handle(&receiver, &sent.request).await
            } else {
                github_webhook::handle(&receiver, &sent.request).await
            };
            if response.status == 202 {
                held(&post.accepted).push((firm, sent));
            }
            *held(&slot) = Some(response.status);
        });
        world.clockwork.sleep(PATIENCE).await;
        let status = *held(&answer);
        match status {
            Some(202) => return,
            // What was signed more than ninety minutes ago is a replay, and has to be refused.
            Some(400) if delivery.made.is_some_and(|made| world.clockwork.now() > made + 85 * MINUTE) => return,
            Some(status) if status < 500 => {
                world.watch.breaks(5, format!("a good delivery was refused with {status}"));
                return;
            }
            Some(_) | None => {}
        }
    }
}
