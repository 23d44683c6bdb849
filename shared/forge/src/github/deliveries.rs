//! Deliveries that did not reach us: GitHub keeps them for three days, and does not try again by itself.

use domain::Timestamp;
use domain::error::Failure;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use super::Github;

/// How far back it is looked; GitHub keeps deliveries for three days.
const WINDOW: SignedDuration = SignedDuration::from_hours(72);
/// Most deliveries that are looked at in one go.
const MOST: usize = 500;
/// Most deliveries that are asked for again in one go; the next one goes on.
const AGAIN: usize = 50;

/// How often one event is asked for before somebody has to look at it.
const ATTEMPTS: usize = 6;

#[derive(Deserialize)]
struct Delivery {
    id: u64,
    guid: String,
    delivered_at: Timestamp,
    status_code: u16,
}

/// What looking for missed deliveries came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missed {
    /// Deliveries that GitHub was asked to make again.
    pub again: usize,
    /// How old the oldest of them is, in seconds.
    pub oldest: i64,
}

impl Github {
    /// Asks GitHub to make the deliveries again that failed and were not made since.
    pub async fn recover(&self, now: Timestamp) -> Result<Missed, Failure> {
        let api = self.app.itself().await?;
        let mut seen: Vec<Delivery> = Vec::new();
        let mut cursor = String::new();
        // Newest first, and the next page begins after the last one's id.
        while seen.len() < MOST {
            let path = format!("/app/hook/deliveries?per_page=100{cursor}");
            let page: Vec<Delivery> = api.get(&path).await?.read("listing deliveries")?;
            let Some(last) = page.last() else { break };
            cursor = format!("&cursor=v1_{}", last.id);
            let (full, old) = (page.len() == 100, last.delivered_at < now - WINDOW);
            seen.extend(page);
            if !full || old {
                break;
            }
        }
        let mut missed = Missed::default();
        for delivery in seen.iter().filter(|delivery| delivery.delivered_at >= now - WINDOW).rev() {
            // One GUID is one event: whichever attempt got through, it came.
            let came = seen.iter().any(|other| other.guid == delivery.guid && (200..300).contains(&other.status_code));
            let newest = seen.iter().filter(|other| other.guid == delivery.guid).map(|other| other.id).max();
            let attempts = seen.iter().filter(|other| other.guid == delivery.guid).count();
            // What we refuse ourselves is refused the next time, too.
            let refused = (400..500).contains(&delivery.status_code);
            let over = attempts >= ATTEMPTS || missed.again == AGAIN;
            if came || refused || over || newest != Some(delivery.id) {
                continue;
            }
            let path = format!("/app/hook/deliveries/{}/attempts", delivery.id);
            let asked = api.post(&path, json!({})).await.and_then(|answer| answer.done("asking for a delivery again"));
            if let Err(failure) = asked {
                tracing::warn!(delivery = delivery.id, error = %failure, "a missed delivery could not be asked for");
                continue;
            }
            missed.again += 1;
            missed.oldest = missed.oldest.max(now.duration_since(delivery.delivered_at).as_secs());
        }
        Ok(missed)
    }
}
