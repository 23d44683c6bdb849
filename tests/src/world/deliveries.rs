//! Deliveries as GitHub and Jira send them, recorded and freshly signed.

use std::path::Path;

use domain::Timestamp;
use domain::id::EndpointId;
use engine::port::Secret;
use serde_json::{Value, json};
use webhooks::{endpoint_secret, sign};

use super::{ENDPOINT, INSTALLATION, World};

/// A delivery with its signature.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Where it goes.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl World {
    /// Posts bytes with headers and returns status and body.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
        let mut request = self.http.post(self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// The secret of the Jira endpoint for a generation.
    pub fn endpoint_secret(&self, generation: u32) -> Secret {
        let master = self.system.secrets.versions("endpoint-master").unwrap().remove(0);
        endpoint_secret(&master, &EndpointId::parse(ENDPOINT).unwrap(), generation).unwrap()
    }

    /// An event of Jira, signed for an endpoint.
    pub fn signed_jira(&self, endpoint: &str, event: &Value) -> Signed {
        let body = serde_json::to_vec(event).unwrap();
        let master = self.system.secrets.versions("endpoint-master").unwrap().remove(0);
        let secret = endpoint_secret(&master, &EndpointId::parse(endpoint).unwrap(), 1).unwrap();
        let headers = vec![("x-hub-signature", sign(&secret, &body))];
        Signed { path: format!("/webhooks/jira/{endpoint}/1"), headers, body }
    }

    /// An event of GitHub, signed; the delivery id is not.
    pub fn signed_github(&self, event: &str, delivery: &str, body: &Value) -> Signed {
        let body = serde_json::to_vec(body).unwrap();
        let secret = self.system.secrets.versions("github-webhook").unwrap().remove(0);
        let headers = vec![
            ("x-hub-signature-256", sign(&secret, &body)),
            ("x-github-event", event.to_owned()),
            ("x-github-delivery", delivery.to_owned()),
        ];
        Signed { path: "/webhooks/github".to_owned(), headers, body }
    }

    /// Delivers what was signed.
    pub async fn deliver(&self, signed: &Signed) -> u16 {
        let headers: Vec<(&str, &str)> = signed.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post(&signed.path, &headers, signed.body.clone()).await.0
    }

    /// Delivers an event of Jira, signed.
    pub async fn jira(&self, event: &Value) -> u16 {
        self.deliver(&self.signed_jira(ENDPOINT, event)).await
    }

    /// Delivers an event of GitHub, signed.
    pub async fn github(&self, event: &str, body: &Value) -> u16 {
        self.deliver(&self.signed_github(event, "d", body)).await
    }

    /// The recorded event of Jira that a label was set, for another ticket.
    pub fn labelled(&self, key: &str, title: &str, body: &str) -> Value {
        labelled(self.system.engine.clock.now(), key, title, body)
    }

    /// The recorded event of GitHub that a comment was written, by another person through another installation.
    pub fn commented_on_github(
        &self,
        by: (u64, u64),
        number: u64,
        on_pull_request: bool,
        id: u64,
        text: &str,
    ) -> Value {
        let name = if on_pull_request { "pull_request" } else { "issue" };
        let mut event = recorded_for_us(&format!("issue_comment.created.{name}"));
        let (installation, person) = by;
        event["installation"]["id"] = json!(installation);
        event["sender"]["id"] = json!(person);
        event["comment"]["user"]["id"] = json!(person);
        event["comment"]["id"] = json!(id);
        event["comment"]["body"] = json!(text);
        event["issue"]["number"] = json!(number);
        event
    }

    /// The recorded event of Jira that a comment was written.
    pub fn commented(&self, key: &str, id: &str, text: &str) -> Value {
        commented(self.system.engine.clock.now(), key, id, text)
    }
}

/// The recorded event of Jira that a label was set, for another ticket at another time.
pub fn labelled(at: Timestamp, key: &str, title: &str, body: &str) -> Value {
    let mut event = recorded("jira/issue_updated_labels");
    event["timestamp"] = json!(at.as_millisecond());
    event["issue"]["key"] = json!(key);
    event["issue"]["fields"]["summary"] = json!(title);
    event["issue"]["fields"]["description"] = json!(body);
    event
}

/// The recorded event of Jira that a comment was written, under another ticket at another time.
pub fn commented(at: Timestamp, key: &str, id: &str, text: &str) -> Value {
    let mut event = recorded("jira/comment_created");
    event["timestamp"] = json!(at.as_millisecond());
    event["issue"]["key"] = json!(key);
    event["comment"]["id"] = json!(id);
    event["comment"]["body"] = json!(text);
    event
}

/// A recorded delivery.
pub fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A recorded delivery of GitHub, as it reaches the installation of the tests.
pub fn recorded_for_us(name: &str) -> Value {
    let mut event = recorded(&format!("github/{name}"));
    event["installation"]["id"] = json!(INSTALLATION);
    event
}
