//! What is delivered again, in another order or after years.

use std::sync::Arc;

use serde_json::{Value, json};
use stories::world::{ENDPOINT, Setup, Signed, World, recorded_for_us};
use tokio::task::JoinSet;

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

/// Sends the same bytes twenty times, each under an id of its own.
async fn twenty_times(world: &Arc<World>, signed: &Signed, id_header: &'static str, at_once: bool) {
    let mut posts = JoinSet::new();
    for number in 0..20 {
        let (world, mut signed) = (Arc::clone(world), signed.clone());
        signed.headers.retain(|(name, _)| *name != id_header);
        signed.headers.push((id_header, format!("delivery-{number}")));
        let post = async move { assert_eq!(world.deliver(&signed).await, 202) };
        if at_once {
            posts.spawn(post);
        } else {
            post.await;
        }
    }
    posts.join_all().await;
}

async fn the_way_twenty_times_over(at_once: bool) {
    let world = Arc::new(World::start(Setup::default()).await);
    let jira = |event: &Value| world.signed_jira(ENDPOINT, event);
    let again = |signed: Signed| {
        let world = Arc::clone(&world);
        async move { twenty_times(&world, &signed, "x-atlassian-webhook-identifier", at_once).await }
    };
    again(jira(&world.labelled("SHOP-1", "Tax", TAX))).await;
    world.until("the ticket", || world.ticket("SHOP-1")).await;
    again(jira(&world.commented("SHOP-1", "70", "@prfactory budget +1"))).await;
    let plan = world.to_plan("SHOP-1").await.plan().unwrap().hash.short().to_owned();
    again(jira(&world.commented("SHOP-1", "71", &format!("@prfactory approve {plan}")))).await;
    let ticket = world.reaches("SHOP-1", "in_review").await;
    assert_eq!(ticket.budget.limit.to_string(), "$6.00", "twenty times is once");
    let mut review = recorded_for_us("pull_request_review.submitted");
    review["pull_request"]["number"] = json!(ticket.pull_request.as_ref().unwrap().number);
    review["review"]["state"] = json!("changes_requested");
    review["review"]["body"] = json!("Replace `def total(net):` with `def total(net: float):` in `src/price.py`.");
    let signed = world.signed_github("pull_request_review", "d", &review);
    twenty_times(&world, &signed, "x-github-delivery", at_once).await;
    let first = ticket.pull_request.unwrap().head;
    let revised = || async {
        let ticket = world.ticket("SHOP-1").await?;
        (ticket.state.name() == "in_review" && ticket.pull_request.as_ref()?.head != first).then_some(ticket)
    };
    let ticket = world.until("the revision", revised).await;
    let mut merged = recorded_for_us("pull_request.closed.merged");
    merged["pull_request"]["number"] = json!(ticket.pull_request.as_ref().unwrap().number);
    let signed = world.signed_github("pull_request", "d", &merged);
    twenty_times(&world, &signed, "x-github-delivery", at_once).await;
    world.reaches("SHOP-1", "completed").await;

    let client = world.client("ada");
    assert_eq!(engine::ticket::list(&world.system.engine, client.ctx()).await.unwrap().len(), 1);
    assert_eq!(world.branches().len(), 2);
    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(world.run_git(&["rev-list", "--count", &format!("main..{branch}")]), "2", "one commit, one revision");
    let history = world.history("SHOP-1").await;
    let approved = format!("{plan} approved");
    for once in ["started with", "budget raised", &approved, "a review asks", "merged"] {
        assert_eq!(history.iter().filter(|line| line.contains(once)).count(), 1, "{once}: {history:#?}");
    }
    let mut markers: Vec<String> = world
        .comments("SHOP-1")
        .await
        .iter()
        .map(|comment| comment.rsplit("<!--").next().unwrap_or_default().to_owned())
        .collect();
    let all = markers.len();
    markers.sort();
    markers.dedup();
    assert_eq!(markers.len(), all, "one comment of each kind");
    Arc::into_inner(world).unwrap().end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_delivery_of_a_ticket_twenty_times_one_after_another() {
    the_way_twenty_times_over(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_delivery_of_a_ticket_twenty_times_at_once() {
    the_way_twenty_times_over(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_set_anew_starts_what_was_cancelled_or_failed_and_an_old_one_does_not() {
    let world = World::start(Setup::default()).await;
    let mut event = recorded_for_us("issues.labeled");
    event["label"]["name"] = json!("prfactory");
    event["issue"]["body"] = json!(TAX);
    let key = format!("Codertocat/Hello-World#{}", event["issue"]["number"]);
    let at = |event: &Value, at: &str| {
        let mut event = event.clone();
        event["issue"]["updated_at"] = json!(at);
        event
    };
    let set = at(&event, "2026-03-01T10:00:00Z");
    assert_eq!(world.github("issues", &set).await, 202);
    let first = world.to_plan(&key).await;
    let mut removed = at(&event, "2026-03-01T11:00:00Z");
    removed["action"] = json!("unlabeled");
    assert_eq!(world.github("issues", &removed).await, 202);
    world.reaches(&key, "cancelled").await;

    // The ledger of bodies has forgotten the first delivery by now; the label's own time has not.
    world.clock.forward(2 * 86_400);
    assert_eq!(world.github("issues", &set).await, 202);
    assert_eq!(world.github("issues", &at(&event, "2026-03-01T12:00:00Z")).await, 202);
    let second = world.to_plan(&key).await;
    assert_ne!(second.id, first.id, "set anew, it starts anew");
    assert_eq!(world.github("issues", &removed).await, 202);
    let client = world.client("ada");
    world.drained().await;
    assert_eq!(engine::ticket::list(&world.system.engine, client.ctx()).await.unwrap().len(), 2);

    world.model.fail_next(401, "no");
    world.say("wil", &key, "replan Use 0.3 instead").await;
    world.reaches(&key, "failed").await;
    assert_eq!(world.github("issues", &at(&event, "2026-03-01T12:00:00Z")).await, 202);
    world.drained().await;
    assert_eq!(world.ticket(&key).await.unwrap().state.name(), "failed", "an old label wakes nobody");
    assert_eq!(world.github("issues", &at(&event, "2026-03-01T13:00:00Z")).await, 202);
    world.drained().await;
    let ticket = world.to_plan(&key).await;
    assert_eq!(ticket.id, second.id, "a failed ticket goes on");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_counts_once_for_ever_and_a_label_again_after_the_end() {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    let budget = world.commented("SHOP-1", "77", "/prfactory budget +1");
    world.jira(&budget).await;
    world
        .until("the budget", || async {
            (world.ticket("SHOP-1").await?.budget.limit.to_string() == "$6.00").then_some(())
        })
        .await;
    world.clock.forward(400 * 86_400);
    let mut later = budget.clone();
    later["timestamp"] = json!(world.system.engine.clock.now().as_millisecond());
    world.jira(&later).await;
    world.jira(&world.commented("SHOP-1", "78", "/prfactory cancel")).await;
    let cancelled = world.reaches("SHOP-1", "cancelled").await;
    assert_eq!(cancelled.budget.limit.to_string(), "$6.00", "the same comment never counts twice");
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    let again = world.to_plan("SHOP-1").await;
    assert_ne!(again.id, cancelled.id, "a label set anew starts a new workflow");
    world.end().await;
}
