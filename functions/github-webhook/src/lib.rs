//! Takes deliveries of the GitHub App: verifies raw bytes, enqueues, 202, nothing else.

use engine::message::Source;
use webhooks::{Receiver, Request, Response, Scheme, Verification, accept};

/// The path GitHub delivers to.
pub const PATH: &str = "/webhooks/github";

/// Handles one delivery.
pub async fn handle(receiver: &Receiver, request: &Request) -> Response {
    let group = request.header("x-github-hook-installation-target-id").unwrap_or("github");
    let how = Verification {
        scheme: Scheme::Github,
        secret: "github-webhook",
        derive: &|stored| Some(stored.clone()),
        source: Source::Github,
        group: group.chars().filter(char::is_ascii_alphanumeric).take(40).collect(),
        event_header: "x-github-event",
        delivery_header: "x-github-delivery",
        check: &|_| Ok(()),
    };
    accept(receiver, request, how).await
}
