//! What an acknowledgement costs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use stories::runtime::{Function, delivery};
use testkit::pace::draw;
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
    // Letters that no compression makes much smaller.
    let mut state = 1;
    let mut letter = || {
        let (drawn, next) = draw(state, Duration::from_micros(25));
        state = next;
        char::from(b'a' + u8::try_from(drawn.as_micros()).unwrap())
    };
    let large: String = (0..3_000_000).map(|_| letter()).collect();
    let answer = function.handle(delivery(format!("{{\"large\":\"{large}\"}}").as_bytes())).await;
    assert_eq!(answer["statusCode"], json!(413), "what no queue takes is refused, and not called unavailable");
    let mut forged = event;
    forged["body"] = json!("{\"action\":\"unlabeled\"}");
    assert_eq!(function.handle(forged).await["statusCode"], json!(401));
    assert!(!function.calls().contains_key("AmazonSQS.SendMessage"), "nothing is queued without a signature");
}
