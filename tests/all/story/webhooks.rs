//! The open side: signatures, limits, answers, rotation, replays, tenants.

use std::os::unix::fs::PermissionsExt as _;

use engine::port::Secret;
use serde_json::json;
use stories::world::{ENDPOINT, Setup, World};
use webhooks::sign;

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

fn jira_path() -> String {
    format!("/webhooks/jira/{ENDPOINT}/1")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_json_within_the_limits_is_accepted() {
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let body = serde_json::to_vec(&world.labelled("SHOP-1", "Tax", TAX)).unwrap();
    let good = sign(&world.endpoint_secret(1), &body);
    let mut wrong = good.clone();
    wrong.replace_range(70..71, if &good[70..71] == "0" { "1" } else { "0" });
    let path = jira_path();
    let large = vec![b' '; 6 * 1024 * 1024 + 1];
    let text = b"not json".to_vec();
    let stale = json!({ "timestamp": 1_600_000_000_000_i64 }).to_string().into_bytes();
    let undated = b"{}".to_vec();
    let signed = |body: &[u8]| sign(&world.endpoint_secret(1), body);
    let (signed_text, signed_stale, signed_undated) = (signed(&text), signed(&stale), signed(&undated));
    let hub = "x-hub-signature";
    for (what, headers, body, status) in [
        ("one digit off", vec![(hub, wrong.as_str())], body.clone(), 401),
        ("no signature", vec![], body.clone(), 401),
        ("two signatures", vec![(hub, good.as_str()), (hub, good.as_str())], body.clone(), 401),
        ("GitHub's header", vec![("x-hub-signature-256", good.as_str())], body.clone(), 401),
        ("too large", vec![(hub, good.as_str())], large, 413),
        ("signed text", vec![(hub, signed_text.as_str())], text, 400),
        ("signed long ago", vec![(hub, signed_stale.as_str())], stale, 400),
        ("undated", vec![(hub, signed_undated.as_str())], undated, 400),
        ("good", vec![(hub, good.as_str())], body.clone(), 202),
    ] {
        let (got, problem) = world.post(&path, &headers, body).await;
        assert_eq!(got, status, "{what}");
        if status != 202 {
            assert_eq!(problem["status"], json!(status), "{what}: {problem}");
            assert!(problem["type"].as_str().unwrap().starts_with("urn:prfactory:"), "{what}");
        }
    }
    assert_eq!(world.post("/webhooks/jira/ep_x/1", &[(hub, &good)], body.clone()).await.0, 401);
    assert_eq!(world.post("/webhooks/jira/../1", &[(hub, &good)], body.clone()).await.0, 404);
    assert_eq!(world.post("/v1/tickets", &[], body.clone()).await.0, 404, "nothing else is open");
    let get = reqwest::get(world.url("/webhooks/github")).await.unwrap();
    assert_eq!(get.status().as_u16(), 405);
    assert_eq!(get.headers()["content-type"], "application/problem+json");
    assert_eq!(reqwest::get(world.url("/healthz")).await.unwrap().status().as_u16(), 200);
    assert!(world.ticket("SHOP-1").await.is_none(), "nothing was parsed yet: no worker runs");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jira_may_be_late_by_its_last_retry_and_github_by_anything() {
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let now = world.system.engine.clock.now().as_millisecond();
    for (minutes, status) in [(-91, 400), (-89, 202), (-75, 202), (4, 202), (6, 400)] {
        let mut event = world.labelled("SHOP-1", "Tax", TAX);
        event["timestamp"] = json!(now + minutes * 60_000);
        assert_eq!(world.jira(&event).await, status, "{minutes} minutes");
    }
    world.clock.forward(3 * 86_400);
    let event = stories::world::recorded_for_us("issues.labeled");
    assert_eq!(world.github("issues", &event).await, 202, "a redelivery three days later");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unsigned_name_of_an_event_is_only_a_hint() {
    let world = World::start(Setup::default()).await;
    let mut labelled = stories::world::recorded_for_us("issues.labeled");
    labelled["label"]["name"] = json!("prfactory");
    labelled["issue"]["body"] = json!(TAX);
    for event in ["issue_comment", "pull_request", "installation", "no_such_event", ""] {
        assert_eq!(world.github(event, &labelled).await, 202);
    }
    let mut other = labelled.clone();
    other["issue"]["number"] = json!(77);
    assert_eq!(world.github("issues", &other).await, 202);
    world.to_plan("Codertocat/Hello-World#77").await;
    let named = format!("Codertocat/Hello-World#{}", labelled["issue"]["number"]);
    assert!(world.ticket(&named).await.is_none(), "a body of another shape than its event does nothing");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_generation_or_endpoint_is_nobody() {
    let world = World::start(Setup::default()).await;
    let body = serde_json::to_vec(&world.labelled("SHOP-1", "Tax", TAX)).unwrap();
    let second = sign(&world.endpoint_secret(2), &body);
    assert_eq!(world.post(&jira_path(), &[("x-hub-signature", &second)], body.clone()).await.0, 401);
    let path = format!("/webhooks/jira/{ENDPOINT}/2");
    assert_eq!(world.post(&path, &[("x-hub-signature", &second)], body).await.0, 202, "the signature fits its address");
    assert_eq!(world.jira(&world.labelled("SHOP-2", "Tax", TAX)).await, 202);
    world.to_plan("SHOP-2").await;
    assert!(world.ticket("SHOP-1").await.is_none(), "intake refuses a generation that is not live");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_rotated_is_found_and_bad_signatures_cost_no_reads() {
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let body = serde_json::to_vec(&world.labelled("SHOP-1", "Tax", TAX)).unwrap();
    assert_eq!(world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await, 202);
    let path = world.dir.path().join("data/secrets.toml");
    let old = std::fs::read_to_string(&path).unwrap();
    let master = old.lines().find(|l| l.starts_with("endpoint-master")).unwrap().to_owned();
    let value = master.split('"').nth(1).unwrap().to_owned();
    let both = master.replace('[', "[\"00000000000000000000000000000000\", ");
    std::fs::write(&path, old.replace(&master, &both)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let id = domain::id::EndpointId::parse(ENDPOINT).unwrap();
    let under = |master: &str| {
        let secret = webhooks::endpoint_secret(&Secret::new(master.as_bytes()), &id, 1).unwrap();
        sign(&secret, &body)
    };
    let (new, previous) = (under("00000000000000000000000000000000"), under(&value));
    let post = |signature: String| {
        let body = body.clone();
        let world = &world;
        async move { world.post(&jira_path(), &[("x-hub-signature", &signature)], body).await.0 }
    };
    assert_eq!(post(new.clone()).await, 401, "the cache is a minute old at most before it is read again");
    world.clock.forward(61);
    assert_eq!(post(new).await, 202, "a mismatch reads the secrets again");
    assert_eq!(post(previous).await, 202, "the version before stays live");
    world.end().await;
}
