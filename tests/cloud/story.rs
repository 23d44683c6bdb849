//! The way of a ticket on the deployed template.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::port::Secret;
use stories::cloud::{Cloud, STACK};
use stories::world::labelled;
use webhooks::sign;

/// A ticket that changes one line.
pub(crate) const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
/// Longest a step may take where nothing goes wrong.
pub(crate) const STEP: Duration = Duration::from_mins(2);

/// One branch with one commit that holds the change, one comment of each kind.
pub(crate) async fn is_done_once(cloud: &Cloud, number: usize, key: &str) {
    let ticket = cloud.ticket(number, key).await.unwrap();
    assert_eq!(ticket.state.name(), "in_review");
    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(cloud.run_git(&["show", &format!("{branch}:src/price.py")]).lines().next(), Some("TAX = 0.25"));
    assert_eq!(cloud.run_git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    assert_eq!(ticket.pull_request.unwrap().head.as_str(), cloud.run_git(&["rev-parse", &branch]));
    cloud.hears(number, key, "pull request open", STEP).await;
    let comments = cloud.comments(number, key).await;
    let marker = |text: &String| text.split("<!-- prfactory:").nth(1).map(str::to_owned);
    let markers: Vec<String> = comments.iter().filter_map(marker).collect();
    assert!(markers.len() >= 3, "{comments:#?}");
    assert_eq!(markers.len(), markers.iter().collect::<BTreeSet<_>>().len(), "{markers:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_becomes_a_pull_request_on_the_deployed_template() {
    let cloud = Cloud::start(1).await;
    let forged =
        cloud.post("/webhooks/github", ("x-hub-signature-256", format!("sha256={}", "0".repeat(64))), b"{}".to_vec());
    assert_eq!(forged.await, 401);
    cloud.label(1, "SHOP1-1", "Raise the tax", TAX).await;
    cloud.guided(1, "SHOP1-1", STEP).await;
    is_done_once(&cloud, 1, "SHOP1-1").await;
    assert_eq!(cloud.model.unexpected(), Vec::<String>::new());
    an_operator_brings_a_tenant_in(&cloud).await;
}

async fn an_operator_brings_a_tenant_in(cloud: &Cloud) {
    cloud.admin(&["tenant", "create", "ten_next", "--installation", "77"]);
    cloud.admin(&[
        "member", "create", "mem_bo", "--of", "ten_next", "--name", "Bo", "--role", "writer", "--jira", "1:bo",
    ]);
    cloud.admin(&["installation", "revoke", "77"]);
    let known = engine::directory::installation(&cloud.engine, 77).await.unwrap().unwrap();
    assert!(known.revoked && known.generation == 2, "{known:?}");
    let made = cloud.admin(&["endpoint", "create", "--of", "ten_next"]);
    let (url, secret) = (made["url"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let (_, path) = url.split_once(".amazonaws.com").unwrap();
    let id = path.split('/').nth(3).unwrap();
    assert_eq!(cloud.admin(&["webhook", "--endpoint", id]), made, "it can be shown again");
    let body = serde_json::to_vec(&labelled(cloud.engine.clock.now(), "NEXT-1", "A ticket", TAX)).unwrap();
    let signed = ("x-hub-signature", sign(&Secret::new(secret.as_bytes()), &body));
    assert_eq!(cloud.post(path, signed.clone(), body.clone()).await, 202);
    let next = cloud.admin(&["endpoint", "rotate", id]);
    assert!(next["url"].as_str().unwrap().ends_with(&format!("{id}/2")));
    assert_ne!(next["secret"], made["secret"]);
    let (_, path) = next["url"].as_str().unwrap().split_once(".amazonaws.com").unwrap();
    assert_eq!(cloud.post(path, signed, body.clone()).await, 401, "the secret before opens nothing there");
    let secret = Secret::new(next["secret"].as_str().unwrap().as_bytes());
    assert_eq!(cloud.post(path, ("x-hub-signature", sign(&secret, &body)), body).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_sent_twice_is_as_good_as_once() {
    let cloud = Cloud::start(1).await;
    cloud.between.twice(true);
    cloud.label(1, "SHOP1-1", "Raise the tax", TAX).await;
    cloud.guided(1, "SHOP1-1", STEP).await;
    is_done_once(&cloud, 1, "SHOP1-1").await;
    assert_eq!(cloud.between.doubled_leases(), Vec::new());
    let answered: BTreeSet<String> = cloud.model.requests().iter().map(ToString::to_string).collect();
    assert_eq!(answered.len(), cloud.model.calls(), "no request was made twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_allows_what_its_function_does() {
    let cloud = Cloud::with_policies(1).await;
    cloud.label(1, "SHOP1-1", "Raise the tax", TAX).await;
    cloud.guided(1, "SHOP1-1", STEP).await;
    is_done_once(&cloud, 1, "SHOP1-1").await;
    let function = format!("{STACK}-sweep");
    let swept = cloud.emulator.aws(&["lambda", "invoke", "--function-name", &function, "/dev/null"]).unwrap();
    assert_eq!((swept["StatusCode"].as_i64(), swept.get("FunctionError")), (Some(200), None), "{swept}");
}
