//! What the adapters make of answers an emulator never gives: lost, contended, throttled, half done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::{Access, DynamoTable, SqsQueue};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::any;
use domain::error::Fault;
use engine::key::Key;
use engine::port::{Condition, Index, Item, Outgoing, Queue as _, Secret, Table as _, TableError, Write};
use serde_json::{Value, json};

/// A service that gives these answers, one a request, and fails on any further one.
struct Answers {
    url: String,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    answers: Mutex<VecDeque<(u16, Value)>>,
    requests: Mutex<Vec<Value>>,
}

async fn answer(State(said): State<Arc<Said>>, body: Bytes) -> Response<Body> {
    said.requests.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    let (status, body) = said.answers.lock().unwrap().pop_front().expect("one request too many");
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

impl Answers {
    async fn of(answers: &[(u16, Value)]) -> Self {
        let said = Arc::new(Said { answers: Mutex::new(answers.iter().cloned().collect()), ..Said::default() });
        let app = Router::new().fallback(any(answer)).with_state(Arc::clone(&said));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, said }
    }

    fn access(&self) -> Access {
        let secret = Secret::new(b"test".as_slice());
        Access::new("eu-central-1".to_owned(), Some(self.url.clone()), ("test", &secret), None)
    }

    fn table(&self) -> DynamoTable {
        DynamoTable::new(&self.access(), "t", None)
    }

    /// What was asked; every answer must have been given.
    fn requests(&self) -> Vec<Value> {
        assert!(self.said.answers.lock().unwrap().is_empty(), "fewer requests than answers");
        std::mem::take(&mut self.said.requests.lock().unwrap())
    }
}

fn named(name: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "no" })
}

fn cancelled(codes: &[&str]) -> Value {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let mut answer = named("TransactionCanceledException");
    answer["CancellationReasons"] = json!(reasons);
    answer
}

fn put(name: &str) -> Write {
    let key = Key::stored("T#ten_a".to_owned(), name.to_owned());
    Write::Put { item: Item::new(key, json!({ "n": 1 })), when: vec![Condition::VersionIs(1)] }
}

async fn written(answers: &[(u16, Value)], writes: Vec<Write>) -> (Result<(), TableError>, Vec<Value>) {
    let service = Answers::of(answers).await;
    let outcome = service.table().transact(writes).await;
    (outcome, service.requests())
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_asked_for_again_under_its_token() {
    let lost = (500, named("InternalServerError"));
    let (outcome, requests) = written(&[lost.clone(), lost, (200, json!({}))], vec![put("a"), put("b")]).await;
    assert_eq!(outcome, Ok(()));
    let tokens: Vec<&Value> = requests.iter().map(|request| &request["ClientRequestToken"]).collect();
    assert!(tokens[0].is_string() && tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
}

#[tokio::test]
async fn what_was_lost_stays_unknown_however_busy_the_table_is_then() {
    let (lost, under_way) = ((500, named("InternalServerError")), (400, named("TransactionInProgressException")));
    let busy = (400, named("ThrottlingException"));
    let one_token =
        |requests: &[Value]| requests.iter().all(|r| r["ClientRequestToken"] == requests[0]["ClientRequestToken"]);
    let answers = [lost.clone(), under_way.clone(), (200, json!({}))];
    let (outcome, requests) = written(&answers, vec![put("a"), put("b")]).await;
    assert_eq!(outcome, Ok(()));
    assert!(one_token(&requests), "{requests:?}");
    let answers = [lost, under_way.clone(), busy.clone(), under_way, busy];
    let (outcome, requests) = written(&answers, vec![put("a"), put("b")]).await;
    assert_eq!(outcome, Err(TableError::Unknown), "it may have happened");
    assert!(one_token(&requests), "{requests:?}");
}

#[tokio::test]
async fn a_single_write_whose_answer_was_lost_is_unknown_and_not_sent_again() {
    let (outcome, requests) = written(&[(500, named("InternalServerError"))], vec![put("a")]).await;
    assert_eq!((outcome, requests.len()), (Err(TableError::Unknown), 1));
}

#[tokio::test]
async fn the_first_condition_that_failed_is_named() {
    let codes = ["None", "ConditionalCheckFailed", "ConditionalCheckFailed"];
    let (outcome, _) = written(&[(400, cancelled(&codes))], vec![put("a"), put("b"), put("c")]).await;
    assert_eq!(outcome, Err(TableError::Condition { write: 1 }));
    let (outcome, _) = written(&[(400, named("ConditionalCheckFailedException"))], vec![put("a")]).await;
    assert_eq!(outcome, Err(TableError::Condition { write: 0 }));
}

#[tokio::test]
async fn who_met_another_transaction_tries_again_under_another_token() {
    let contended = (400, cancelled(&["TransactionConflict", "None"]));
    let (outcome, requests) = written(&[contended.clone(), (200, json!({}))], vec![put("a"), put("b")]).await;
    assert_eq!(outcome, Ok(()));
    assert_ne!(requests[0]["ClientRequestToken"], requests[1]["ClientRequestToken"]);
    let always = vec![contended; 5];
    let (outcome, requests) = written(&always, vec![put("a"), put("b")]).await;
    assert_eq!((outcome, requests.len()), (Err(TableError::Throttled), 5), "and gives up after a while");
}

#[tokio::test]
async fn throttling_is_waited_for_and_said() {
    let busy = (400, named("ProvisionedThroughputExceededException"));
    let (outcome, _) = written(&[busy.clone(), (200, json!({}))], vec![put("a")]).await;
    assert_eq!(outcome, Ok(()));
    let (outcome, _) = written(&vec![busy; 5], vec![put("a")]).await;
    assert_eq!(outcome, Err(TableError::Throttled));
    let (outcome, _) = written(&[(400, named("ValidationException"))], vec![put("a")]).await;
    assert_eq!(outcome, Err(TableError::Invalid("ValidationException".to_owned())));
}

#[tokio::test]
async fn what_a_batch_left_unread_is_read_next() {
    let key = |sort: &str| json!({ "pk": { "S": "T#ten_a" }, "sk": { "S": sort } });
    let entries = json!({ "Items": [key("1"), key("2")] });
    let first = json!({ "Responses": { "t": [key("2")] }, "UnprocessedKeys": { "t": { "Keys": [key("1")] } } });
    let second = json!({ "Responses": { "t": [key("1")] }, "UnprocessedKeys": {} });
    let service = Answers::of(&[(200, entries), (200, first), (200, second)]).await;
    let page = service.table().query(Index::Listing, "T#ten_a#TICKETS", "", 10, None).await.unwrap();
    let sorts: Vec<&str> = page.items.iter().map(|item| item.key.sort()).collect();
    assert_eq!(sorts, ["1", "2"], "in the order of the index");
    assert_eq!(service.requests()[2]["RequestItems"]["t"]["Keys"], json!([key("1")]));
}

#[tokio::test]
async fn each_message_of_a_batch_has_an_outcome_of_its_own() {
    let failed = |id: &str, ours: bool| json!({ "Id": id, "Code": "InternalError", "SenderFault": ours });
    let sent = |id: &str| json!({ "Id": id, "MessageId": "m", "MD5OfMessageBody": "" });
    let answer = json!({ "Successful": [sent("0")], "Failed": [failed("1", false), failed("2", true)] });
    let service = Answers::of(&[(200, answer)]).await;
    let queue = SqsQueue::new(&service.access(), format!("{}/000000000000/x-", service.url));
    let message = |body: String| Outgoing { queue: "plan", body, group: "g".to_owned(), delay: Duration::ZERO };
    let mut messages: Vec<Outgoing> = ["a", "b", "c"].map(|body| message(body.to_owned())).into();
    messages.push(message("x".repeat(1024 * 1024 + 1)));
    let outcomes = queue.send_batch(messages).await;
    let faults: Vec<Option<Fault>> = outcomes.into_iter().map(|outcome| outcome.err().map(|f| f.fault)).collect();
    assert_eq!(faults, [None, Some(Fault::Transient), Some(Fault::Bug), Some(Fault::Invalid)]);
    let entries = service.requests()[0]["Entries"].as_array().unwrap().len();
    assert_eq!(entries, 3, "what is too large for any queue is not sent");
}
