//! Sends a delivery as a provider would: raw bytes, a fresh signature, a TCP socket.

use std::net::SocketAddr;

use anyhow::Context as _;
use domain::Timestamp;
use domain::name::TrackerKey;
use domain::ticket::TicketText;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A delivery of Jira that was recorded when a label was set.
const RECORDED: &str = include_str!("../../events/jira/issue_updated_labels.json");
/// The person in the recorded delivery.
pub(crate) const RECORDED_ACCOUNT: &str = "712020:00000000-0000-4000-8000-00000000ada0";

/// The recorded delivery for another ticket, made now.
pub(crate) fn jira_label(key: &TrackerKey, text: &TicketText, now: Timestamp) -> anyhow::Result<Vec<u8>> {
    let mut delivery: Value = serde_json::from_str(RECORDED).context("the recorded delivery is damaged")?;
    for (place, value) in [
        ("/timestamp", json!(now.as_millisecond())),
        ("/issue/key", json!(key)),
        ("/issue/fields/summary", json!(text.title)),
        ("/issue/fields/description", json!(text.body)),
    ] {
        *delivery.pointer_mut(place).context("the recorded delivery is damaged")? = value;
    }
    Ok(serde_json::to_vec(&delivery)?)
}

/// Posts a body through a socket and returns the status code.
pub(crate) async fn post(to: SocketAddr, path: &str, signature: &str, body: &[u8]) -> anyhow::Result<u16> {
    let mut socket = TcpStream::connect(to).await.context("the webhook server does not answer")?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         x-hub-signature: {signature}\r\nx-atlassian-webhook-identifier: demo\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    status.context("the webhook server sent no HTTP answer")
}
