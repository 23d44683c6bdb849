//! The way of tickets on the deployed template.

use std::time::Duration;

use serde_json::json;
use stories::cloud::Cloud;

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
/// Longest a step may take where nothing goes wrong.
const STEP: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_becomes_a_pull_request_on_the_deployed_template() {
    let cloud = Cloud::start(1).await;
    cloud.label(1, "SHOP1-1", "Raise the tax", TAX).await;
    let ticket = cloud.guided(1, "SHOP1-1", STEP).await;
    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(cloud.run_git(&["show", &format!("{branch}:src/price.py")]).lines().next(), Some("TAX = 0.25"));
    let _ = json!({});
}
