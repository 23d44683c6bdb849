//! The client of the Messages API against a stand-in that takes nothing but what is documented.

use std::sync::Arc;
use std::time::Duration;

use agent::anthropic::Messages;
use domain::error::{Failure, Fault};
use engine::port::{Block, Model as _, ModelAnswer, ModelRequest, Secret, Stop, ToolSpec, Usage, Utterance};
use local::SystemClock;
use serde_json::{Value, json};
use testkit::model::{Reply, ScriptedModel, streamed};

const MINUTE: Duration = Duration::from_mins(1);

fn client(model: &ScriptedModel) -> Messages {
    Messages::new(&model.url(), Secret::new(b"canary-key"), None, Arc::new(SystemClock)).unwrap()
}

fn request(text: &str) -> ModelRequest {
    let schema = json!({ "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] });
    ModelRequest {
        model: None,
        system: "You are tested.".to_owned(),
        tools: vec![ToolSpec { name: "read".to_owned(), description: "Reads.".to_owned(), input: schema }],
        max_tokens: 1_000,
        messages: vec![Utterance::User { blocks: vec![Block::Text { text: text.to_owned() }] }],
    }
}

/// A message as the API sends it.
fn message(content: &Value, stop: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": content,
        "stop_reason": stop, "stop_sequence": null,
        "usage": { "input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 70,
                   "cache_creation": { "ephemeral_1h_input_tokens": 40, "ephemeral_5m_input_tokens": 30 } },
    })
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply { status, headers, body: body.to_owned() }
}

async fn answer(replied: Reply) -> Result<ModelAnswer, Failure> {
    let model = ScriptedModel::start().await.unwrap();
    model.reply_next(replied);
    let answer = client(&model).call(&request("Task: judge"), MINUTE).await;
    assert!(model.unexpected().is_empty(), "{:?}", model.unexpected());
    answer
}

async fn stopped(content: &Value, stop: &str) -> ModelAnswer {
    let headers = [("content-type", "text/event-stream"), ("request-id", "req_abc")];
    answer(reply(200, &headers, &streamed(&message(content, stop)))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_put_together_and_sent_back_unchanged() {
    let content = json!([
        { "type": "thinking", "thinking": "", "signature": "c2ln" },
        { "type": "redacted_thinking", "data": "b3BhcXVl" },
        { "type": "text", "text": "I look. Grüße 🦀 \"quoted\"\n" },
        { "type": "tool_use", "id": "toolu_1", "name": "read", "input": { "path": "a.rs" } }
    ]);
    let headers = [("content-type", "text/event-stream")];
    let got = stopped(&content, "tool_use").await;
    assert_eq!(serde_json::from_str::<Value>(&got.opaque).unwrap(), content);
    assert_eq!((got.stop, got.text.as_str()), (Stop::ToolUse, "I look. Grüße 🦀 \"quoted\"\n"));
    assert_eq!(got.calls[0].input, json!({ "path": "a.rs" }));
    let usage = Usage { input: 10, output: 20, cache_read: 300, cache_write: 30, cache_write_long: 40 };
    assert_eq!((got.usage, got.request_id.as_deref()), (usage, Some("req_abc")));
    // 10 in, 20 out, 300 read, 30 written for minutes, 40 for an hour: 20 + 200 + 30 + 75 + 160 micro-dollars.
    assert_eq!(got.cost.micros(), 485);
    let odd = json!([{ "type": "text", "text": " \n" }, { "type": "tool_use", "id": "t", "name": "read", "input": { "start": "BIG" } }]);
    let whole = streamed(&message(&odd, "tool_use")).replace("\\\"BIG\\\"", "1e999");
    assert!(whole.contains("1e999"));
    let got = answer(reply(200, &headers, &whole)).await.unwrap();
    assert_eq!(got.calls[0].input, Value::Null, "no number holds that");
    assert!(!got.opaque.contains("\"text\"") && got.opaque.contains("1e999"), "{}", got.opaque);
    for (stop, meant) in [
        ("end_turn", Stop::EndTurn),
        ("stop_sequence", Stop::EndTurn),
        ("max_tokens", Stop::MaxTokens),
        ("model_context_window_exceeded", Stop::ContextFull),
        ("refusal", Stop::Refusal),
        ("pause_turn", Stop::Other("pause_turn".to_owned())),
        ("never_heard_of", Stop::Other("never_heard_of".to_owned())),
    ] {
        assert_eq!(stopped(&json!([{ "type": "text", "text": "x" }]), stop).await.stop, meant);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_says_decides_who_waits_and_who_acts() {
    let error = |kind: &str| json!({ "type": "error", "error": { "type": kind, "message": "Because." } }).to_string();
    let fault = async |status, headers: &[(&'static str, &str)]| {
        answer(reply(status, headers, &error("api_error"))).await.unwrap_err()
    };
    for (status, meant) in [
        (401, Fault::Auth),
        (402, Fault::Quota),
        (403, Fault::Permission),
        (400, Fault::Invalid),
        (404, Fault::Invalid),
        (413, Fault::Invalid),
        (408, Fault::Transient),
        (409, Fault::Transient),
        (500, Fault::Transient),
        (529, Fault::Transient),
        (429, Fault::RateLimited { retry_at: None }),
    ] {
        assert_eq!(fault(status, &[]).await.fault, meant, "{status}");
    }
    assert_eq!(fault(500, &[("x-should-retry", "false")]).await.fault, Fault::Invalid);
    assert_eq!(fault(400, &[("x-should-retry", "true")]).await.fault, Fault::Transient);
    let before = jiff::Timestamp::now();
    for headers in [[("retry-after", "3600")], [("retry-after-ms", "3600000")]] {
        for status in [429, 529] {
            let Fault::RateLimited { retry_at: Some(at) } = fault(status, &headers).await.fault else {
                panic!("a wait of an hour was not understood: {status} {headers:?}")
            };
            let minutes = at.duration_since(before).as_mins();
            assert!((59..=61).contains(&minutes), "{minutes} minutes, so that the message waits and nobody idles");
        }
    }
    let named = fault(529, &[("request-id", "req_42")]).await;
    assert_eq!(named.message, "the model provider failed (HTTP 529) (request req_42)");
    let said = answer(reply(400, &[], &error("invalid_request_error").replace("Because.", "canary-key is odd"))).await;
    assert!(!said.unwrap_err().message.contains("canary-key"), "the key is in an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_fails_or_never_ends_is_no_answer() {
    let whole = streamed(&message(&json!([{ "type": "text", "text": "x" }]), "end_turn"));
    let stream = [("content-type", "text/event-stream")];
    let half = whole.get(..whole.len() / 2).unwrap();
    assert_eq!(answer(reply(200, &stream, half)).await.unwrap_err().fault, Fault::Unknown);
    let overloaded = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    let failing = format!("{half}\n\nevent: error\ndata: {overloaded}\n\n");
    let failing = failing.replace("data: {\"content", "data: {\"type\":\"ping\"}\n\n: {\"content");
    let fault = answer(reply(200, &stream, &failing)).await.unwrap_err().fault;
    assert!(matches!(fault, Fault::Transient), "{fault:?}");
    let model = ScriptedModel::start().await.unwrap();
    model.pace().set(1, Duration::from_mins(10));
    let started = std::time::Instant::now();
    let late = client(&model).call(&request("Task: judge"), Duration::from_millis(200)).await;
    assert_eq!(late.unwrap_err().fault, Fault::Unknown);
    assert!(started.elapsed() < Duration::from_secs(20), "the deadline is the caller's");
}

/// Sends a request as it stands.
async fn sent(model: &ScriptedModel, body: &Value) -> (u16, String) {
    let post = reqwest::Client::new().post(format!("{}/v1/messages", model.url()));
    let post = post.header("x-api-key", "k").header("anthropic-version", "2023-06-01");
    let answer = post.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_refuses_what_new_models_refuse() {
    let model = ScriptedModel::start().await.unwrap();
    let text = |text: &str| json!([{ "type": "text", "text": text }]);
    let task = "Task: judge\n<untrusted source=\"ticket\">\nx\n</untrusted>";
    let good = json!({
        "model": "m", "max_tokens": 100, "stream": true, "system": text("s"),
        "tools": [{ "name": "t", "description": "d", "input_schema": { "type": "object" } }],
        "messages": [{ "role": "user", "content": text(task) }] });
    assert_eq!(sent(&model, &good).await.0, 200);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let marked = |ttls: &[&str]| {
        let block =
            |ttl: &&str| json!({ "type": "text", "text": "x", "cache_control": { "type": "ephemeral", "ttl": ttl } });
        with("messages", json!([{ "role": "user", "content": ttls.iter().map(block).collect::<Vec<_>>() }]))
    };
    let thought = json!([{ "type": "thinking", "thinking": "", "signature": "of another prefix" }, { "type": "text", "text": "y" }]);
    let user = || json!({ "role": "user", "content": text("x") });
    for (what, body) in [
        ("a sampling parameter", with("temperature", json!(0.2))),
        ("another", with("top_p", json!(0.9))),
        ("a thinking budget", with("thinking", json!({ "type": "enabled", "budget_tokens": 1_024 }))),
        ("a forced tool", with("tool_choice", json!({ "type": "any" }))),
        ("a prefill", with("messages", json!([user(), { "role": "assistant", "content": text("y") }]))),
        ("no stream", with("stream", json!(false))),
        ("too many tokens", with("max_tokens", json!(200_000))),
        ("an empty text", with("messages", json!([{ "role": "user", "content": text(" ") }]))),
        ("five breakpoints", marked(&["1h", "1h", "5m", "5m", "5m"])),
        ("an hour after minutes", marked(&["5m", "1h"])),
        ("another time to live", marked(&["2h"])),
        (
            "a result nobody asked for",
            with(
                "messages",
                json!([{ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": false }] }]),
            ),
        ),
        (
            "thinking of another prefix",
            with("messages", json!([user(), { "role": "assistant", "content": thought }, user()])),
        ),
        ("a tool without a schema", with("tools", json!([{ "name": "t", "description": "d", "input_schema": {} }]))),
    ] {
        let (status, said) = sent(&model, &body).await;
        assert_eq!(status, 400, "{what} was taken: {said}");
    }
    assert_eq!(model.unexpected().len(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_prefixes_are_kept_where_they_should_be() {
    let model = ScriptedModel::start().await.unwrap();
    let user = |text: &str| Utterance::User { blocks: vec![Block::Text { text: text.to_owned() }] };
    let said = || Utterance::Assistant { opaque: "[{\"type\":\"text\",\"text\":\"hm\"}]".to_owned() };
    let mut long = request("Task: judge\n<untrusted source=\"ticket\">\nx\n</untrusted>");
    for text in ["one", "two", "three"] {
        long.messages.extend([said(), user(text)]);
    }
    client(&model).call(&long, MINUTE).await.unwrap();
    let sent = model.requests().remove(0);
    let marks: Vec<(usize, &str)> = (0..7)
        .filter_map(|at| Some((at, sent["messages"][at]["content"][0]["cache_control"]["ttl"].as_str()?)))
        .collect();
    assert_eq!(marks, [(0, "5m"), (4, "5m"), (6, "5m")]);
    assert_eq!(sent["system"][0]["cache_control"], json!({ "type": "ephemeral", "ttl": "1h" }));
    let keys: Vec<&String> = sent.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["max_tokens", "messages", "model", "stream", "system", "tools"], "and nothing else");
}
