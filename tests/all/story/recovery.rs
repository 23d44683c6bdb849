//! What goes wrong, is said, and goes on from where it stopped.

use std::sync::Arc;
use std::time::Duration;

use domain::name::{BranchName, TrackerKey};
use domain::state::State;
use engine::key::Key;
use engine::message::StageMessage;
use engine::port::{Clock, Item, Outgoing, Place, Write};
use intake::Answer;
use serde_json::{Value, json};
use stories::hand::Hand;
use stories::world::{ENDPOINT, Setup, World};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

fn nonsense(id: &str) -> Value {
    json!([{ "type": "tool_use", "id": id, "name": "finish", "input": { "wrong": true } }])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_answer_goes_back_twice_and_then_fails_with_a_reason() {
    let world = World::start(Setup::default()).await;
    for id in ["toolu_a", "toolu_b", "toolu_c"] {
        world.model.answer_next(nonsense(id));
    }
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.reaches("SHOP-1", "failed").await;
    assert_eq!(world.model.calls(), 3);
    let said = world.hears("SHOP-1", "**Failed while reading the repository** (needs a change)").await;
    assert!(said.contains("the model's result could not be used, also after 2 corrections"), "{said}");
    assert!(said.contains("@prfactory retry"));
    world.say("wil", "SHOP-1", "retry").await;
    let retried = world.to_plan("SHOP-1").await;
    assert!(retried.budget.spent.micros() > 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_correction_is_enough_for_a_model_that_listens() {
    let world = World::start(Setup::default()).await;
    world.model.answer_next(nonsense("toolu_a"));
    world.model.answer_next(json!([{ "type": "text", "text": "Here you are." }]));
    world.planned("SHOP-1", "Tax", TAX).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_is_asked_again_and_its_faults_are_told_apart() {
    let world = World::start(Setup::default()).await;
    world.model.fail_next(529, "overloaded");
    world.planned("SHOP-1", "Tax", TAX).await;
    assert!(world.ticket("SHOP-1").await.unwrap().budget.incomplete, "a call that failed may have cost something");
    for (status, says) in
        [(401, "does not accept the key"), (400, "refused the request (HTTP 400)"), (402, "asks for payment")]
    {
        let key = format!("SHOP-{status}");
        world.model.fail_next(status, "no");
        world.jira(&world.labelled(&key, "Tax", TAX)).await;
        world.reaches(&key, "failed").await;
        world.hears(&key, says).await;
        world.say("wil", &key, "retry").await;
        world.to_plan(&key).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_pause_and_resume_hold_at_every_wait() {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.say("wil", "SHOP-1", "pause").await;
    let paused = world.ticket("SHOP-1").await.unwrap();
    assert!(matches!(paused.state, State::Paused { .. }));
    assert!(matches!(world.approve_as_text("SHOP-1").await, Answer::Told { refused: true, .. }));
    world.say("wil", "SHOP-1", "resume").await;
    assert_eq!(world.ticket("SHOP-1").await.unwrap().state.name(), "awaiting_plan_approval");
    world.say("wil", "SHOP-1", "cancel").await;
    assert_eq!(world.ticket("SHOP-1").await.unwrap().state.name(), "cancelled");
    let refused = world.say("wil", "SHOP-1", "resume").await;
    assert!(matches!(refused, Answer::Told { refused: true, .. }));
    assert_eq!(world.branches(), ["main"]);
    world.end().await;
}

trait Approving {
    async fn approve_as_text(&self, key: &str) -> Answer;
}

impl Approving for World {
    async fn approve_as_text(&self, key: &str) -> Answer {
        let hash = self.ticket(key).await.unwrap().plan().unwrap().hash.short().to_owned();
        self.say("ada", key, &format!("approve {hash}")).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sent_twice_or_from_the_past_change_nothing() {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    let ticket = world.ticket("SHOP-1").await.unwrap();
    let client = world.client("ada");
    for run in 0..=ticket.run {
        let turn = StageMessage::Turn { ticket: ticket.id.clone(), stage: domain::state::Stage::Plan, run, turn: 1 };
        let body = world.system.engine.sealer.seal("plan", Some(client.ctx()), &turn).unwrap();
        let message = Outgoing { queue: "plan", body, group: "x".to_owned(), delay: Duration::ZERO };
        world.system.engine.queue.send(message).await.unwrap();
    }
    let forged = Outgoing { queue: "plan", body: "{}".to_owned(), group: "x".to_owned(), delay: Duration::ZERO };
    world.system.engine.queue.send(forged).await.unwrap();
    world.approve("ada", "SHOP-1").await;
    let done = world.reaches("SHOP-1", "in_review").await;
    assert_eq!(done.plans.len(), 1, "no second plan");
    let bodies: Vec<String> = world.model.requests().iter().map(ToString::to_string).collect();
    let distinct: std::collections::BTreeSet<&String> = bodies.iter().collect();
    assert_eq!(bodies.len(), distinct.len(), "nothing is asked twice");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_in_the_outbox_or_without_a_message_is_swept() {
    let mut world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let text = domain::ticket::TicketText { title: "Tax".to_owned(), body: TAX.to_owned() };
    let wish = intake::CliWish::Create { text, repo: None, base: None };
    let key = TrackerKey::parse("SHOP-1").unwrap();
    world.client("ada").ask(&key, wish).await.unwrap();
    // The message to the first stage is lost: whoever took it died, and its acknowledgement stood.
    let queue = &world.system.engine.queue;
    let lost = queue.receive("snapshot", 1, Duration::from_mins(1), Duration::ZERO).await.unwrap().remove(0);
    queue.ack("snapshot", &lost.receipt).await.unwrap();
    world.work().await;
    assert_eq!(sweep::handle(&world.system.engine).await.unwrap().tickets, 0, "not stranded yet");
    world.clock.forward(600);
    assert!(sweep::handle(&world.system.engine).await.unwrap().tickets >= 1);
    world.to_plan("SHOP-1").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_somebody_died_over_is_said_at_once_where_lists_are_true_at_once() {
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let hand = Hand::on_at(&world.dir.path().join("data"), &world.model, clock).await;
    assert_eq!(hand.deliver(&world.signed_jira(ENDPOINT, &world.labelled("SHOP-1", "Tax", TAX))).await, 202);
    hand.drain(&["intake"]).await;
    let ticket = hand.ticket("SHOP-1").await.unwrap();
    let said = format!("SAID#{}", Place::Ticket(ticket.key));
    let row = Key::of(hand.client("ada").ctx(), &said, format!("{}-status", ticket.id));
    let begun = Item::new(row, json!({ "begun": world.clock.now() }));
    world.system.engine.table.transact(vec![Write::Put { item: begun, when: vec![] }]).await.unwrap();
    hand.drain(&["notify"]).await;
    assert_eq!(hand.comments("SHOP-1").await.len(), 1, "nobody moved the clock");
    drop(hand);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_ends_well_fails_its_ticket_with_a_reason() {
    let mut world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let text = domain::ticket::TicketText { title: "Tax".to_owned(), body: TAX.to_owned() };
    let wish = intake::CliWish::Create { text, repo: None, base: None };
    world.client("ada").ask(&TrackerKey::parse("SHOP-1").unwrap(), wish).await.unwrap();
    for _ in 0..engine::port::MAX_RECEIVES {
        let taken = world.system.engine.queue.receive("snapshot", 1, Duration::from_secs(30), Duration::ZERO).await;
        assert_eq!(taken.unwrap().len(), 1);
        world.clock.forward(31);
    }
    assert!(world.system.engine.queue.receive("snapshot", 1, Duration::ZERO, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(sweep::handle(&world.system.engine).await.unwrap().dead, 1);
    assert_eq!(sweep::handle(&world.system.engine).await.unwrap().dead, 0, "a buried letter stays buried");
    let ticket = world.ticket("SHOP-1").await.unwrap();
    let State::Failed { error, .. } = &ticket.state else { panic!("not failed: {:?}", ticket.state) };
    assert!(error.message.contains("started several times"), "{error}");
    world.work().await;
    world.say("wil", "SHOP-1", "retry").await;
    world.to_plan("SHOP-1").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_reserved_and_nobody_awaits_is_given_back_to_the_month() {
    let world = World::start(Setup::default()).await;
    world.model.fail_next(401, "no");
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.reaches("SHOP-1", "failed").await;
    let (engine, client) = (&world.system.engine, world.client("ada"));
    let reserved = engine::spend::this_month(engine, client.ctx()).await.unwrap();
    assert!(reserved.micros() > 100_000, "{reserved}");
    world.clock.forward(3_700);
    sweep::handle(engine).await.unwrap();
    assert_eq!(engine::spend::this_month(engine, client.ctx()).await.unwrap().micros(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_moved_is_taken_when_harmless_and_makes_the_plan_stale_when_not() {
    let world = World::start(Setup::default()).await;
    let moved = |file: &str, text: &str| {
        let work = world.dir.path().join("clone");
        let _ = std::fs::remove_dir_all(&work);
        let run = |args: &[&str]| {
            let output = std::process::Command::new("git")
                .args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
                .args(args)
                .current_dir(if work.exists() { work.as_path() } else { world.dir.path() })
                .output()
                .unwrap();
            assert!(output.status.success(), "{args:?} {}", String::from_utf8_lossy(&output.stderr));
        };
        run(&["clone", "-q", world.repository().to_str().unwrap(), work.to_str().unwrap()]);
        std::fs::write(work.join(file), text).unwrap();
        run(&["commit", "-qam", "move"]);
        run(&["push", "-q", "origin", "HEAD:main"]);
    };
    world.planned("SHOP-1", "Tax", TAX).await;
    moved("README.md", "# other\n");
    world.approve("ada", "SHOP-1").await;
    let ticket = world.reaches("SHOP-1", "in_review").await;
    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(world.run_git(&["merge-base", "main", &branch]), world.run_git(&["rev-parse", "main"]));
    let first = world.planned("SHOP-2", "Tax", TAX).await;
    moved("src/price.py", "TAX = 0.2\nSHIPPING = 4\n");
    world.approve("ada", "SHOP-2").await;
    let second = world.reaches("SHOP-2", "awaiting_plan_approval").await;
    assert_eq!(second.plans.len(), first.plans.len() + 1);
    assert!(second.plan().unwrap().changed.contains("base commit"), "{:?}", second.plan());
    assert!(second.approved_plan.is_none());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_people_on_the_branch_are_kept() {
    let world = World::start(Setup::default()).await;
    let ticket = world.planned("SHOP-1", "Tax", TAX).await;
    let branch: BranchName = ticket.target().unwrap().branch.clone();
    let main = world.run_git(&["rev-parse", "main"]);
    world.run_git(&["update-ref", &format!("refs/heads/{branch}"), &main]);
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "failed").await;
    world.hears("SHOP-1", "has commits of somebody else, which are kept").await;
    assert_eq!(world.run_git(&["rev-parse", branch.as_str()]), main);
    world.run_git(&["update-ref", "-d", &format!("refs/heads/{branch}")]);
    world.say("wil", "SHOP-1", "retry").await;
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_live_ticket_needs_is_kept_however_long_it_waits_and_the_rest_is_not() {
    let world = World::start(Setup { policy: "approval_deadline_days = 30".to_owned(), ..Setup::default() }).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.planned("SHOP-2", "Tax", "Replace `dollars` with `euros` in `README.md`.").await;
    world.say("wil", "SHOP-2", "cancel").await;
    world.drained().await;
    let count = || stories::serve::files_below(&world.dir.path().join("data/blobs"));
    let keep = Duration::from_hours(10 * 24);
    let all = count();
    for _ in 0..5 {
        world.clock.forward(5 * 86_400);
        world.system.tidy(keep).await.unwrap();
    }
    assert!(count() * 2 < all, "{} of {all} are left", count());
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}
