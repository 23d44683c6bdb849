//! Deliveries through API Gateway: an event in, the webhook library's answer out.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use aws::{Kept, ManagedSecrets, SqsQueue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::SystemClock;
use engine::port::{Clock, Queue, Secrets};
use engine::seal::Sealer;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use webhooks::{Receiver, Request, Response, SecretCache};

use crate::handler::Handler;
use crate::start::{StartError, access, run};
use crate::variable::{Arn, ConfigError, Prefix};

/// What a webhook function may touch, and by which names.
pub struct Ingress {
    /// What the addresses of the queues begin with.
    pub queues: Prefix,
    /// The stored secret that all of its secrets are derived from.
    pub secret: Arn,
    /// The secret its deliveries are checked with.
    pub webhook: &'static str,
    /// The secret it seals with; intake alone takes messages that are sealed so.
    pub sealing: &'static str,
}

/// An event of an HTTP API, payload version 2.0; no more of it than is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    raw_path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct Context {
    http: Http,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    headers: BTreeMap<&'static str, &'static str>,
    body: String,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let headers = BTreeMap::from([("content-type", response.content_type)]);
        Self { status_code: response.status, headers, body: response.body }
    }
}

/// The raw bytes that were signed, before anything reads them. `None` when they are no Base64 after all.
fn request(event: Event) -> Option<Request> {
    let body = event.body.unwrap_or_default();
    let body = if event.is_base64_encoded { STANDARD.decode(body).ok()? } else { body.into_bytes() };
    let headers = event.headers.into_iter().collect();
    Some(Request { method: event.request_context.http.method, path: event.raw_path, headers, body })
}

/// The ports of a webhook function. The sealing key is read with the first delivery, together with the other secret.
struct Open {
    queue: Arc<dyn Queue>,
    secrets: Arc<SecretCache>,
    clock: Arc<dyn Clock>,
    sealing: &'static str,
}

impl Open {
    async fn answer(&self, handle: &Handler<(Receiver, Request), Response>, event: Event) -> Response {
        let Some(request) = request(event) else {
            return Response::problem(
                400,
                "malformed",
                "Malformed delivery",
                "The body is not what its encoding says.",
            );
        };
        // What is not there yet is asked for again by the receiver, which says 503.
        let keys = self.secrets.load(self.sealing).await.unwrap_or_default();
        let receiver = Receiver {
            queue: Arc::clone(&self.queue),
            sealer: Arc::new(Sealer::new(keys)),
            secrets: Arc::clone(&self.secrets),
            clock: Arc::clone(&self.clock),
        };
        handle((receiver, request)).await
    }
}

/// Runs a webhook function.
pub fn receive(
    ingress: impl FnOnce() -> Result<Ingress, ConfigError>,
    handle: Handler<(Receiver, Request), Response>,
) -> ExitCode {
    run(serve(ingress, handle), false)
}

async fn serve(
    ingress: impl FnOnce() -> Result<Ingress, ConfigError>,
    handle: Handler<(Receiver, Request), Response>,
) -> Result<(), StartError> {
    let (access, ingress) = (access()?, ingress()?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let kept = |name| (name, Kept::Derived(ingress.secret.to_string()));
    let names = [kept(ingress.webhook), kept(ingress.sealing)];
    let secrets: Arc<dyn Secrets> = Arc::new(ManagedSecrets::new(&access, Arc::clone(&clock), names));
    let open = Arc::new(Open {
        queue: Arc::new(SqsQueue::new(&access, ingress.queues.to_string())),
        secrets: Arc::new(SecretCache::new(secrets, Arc::clone(&clock))),
        clock,
        sealing: ingress.sealing,
    });
    let service = service_fn(move |event: LambdaEvent<Event>| {
        let (open, handle) = (Arc::clone(&open), Arc::clone(&handle));
        async move { Ok::<Answer, lambda_runtime::Error>(open.answer(&handle, event.payload).await.into()) }
    });
    lambda_runtime::run_concurrent(service).await.map_err(|error| StartError::Runtime(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_come_out_as_they_went_in() {
        let event = |body: &str, encoded: bool| {
            let json = format!(
                r#"{{"version":"2.0","rawPath":"/webhooks/github","headers":{{"x-hub-signature-256":"sha256=00"}},
                "requestContext":{{"http":{{"method":"POST"}}}},"body":"{body}","isBase64Encoded":{encoded}}}"#
            );
            serde_json::from_str::<Event>(&json).unwrap()
        };
        let plain = request(event("{}", false)).unwrap();
        assert_eq!(
            (plain.method.as_str(), plain.path.as_str(), plain.body.as_slice()),
            ("POST", "/webhooks/github", &b"{}"[..])
        );
        assert_eq!(plain.header("X-Hub-Signature-256"), Some("sha256=00"));
        assert_eq!(request(event("AP8=", true)).unwrap().body, [0, 255]);
        assert_eq!(request(event("not base64", true)), None);
    }
}
