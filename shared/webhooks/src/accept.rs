//! What both webhook functions do: limit, verify, seal, enqueue, and only then say 202.

use std::sync::Arc;
use std::time::Duration;

use domain::error::Fault;
use engine::message::{DeliveryMessage, INTAKE, Source};
use engine::port::{Clock, Outgoing, Queue, Secret};
use engine::seal::Sealer;
use serde::de::IgnoredAny;

use crate::body::{MAX_BODY, pack};
use crate::http::{Request, Response};
use crate::scheme::{Scheme, VerifiedDelivery, VerifyError, verify};
use crate::secret::SecretCache;

/// All that a webhook function may touch.
#[derive(Clone)]
pub struct Receiver {
    /// Where verified deliveries go.
    pub queue: Arc<dyn Queue>,
    /// What seals them.
    pub sealer: Arc<Sealer>,
    /// The application's secrets.
    pub secrets: Arc<SecretCache>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// How a delivery of one provider is verified and named.
pub struct Verification<'a> {
    /// How it is signed.
    pub scheme: Scheme,
    /// The secret it is signed with.
    pub secret: &'a str,
    /// Makes the signing key of what is stored under that name.
    pub derive: &'a (dyn Fn(&Secret) -> Option<Secret> + Send + Sync),
    /// Where it came in.
    pub source: Source,
    /// Whose turn it takes in the queue.
    pub group: String,
    /// The header that names the kind of event.
    pub event_header: &'static str,
    /// The header that names the delivery.
    pub delivery_header: &'static str,
    /// Looks at a verified body; a reason here refuses it.
    pub check: &'a (dyn Fn(&[u8]) -> Result<(), String> + Send + Sync),
}

/// Longest hint that is carried along.
const MAX_HINT: usize = 100;

/// Takes one delivery; 202 means that it cannot be lost any more.
pub async fn accept(receiver: &Receiver, request: &Request, how: Verification<'_>) -> Response {
    if request.method != "POST" {
        return Response::problem(405, "method", "Method not allowed", "Deliveries are sent with POST.");
    }
    if request.body.len() > MAX_BODY {
        return Response::problem(413, "too-large", "Delivery too large", "A delivery may have at most 6 MiB.");
    }
    let delivery = match verified(receiver, request, &how).await {
        Ok(delivery) => delivery,
        Err(Refused::Signature(error)) => {
            tracing::info!(reason = %error, "a delivery was refused");
            return Response::problem(
                401,
                "signature",
                "Not authenticated",
                "The signature of the delivery is missing or wrong.",
            );
        }
        Err(Refused::NoSecrets) => return unavailable(),
    };
    let text = std::str::from_utf8(delivery.body()).ok();
    if text.is_none_or(|text| serde_json::from_str::<IgnoredAny>(text).is_err()) {
        return Response::problem(400, "malformed", "Malformed delivery", "The body is not JSON in UTF-8.");
    }
    if let Err(reason) = (how.check)(delivery.body()) {
        return Response::problem(400, "refused", "Delivery refused", &reason);
    }
    enqueue(receiver, request, how, &delivery).await
}

enum Refused {
    Signature(VerifyError),
    NoSecrets,
}

/// Verifies with the cached secrets; a mismatch re-reads them, at most once a minute.
async fn verified(receiver: &Receiver, request: &Request, how: &Verification<'_>) -> Result<VerifiedDelivery, Refused> {
    let derive = |stored: Vec<Secret>| -> Vec<Secret> { stored.iter().filter_map(how.derive).collect() };
    let known = receiver.secrets.load(how.secret).await.map_err(|_| Refused::NoSecrets)?;
    match verify(how.scheme, request, &derive(known)) {
        Ok(delivery) => Ok(delivery),
        Err(error @ (VerifyError::Mismatch | VerifyError::NoSecret)) => {
            let again = receiver.secrets.reload(how.secret).await.map_err(|_| Refused::NoSecrets)?;
            let again = again.ok_or(Refused::Signature(error))?;
            verify(how.scheme, request, &derive(again)).map_err(Refused::Signature)
        }
        Err(error) => Err(Refused::Signature(error)),
    }
}

async fn enqueue(
    receiver: &Receiver,
    request: &Request,
    how: Verification<'_>,
    delivery: &VerifiedDelivery,
) -> Response {
    let hint = |name: &str| -> String {
        let value = request.header(name).unwrap_or("");
        value.chars().filter(char::is_ascii_graphic).take(MAX_HINT).collect()
    };
    let (event, id) = (hint(how.event_header), hint(how.delivery_header));
    let Ok(body) = pack(delivery.body()) else {
        return unavailable();
    };
    let message = DeliveryMessage { source: how.source, event, delivery: id.clone(), body };
    let Ok(sealed) = receiver.sealer.seal(INTAKE, None, &message) else {
        return unavailable();
    };
    let outgoing = Outgoing { queue: INTAKE, body: sealed, group: how.group, delay: Duration::ZERO };
    match receiver.queue.send(outgoing).await {
        Ok(()) => {
            tracing::info!(delivery.id = id, body.sha256 = delivery.hash().short(), "a delivery was accepted");
            Response::accepted()
        }
        Err(failure) if failure.fault == Fault::Invalid => {
            tracing::error!(delivery.id = id, error = %failure, "a delivery is too large for its queue");
            Response::problem(413, "too-large", "Delivery too large", "Compressed, a delivery may have at most 700 KB.")
        }
        Err(failure) => {
            tracing::error!(delivery.id = id, error = %failure, "a delivery could not be queued");
            unavailable()
        }
    }
}

fn unavailable() -> Response {
    Response::problem(503, "unavailable", "Not available", "The delivery was not taken. Send it again.")
}
