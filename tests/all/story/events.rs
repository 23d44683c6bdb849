//! Every recorded delivery leads where it should.

use serde_json::{Value, json};
use stories::world::{Setup, World, recorded, recorded_for_us};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

/// A ticket with an open pull request, which GitHub's events name as number 1.
async fn in_review() -> World {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-1", "Raise the tax", TAX).await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world
}

fn on_our_pull_request(name: &str) -> Value {
    let mut event = recorded_for_us(name);
    event["pull_request"]["number"] = json!(1);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_is_created_with_the_label_starts() {
    let world = World::start(Setup::default()).await;
    let mut event = recorded("jira/issue_created");
    event["timestamp"] = json!(world.system.engine.clock.now().as_millisecond());
    assert_eq!(world.jira(&event).await, 202);
    event["issue"]["fields"]["labels"] = json!(["prfactory"]);
    event["issue"]["key"] = json!("SHOP-9");
    event["issue"]["fields"]["description"] = json!(TAX);
    assert_eq!(world.jira(&event).await, 202);
    world.to_plan("SHOP-9").await;
    assert!(world.ticket("KAN-22").await.is_none(), "without the label nothing starts");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_the_label_cancels() {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    let mut event = world.labelled("SHOP-1", "Tax", TAX);
    event["changelog"]["items"][0]["fromString"] = json!("prfactory urgent");
    event["changelog"]["items"][0]["toString"] = json!("urgent");
    assert_eq!(world.jira(&event).await, 202);
    world.reaches("SHOP-1", "cancelled").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_and_a_comment_on_github_start_and_stop() {
    let world = World::start(Setup::default()).await;
    let mut other = recorded_for_us("issues.labeled");
    other["issue"]["body"] = json!(TAX);
    assert_eq!(world.github("issues", &other).await, 202);
    other["label"]["name"] = json!("prfactory");
    assert_eq!(world.github("issues", &other).await, 202);
    let key = format!("Codertocat/Hello-World#{}", other["issue"]["number"]);
    world.to_plan(&key).await;
    let mut removed = recorded_for_us("issues.unlabeled");
    removed["issue"]["number"] = other["issue"]["number"].clone();
    removed["label"]["name"] = json!("prfactory");
    assert_eq!(world.github("issues", &removed).await, 202);
    world.reaches(&key, "cancelled").await;
    let edited = recorded_for_us("issue_comment.edited");
    assert_eq!(world.github("issue_comment", &edited).await, 202);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_with_remarks_is_one_batch_and_leads_to_a_new_commit() {
    let world = in_review().await;
    let first = world.ticket("SHOP-1").await.unwrap().pull_request.unwrap().head;
    let mut remark = on_our_pull_request("pull_request_review_comment.created");
    remark["comment"]["path"] = json!("README.md");
    remark["comment"]["body"] = json!("Say so: replace `dollars` with `euros` in `README.md`.");
    let review = remark["comment"]["pull_request_review_id"].clone();
    assert_eq!(world.github("pull_request_review_comment", &remark).await, 202);
    let mut submitted = on_our_pull_request("pull_request_review.submitted");
    submitted["review"]["id"] = review;
    assert_eq!(world.github("pull_request_review", &submitted).await, 202);
    let kept = || async {
        let client = world.client("ada");
        let under = format!("REVIEW#Codertocat/Hello-World#1#{}", submitted["review"]["id"]);
        let partition = engine::key::Key::partition_of(client.ctx(), &under);
        let page =
            world.system.engine.table.query(engine::port::Index::Primary, &partition, "", 9, None).await.unwrap();
        (!page.items.is_empty()).then_some(())
    };
    world.until("the remark", kept).await;
    submitted["review"]["state"] = json!("changes_requested");
    assert_eq!(world.github("pull_request_review", &submitted).await, 202);
    let revised = || async {
        let ticket = world.ticket("SHOP-1").await?;
        let moved = ticket.pull_request.as_ref().is_some_and(|pull| pull.head != first);
        (moved && ticket.state.name() == "in_review").then_some(ticket)
    };
    let ticket = world.until("a new commit", revised).await;
    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(world.run_git(&["rev-parse", &format!("{branch}^")]), first.to_string(), "the branch only grows");
    assert!(world.run_git(&["show", &format!("{branch}:README.md")]).contains("euros"));
    assert!(world.run_git(&["show", &format!("{branch}:src/price.py")]).contains("0.25"), "the change stays whole");
    world.run_git(&["fsck", "--strict"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remark_that_comes_after_its_review_is_not_lost() {
    let world = in_review().await;
    let first = world.ticket("SHOP-1").await.unwrap().pull_request.unwrap().head;
    let mut remark = on_our_pull_request("pull_request_review_comment.created");
    remark["comment"]["path"] = json!("README.md");
    remark["comment"]["body"] = json!("Replace `dollars` with `euros` in `README.md`.");
    let mut submitted = on_our_pull_request("pull_request_review.submitted");
    submitted["review"]["id"] = remark["comment"]["pull_request_review_id"].clone();
    submitted["review"]["state"] = json!("changes_requested");
    assert_eq!(world.github("pull_request_review", &submitted).await, 202);
    let noticed = || async { world.history("SHOP-1").await.iter().any(|e| e.contains("a review asks")).then_some(()) };
    world.until("the review", noticed).await;
    assert_eq!(world.github("pull_request_review_comment", &remark).await, 202);
    let revised = || async {
        let ticket = world.ticket("SHOP-1").await?;
        let moved = ticket.pull_request.as_ref().is_some_and(|pull| pull.head != first);
        (moved && ticket.state.name() == "in_review").then_some(())
    };
    world.until("a new commit", revised).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_on_the_pull_request_speaks_to_its_ticket() {
    let world = in_review().await;
    let mut event = recorded_for_us("issue_comment.created.pull_request");
    event["issue"]["number"] = json!(1);
    event["comment"]["body"] = json!("@prfactory status");
    assert_eq!(world.github("issue_comment", &event).await, 202);
    world.hears("SHOP-1", "**SHOP-1**: pull request open.").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_and_merges_reach_the_ticket() {
    let world = in_review().await;
    let mut checks = recorded_for_us("check_suite.completed");
    checks["check_suite"]["conclusion"] = json!("failure");
    checks["check_suite"]["pull_requests"] = json!([{ "number": 1 }]);
    assert_eq!(world.github("check_suite", &checks).await, 202);
    let merged = on_our_pull_request("pull_request.closed.merged");
    assert_eq!(world.github("pull_request", &merged).await, 202);
    world.reaches("SHOP-1", "completed").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uninstall_fences_every_ticket_that_came_through_it() {
    let world = World::start(Setup::default()).await;
    let mut labelled = recorded_for_us("issues.labeled");
    labelled["label"]["name"] = json!("prfactory");
    labelled["issue"]["body"] = json!(TAX);
    world.github("issues", &labelled).await;
    let key = format!("Codertocat/Hello-World#{}", labelled["issue"]["number"]);
    world.to_plan(&key).await;
    assert_eq!(world.github("installation", &recorded_for_us("installation.created")).await, 202);
    assert_eq!(world.github("installation", &recorded_for_us("installation.deleted")).await, 202);
    world.reaches(&key, "cancelled").await;
    labelled["issue"]["number"] = json!(55);
    world.github("issues", &labelled).await;
    assert_eq!(world.jira(&world.labelled("SHOP-2", "Tax", TAX)).await, 202);
    world.to_plan("SHOP-2").await;
    assert!(world.ticket("Codertocat/Hello-World#55").await.is_none(), "late deliveries cannot resurrect it");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_and_a_status_that_are_not_about_us_do_nothing() {
    let world = in_review().await;
    let before = world.ticket("SHOP-1").await.unwrap();
    for name in ["push", "status"] {
        assert_eq!(world.github(name, &recorded_for_us(name)).await, 202);
    }
    world.drained().await;
    assert_eq!(world.ticket("SHOP-1").await.unwrap().version, before.version);
    world.end().await;
}
