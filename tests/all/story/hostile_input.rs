//! What a hostile sender sends: too much, too little, too slowly, or not what it says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stories::world::{ENDPOINT, Setup, World, recorded_for_us};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

/// Sends raw bytes and returns all that comes back until the other side closes.
async fn raw(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    // A server that refuses may close before everything was sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A signed delivery to the Jira endpoint whatever its bytes are.
async fn signed(world: &World, body: Vec<u8>) -> (u16, Value) {
    let signature = webhooks::sign(&world.endpoint_secret(1), &body);
    world.post(&format!("/webhooks/jira/{ENDPOINT}/1"), &[("x-hub-signature", &signature)], body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_up_to_every_limit_are_taken_and_beyond_it_refused_with_a_reason() {
    let world = World::start(Setup::default()).await;
    let now = world.system.engine.clock.now().as_millisecond();
    let stamp = format!("{{\"timestamp\":{now},\"webhookEvent\":\"x\"}}");
    let padded = |size: usize| format!("{stamp}{}", " ".repeat(size - stamp.len())).into_bytes();
    let limit = 6 * 1024 * 1024;
    assert_eq!(signed(&world, padded(limit)).await.0, 202);
    let (status, problem) = signed(&world, padded(limit + 1)).await;
    assert_eq!((status, problem["title"].as_str()), (413, Some("Delivery too large")));
    let deep = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    for (what, body) in [
        ("an array as deep as a stack", deep("[", "]", 1_000_000).into_bytes()),
        ("objects as deep as a stack", deep("{\"a\":", "}", 200_000).into_bytes()),
        ("half of an object", b"{\"timestamp\": 1".to_vec()),
        ("two objects", format!("{stamp}{stamp}").into_bytes()),
        ("nothing", Vec::new()),
        ("a number too large for anything", b"{\"timestamp\": 1e999}".to_vec()),
        ("text that is not UTF-8", [b"{\"timestamp\": 1, \"x\": \"".as_slice(), &[0xff, 0xfe], b"\"}"].concat()),
        ("a lone surrogate", b"{\"timestamp\": 1, \"x\": \"\\ud800\"}".to_vec()),
        ("a time as text", b"{\"timestamp\": \"now\"}".to_vec()),
    ] {
        let (status, problem) = signed(&world, body).await;
        assert_eq!(status, 400, "{what}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{what}: {problem}");
    }
    world.planned("SHOP-1", "Tax", TAX).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_and_unknown_events_change_nothing_and_stop_nobody() {
    let world = World::start(Setup::default()).await;
    let mut labelled = recorded_for_us("issues.labeled");
    labelled["label"]["name"] = json!("prfactory");
    let values = [json!(null), json!([]), json!({}), json!(-1), json!(""), json!(true), json!("\u{0}"), json!(1e300)];
    for field in ["issue", "label", "repository", "sender", "installation", "action"] {
        for value in &values {
            let mut event = labelled.clone();
            event[field] = value.clone();
            assert_eq!(world.github("issues", &event).await, 202, "{field} = {value}");
        }
    }
    for (event, action) in [("issues", "exploded"), ("no_such_event", "created"), ("issue_comment", "pinned")] {
        let mut body = labelled.clone();
        body["action"] = json!(action);
        assert_eq!(world.github(event, &body).await, 202);
    }
    let mut jira = world.labelled("SHOP-1", "Tax", TAX);
    jira["webhookEvent"] = json!("jira:issue_evaporated");
    assert_eq!(world.jira(&jira).await, 202);
    for (title, body) in [("", TAX), (&*"x".repeat(257), TAX), ("Tax", &*"x".repeat(32 * 1024 + 1))] {
        assert_eq!(world.jira(&world.labelled("SHOP-9", title, body)).await, 202);
    }
    world.hears("SHOP-9", "The title must have 1 to 256 characters").await;
    world.drained().await;
    let client = world.client("ada");
    assert!(engine::ticket::list(&world.system.engine, client.ctx()).await.unwrap().is_empty());
    assert_eq!(
        world
            .jira(&world.labelled("SHOP-2", &"x".repeat(256), &format!("{TAX}{}", " ".repeat(32 * 1024 - TAX.len()))))
            .await,
        202
    );
    world.to_plan("SHOP-2").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_even_http_is_answered_or_closed() {
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    for (what, bytes, answer) in [
        ("no HTTP at all", b"EHLO there\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("TLS", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00].to_vec(), "HTTP/1.1 400"),
        (
            "two lengths",
            b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(),
            "HTTP/1.1 400",
        ),
        ("a head without end", [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'a'; 200_000]].concat(), "HTTP/1.1 431"),
        (
            "a path of dots",
            b"GET /webhooks/../../etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(),
            "HTTP/1.1 404",
        ),
        (
            "a path that is not UTF-8",
            b"GET /%ff%fe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(),
            "HTTP/1.1 404",
        ),
        (
            "half of a body",
            b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{".to_vec(),
            "HTTP/1.1 408",
        ),
    ] {
        let got = raw(&world, &bytes).await;
        assert!(got.starts_with(answer), "{what}: {got:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_and_slow_connections_keep_nobody_out_and_are_closed() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let world = World::start(Setup { apart: true, ..Setup::default() }).await;
    let serve = world.serve.as_ref().unwrap();
    let (before, files) = (serve.memory().0, serve.open_files());
    let mut held = Vec::new();
    for number in 0..1_000 {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        let start: &[u8] = match number % 3 {
            0 => b"",
            1 => b"POST /webhooks/github HTTP/1.1\r\nx-",
            _ => b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 6000000\r\n\r\n{\"a\":",
        };
        stream.write_all(start).await.unwrap();
        held.push(stream);
    }
    let started = Instant::now();
    world.planned("SHOP-1", "Tax", TAX).await;
    assert!(serve.open_files() >= files + 900, "the connections are held: {}", serve.open_files());
    let grown = serve.memory().1.saturating_sub(before) / 1024 / 1024;
    assert!(grown < 100, "{grown} MiB for a thousand connections");
    for mut stream in held {
        let mut rest = Vec::new();
        // Closed or reset, with an answer or without: it does not stay.
        let closed = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a connection was still open after {:?}", started.elapsed());
    }
    println!("a thousand connections took {grown} MiB and were closed after {:?}", started.elapsed());
    world.planned("SHOP-2", "Tax", TAX).await;
    world.end().await;
}
