//! What every `Queue` promises.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::port::{MAX_RECEIVES, Outgoing, Queue};

const NOTHING: Duration = Duration::ZERO;

/// How time passes for an adapter: by a clock of the test's, or by the world's.
#[async_trait]
pub trait Pace: Send + Sync {
    /// How long a message is hidden; a whole number of seconds, the smallest that leaves room for a few calls.
    fn hidden(&self) -> Duration;

    /// Lets that much time pass.
    async fn pass(&self, time: Duration);
}

/// A little more than what is to be over.
const OVER: Duration = Duration::from_secs(1);

fn message(body: &str, delay: Duration) -> Outgoing {
    Outgoing { queue: "plan", body: body.to_owned(), group: "ten_contract".to_owned(), delay }
}

/// Runs the suite.
pub async fn queue(queue: Arc<dyn Queue>, pace: &dyn Pace) {
    let long = pace.hidden();
    assert_eq!(queue.receive("plan", 10, long, NOTHING).await.unwrap(), Vec::new());
    queue.send(message("one", NOTHING)).await.unwrap();
    let first = queue.receive("plan", 10, long, NOTHING).await.unwrap().remove(0);
    assert_eq!((first.body.as_str(), first.receives), ("one", 1));
    assert!(queue.receive("plan", 10, long, NOTHING).await.unwrap().is_empty(), "hidden while it is handled");
    assert!(queue.receive("review", 10, long, NOTHING).await.unwrap().is_empty(), "queues do not mix");
    pace.pass(long + OVER).await;
    let second = queue.receive("plan", 10, long, NOTHING).await.unwrap().remove(0);
    assert_eq!(second.receives, 2, "it comes again when its visibility lapses");
    queue.ack("plan", &first.receipt).await.unwrap();
    pace.pass(long + OVER).await;
    let third = queue.receive("plan", 10, long, NOTHING).await.unwrap().remove(0);
    assert_eq!(third.receives, 3, "a lapsed receipt removes nothing");
    queue.hide("plan", &third.receipt, NOTHING).await.unwrap();
    let fourth = queue.receive("plan", 10, long, NOTHING).await.unwrap().remove(0);
    queue.ack("plan", &fourth.receipt).await.unwrap();
    pace.pass(long + OVER).await;
    assert!(queue.receive("plan", 10, long, NOTHING).await.unwrap().is_empty(), "acknowledged is gone");
    batches(queue.as_ref(), long).await;
    delays(queue.as_ref(), pace).await;
    dead_letters(queue.as_ref(), pace).await;
    nothing_is_handed_out_twice(&queue).await;
}

/// Messages of several queues sent together, one of them too large for any.
async fn batches(queue: &dyn Queue, long: Duration) {
    let mut messages: Vec<Outgoing> = (0..12).map(|number| message(&format!("b{number}"), NOTHING)).collect();
    messages.push(Outgoing { queue: "review", ..message("elsewhere", NOTHING) });
    let taken = queue.send_batch(messages).await;
    assert_eq!((taken.len(), taken.iter().filter(|outcome| outcome.is_ok()).count()), (13, 13));
    for (name, count) in [("plan", 12), ("review", 1)] {
        let mut bodies = BTreeSet::new();
        while let Some(received) = queue.receive(name, 1, long, NOTHING).await.unwrap().pop() {
            queue.ack(name, &received.receipt).await.unwrap();
            bodies.insert(received.body);
        }
        assert_eq!(bodies.len(), count, "{bodies:?}");
    }
}

async fn delays(queue: &dyn Queue, pace: &dyn Pace) {
    let long = pace.hidden();
    queue.send(message("later", long)).await.unwrap();
    assert!(queue.receive("plan", 10, long, NOTHING).await.unwrap().is_empty());
    pace.pass(long + OVER).await;
    let later = queue.receive("plan", 10, long, NOTHING).await.unwrap().remove(0);
    queue.ack("plan", &later.receipt).await.unwrap();
}

async fn dead_letters(queue: &dyn Queue, pace: &dyn Pace) {
    let long = pace.hidden();
    queue.send(message("poison", NOTHING)).await.unwrap();
    for receives in 1..=MAX_RECEIVES {
        let again = queue.receive("plan", 1, long, NOTHING).await.unwrap().remove(0);
        assert_eq!(again.receives, receives);
        pace.pass(long + OVER).await;
    }
    assert!(queue.receive("plan", 1, long, NOTHING).await.unwrap().is_empty());
    let dead = queue.receive_dead("plan", 10).await.unwrap().remove(0);
    assert_eq!(dead.body, "poison");
    queue.ack_dead("plan", &dead.receipt).await.unwrap();
    assert!(queue.receive_dead("plan", 10).await.unwrap().is_empty());
}

async fn nothing_is_handed_out_twice(queue: &Arc<dyn Queue>) {
    let long = Duration::from_mins(1);
    for number in 0..200 {
        queue.send(message(&format!("m{number}"), NOTHING)).await.unwrap();
    }
    let mut receivers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let queue = Arc::clone(queue);
        receivers.spawn(async move {
            let mut bodies = Vec::new();
            loop {
                let received = queue.receive("plan", 7, long, NOTHING).await.unwrap();
                if received.is_empty() {
                    return bodies;
                }
                for message in received {
                    queue.ack("plan", &message.receipt).await.unwrap();
                    bodies.push(message.body);
                }
            }
        });
    }
    let bodies: Vec<String> = receivers.join_all().await.into_iter().flatten().collect();
    assert_eq!((bodies.len(), bodies.iter().collect::<BTreeSet<_>>().len()), (200, 200));
}

/// Where one group has messages in hand, another comes first; for adapters that promise it to the message.
pub async fn groups_take_turns(queue: &dyn Queue) {
    let long = Duration::from_mins(1);
    let of = |group: &str, body: &str| Outgoing { group: group.to_owned(), ..message(body, NOTHING) };
    for number in 0..20 {
        queue.send(of("ten_loud", &format!("loud {number}"))).await.unwrap();
    }
    queue.send(of("ten_quiet", "quiet 0")).await.unwrap();
    queue.send(of("ten_quiet", "quiet 1")).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..6 {
        let received = queue.receive("plan", 1, long, NOTHING).await.unwrap().remove(0);
        bodies.push(received.body);
    }
    assert_eq!(bodies, ["loud 0", "quiet 0", "loud 1", "quiet 1", "loud 2", "loud 3"]);
    assert_eq!(queue.receive("plan", 10, long, NOTHING).await.unwrap().len(), 10);
}
