//! Takes deliveries of Jira at a tenant's own endpoint: verifies raw bytes, enqueues, 202, nothing else.

use domain::Timestamp;
use domain::id::EndpointId;
use engine::message::Source;
use jiff::SignedDuration;
use serde::Deserialize;
use webhooks::{Receiver, Request, Response, Scheme, Verification, accept, endpoint_secret};

/// What every path starts with; endpoint and generation follow: `/webhooks/jira/ep_…/1`.
pub const PREFIX: &str = "/webhooks/jira/";

/// Jira retries for 75 minutes; what was signed longer ago is a replay.
const OLDEST: SignedDuration = SignedDuration::from_mins(90);
/// How far ahead Jira's clock may be.
const NEWEST: SignedDuration = SignedDuration::from_mins(5);

/// Handles one delivery.
pub async fn handle(receiver: &Receiver, request: &Request) -> Response {
    let Some((endpoint, generation)) = endpoint_of(&request.path) else {
        return Response::problem(404, "not-found", "Not found", "There is no such endpoint.");
    };
    let now = receiver.clock.now();
    let how = Verification {
        scheme: Scheme::WebSub,
        secret: "endpoint-master",
        derive: &|master| endpoint_secret(master, &endpoint, generation),
        source: Source::Jira { endpoint: endpoint.clone(), generation },
        group: endpoint.to_string(),
        event_header: "x-atlassian-webhook-flow",
        delivery_header: "x-atlassian-webhook-identifier",
        check: &|body| fresh(body, now),
    };
    accept(receiver, request, how).await
}

fn endpoint_of(path: &str) -> Option<(EndpointId, u32)> {
    let (endpoint, generation) = path.strip_prefix(PREFIX)?.split_once('/')?;
    Some((EndpointId::parse(endpoint).ok()?, generation.parse().ok()?))
}

/// The signed body carries the time it was made, in milliseconds.
fn fresh(body: &[u8], now: Timestamp) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Stamped {
        timestamp: i64,
    }
    let stamped: Stamped =
        serde_json::from_slice(body).map_err(|_| "The body has no numeric `timestamp`.".to_owned())?;
    let made = Timestamp::from_millisecond(stamped.timestamp).map_err(|_| "`timestamp` is out of range.".to_owned())?;
    let age = now.duration_since(made);
    if age > OLDEST || age < -NEWEST {
        return Err("The delivery was made too long ago, or in the future.".to_owned());
    }
    Ok(())
}
