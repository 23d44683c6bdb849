//! Deliveries: signed, sent once, remembered with what came of them, and made again when somebody asks.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::serve::PATIENCE;
use super::state::Delivery;
use super::{Inner, wire};

impl Inner {
    /// Sends an event about a repository by somebody, and waits for what became of it.
    pub(super) async fn event(self: &Arc<Self>, event: &str, repo: Option<u64>, by: u64, payload: Value) -> u16 {
        let sender = {
            let state = self.state();
            wire::user(state.user(by))
        };
        self.event_of(event, repo, sender, payload).await
    }

    /// The same by whoever the event shall name.
    pub(super) async fn event_of(
        self: &Arc<Self>,
        event: &str,
        repo: Option<u64>,
        sender: Value,
        mut payload: Value,
    ) -> u16 {
        let (guid, installation) = {
            let mut state = self.state();
            let id = state.id();
            let through = state.installations.iter().find(|i| repo.is_none_or(|repo| i.repos.contains(&repo)));
            (format!("{id:08x}-0000-4000-8000-000000000000"), through.map(|i| i.id))
        };
        {
            let state = self.state();
            payload["sender"] = sender;
            if let Some(repo) = state.repos.iter().find(|known| Some(known.id) == repo) {
                payload["repository"] = json!({
                    "id": repo.id,
                    "full_name": repo.name,
                    "name": repo.name.split('/').next_back(),
                    "private": repo.private,
                    "default_branch": "main",
                });
            }
        }
        if payload.get("installation").is_none() {
            payload["installation"] = json!({ "id": installation });
        }
        self.send(guid, event.to_owned(), payload, false).await
    }

    async fn send(self: &Arc<Self>, guid: String, event: String, payload: Value, again: bool) -> u16 {
        let (hook, deaf) = {
            let state = self.state();
            (state.hook.clone(), state.deaf)
        };
        let status = match hook {
            Some((url, secret)) if !deaf => self.post(&url, &secret, (&guid, &event), &payload).await,
            Some(_) | None => 502,
        };
        let mut state = self.state();
        let id = state.id();
        state.deliveries.push(Delivery { id, guid, event, payload, at: (self.clock)(), status, again });
        status
    }

    async fn post(&self, url: &str, secret: &[u8], (guid, event): (&str, &str), payload: &Value) -> u16 {
        let body = payload.to_string().into_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
            return 500;
        };
        mac.update(&body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let sent = self
            .http
            .post(url)
            .header("x-github-event", event)
            .header("x-github-delivery", guid)
            .header("x-hub-signature-256", signature)
            .header("content-type", "application/json")
            .timeout(PATIENCE)
            .body(body)
            .send()
            .await;
        sent.map_or(504, |answer| answer.status().as_u16())
    }

    /// Makes a delivery again; says whether it is known.
    pub(super) fn again(&self, id: u64) -> bool {
        let found = self.state().deliveries.iter().find(|delivery| delivery.id == id).cloned();
        let Some(found) = found else {
            return false;
        };
        self.state().redelivering.push((found.guid, found.event, found.payload));
        true
    }

    /// Sends what was asked for again; GitHub does that on its own time.
    pub(super) async fn redeliver(self: &Arc<Self>) -> usize {
        let waiting = std::mem::take(&mut self.state().redelivering);
        let count = waiting.len();
        for (guid, event, payload) in waiting {
            self.send(guid, event, payload, true).await;
        }
        count
    }
}
