//! What an acknowledgement costs.

use std::collections::BTreeMap;

use serde_json::json;
use stories::runtime::{Function, delivery};
use xtask::program::target;

fn named(calls: &[(&str, u64)]) -> BTreeMap<String, u64> {
    calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_makes_two_calls_cold_and_one_warm() {
    let function = Function::start(&target().join("debug/github-webhook")).await;
    assert_eq!(function.calls(), BTreeMap::new(), "nothing is asked before it is needed");
    let event = delivery(b"{\"action\":\"labeled\"}");
    let answer = function.handle(event.clone()).await;
    assert_eq!(answer["statusCode"], json!(202), "{answer}");
    assert_eq!(function.calls(), named(&[("AmazonSQS.SendMessage", 1), ("secretsmanager.GetSecretValue", 1)]));
    for _ in 0..10 {
        assert_eq!(function.handle(event.clone()).await["statusCode"], json!(202));
    }
    assert_eq!(function.calls(), named(&[("AmazonSQS.SendMessage", 10)]));
    // Letters that no compression makes smaller.
    let noise = |number: u64| {
        char::from(b'a' + u8::try_from(number.wrapping_mul(6_364_136_223_846_793_005) >> 59).unwrap() % 26)
    };
    let large: String = (0..3_000_000).map(noise).collect();
    let answer = function.handle(delivery(format!("{{\"large\":\"{large}\"}}").as_bytes())).await;
    assert_eq!(answer["statusCode"], json!(413), "what no queue takes is refused, and not called unavailable");
    let mut forged = event;
    forged["body"] = json!("{\"action\":\"unlabeled\"}");
    assert_eq!(function.handle(forged).await["statusCode"], json!(401));
    assert!(!function.calls().contains_key("AmazonSQS.SendMessage"), "nothing is queued without a signature");
}
