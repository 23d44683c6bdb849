//! Who may act, on what, and what never acts.

use intake::Answer;
use serde_json::json;
use stories::world::{Setup, World, recorded_for_us};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

fn told(answer: Answer) -> String {
    match answer {
        Answer::Told { text, refused: true } => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_an_older_plan_is_refused_and_says_what_changed() {
    let world = World::start(Setup::default()).await;
    let first = world.planned("SHOP-1", "Rename", "Replace `total` with `gross`.").await;
    let old = first.plan().unwrap().hash.short().to_owned();
    world.say("wil", "SHOP-1", "replan keep `tests/test_price.py` as it is").await;
    let second = world.reaches("SHOP-1", "awaiting_plan_approval").await;
    let new = second.plan().unwrap().hash.short().to_owned();
    assert_ne!(old, new);
    let refusal = told(world.say("apo", "SHOP-1", &format!("approve {old}")).await);
    let refusal = refusal.replace(&old, "OLD").replace(&new, "NEW");
    insta::assert_snapshot!(refusal, @"`OLD` is plan v1, which is no longer the one that waits. Changed since: v2: no longer touches tests/test_price.py; the summary changed. Read plan v2 and, if you agree, say `approve NEW`.");
    assert_eq!(world.branches(), ["main"]);
    let superseded = world.hears("SHOP-1", "(superseded)").await;
    assert!(superseded.contains(&old));
    assert!(matches!(world.say("apo", "SHOP-1", &format!("approve {new}")).await, Answer::Moved { .. }));
    let done = world.reaches("SHOP-1", "in_review").await;
    let branch = done.target().unwrap().branch.to_string();
    assert_eq!(world.run_git(&["diff", "--name-only", "main", &branch]), "src/cart.py\nsrc/price.py");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_held_to() {
    let world = World::start(Setup::default()).await;
    let plan = world.planned("SHOP-1", "Tax", TAX).await;
    let approve = format!("approve {}", plan.plan().unwrap().hash.short());
    for (member, command) in [("rea", "cancel"), ("wil", approve.as_str()), ("wil", "budget +5"), ("rea", "replan x")] {
        let text = told(world.say(member, "SHOP-1", command).await);
        assert!(text.contains("needs the role"), "{member} {command}: {text}");
    }
    insta::assert_snapshot!(told(world.say("wil", "SHOP-1", &approve).await), @"`approve` needs the role *approver*; yours is *writer*. Ask an admin of this tenant, or someone who has it.");
    insta::assert_snapshot!(told(world.say("apo", "SHOP-1", "implement").await), @"`implement` does not apply now (waiting for a decision on the plan). What works: `approve HASH`, `replan INSTRUCTION` or `reject REASON`.");
    insta::assert_snapshot!(told(world.say("apo", "SHOP-1", "aprove x").await), @"Unknown command `aprove`. Did you mean `approve`? Say `help` for the list.");
    let hash_needed = told(world.say("apo", "SHOP-1", "approve").await);
    assert!(hash_needed.starts_with("Say exactly what you approve: `approve "), "{hash_needed}");
    assert_eq!(world.branches(), ["main"], "nothing was pushed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_bots_and_edits_say_never_acts() {
    let world = World::start(Setup::default()).await;
    let plan = world.planned("SHOP-1", "Tax", TAX).await;
    let before = world.ticket("SHOP-1").await.unwrap().version;
    let approve = format!("/prfactory approve {}", plan.plan().unwrap().hash.short());
    let said = |id: &str| world.commented("SHOP-1", id, &approve);
    let mut stranger = said("1");
    stranger["comment"]["author"]["accountId"] = json!("jira-nobody");
    let mut app = said("2");
    app["comment"]["author"]["accountType"] = json!("app");
    let mut customer = said("3");
    customer["comment"]["author"]["accountType"] = json!("customer");
    let mut edited = said("4");
    edited["comment"]["updated"] = json!("2026-01-01T00:00:00.000+0000");
    let mut update = said("5");
    update["webhookEvent"] = json!("comment_updated");
    let mut internal = said("6");
    internal["comment"]["jsdPublic"] = json!(false);
    let quoted = world.commented("SHOP-1", "7", &format!("{{quote}}\n{approve}\n{{quote}}"));
    let middle = world.commented("SHOP-1", "8", &format!("please {approve}"));
    for event in [&stranger, &app, &customer, &edited, &update, &internal, &quoted, &middle] {
        assert_eq!(world.jira(event).await, 202);
    }
    // The queue is first in, first out here: once this last one was heard, the others were too.
    assert_eq!(world.jira(&world.commented("SHOP-1", "9", "/prfactory budget")).await, 202);
    world.hears("SHOP-1", "This ticket has spent").await;
    let after = world.ticket("SHOP-1").await.unwrap();
    assert_eq!((after.version, after.state.name()), (before, "awaiting_plan_approval"));
    assert_eq!(world.branches(), ["main"]);
    assert_eq!(world.jira(&said("10")).await, 202);
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_on_github_acts_only_when_its_author_sent_it_unedited() {
    let world = World::start(Setup::default()).await;
    let mut labelled = recorded_for_us("issues.labeled");
    labelled["label"]["name"] = json!("prfactory");
    labelled["issue"]["title"] = json!("Raise the tax");
    labelled["issue"]["body"] = json!(TAX);
    assert_eq!(world.github("issues", &labelled).await, 202);
    let key = format!("Codertocat/Hello-World#{}", labelled["issue"]["number"]);
    let plan = world.to_plan(&key).await;
    let approve = format!("@prfactory approve {}", plan.plan().unwrap().hash.short());
    let said = |id: u64, text: &str| {
        let mut event = recorded_for_us("issue_comment.created.issue");
        event["issue"]["number"] = labelled["issue"]["number"].clone();
        event["comment"]["id"] = json!(id);
        event["comment"]["body"] = json!(text);
        event
    };
    let mut relayed = said(1, &approve);
    relayed["sender"]["id"] = json!(999);
    let mut edited = said(2, &approve);
    edited["comment"]["updated_at"] = json!("2030-01-01T00:00:00Z");
    let mut edit = said(3, &approve);
    edit["action"] = json!("edited");
    let mut bot = said(4, &approve);
    bot["sender"]["type"] = json!("Bot");
    bot["comment"]["user"]["type"] = json!("Bot");
    for event in
        [&relayed, &edited, &edit, &bot, &said(5, &format!("<!-- {approve} -->")), &said(6, &format!("> {approve}"))]
    {
        assert_eq!(world.github("issue_comment", event).await, 202);
    }
    assert_eq!(world.github("issue_comment", &said(7, "@prfactory budget")).await, 202);
    world.hears(&key, "This ticket has spent").await;
    assert_eq!(world.ticket(&key).await.unwrap().state.name(), "awaiting_plan_approval");
    assert_eq!(world.github("issue_comment", &said(8, &approve)).await, 202);
    world.reaches(&key, "in_review").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_instructions_do_not_reach_the_model_and_secrets_reach_nothing() {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-1", "Tax", &format!("{TAX}<!-- canary-hidden --> \u{202e}")).await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    let sent = serde_json::to_string(&world.model.requests()).unwrap();
    assert!(sent.contains("TAX = 0.2") && !sent.contains("canary") && !sent.contains('\u{202e}'));
    world.end().await;
}
