//! Each setting that the engine reads changes what happens.

use domain::input::{Happening, Input};
use domain::principal::Principal;
use domain::ticket::Ticket;
use engine::commit::{Hold, apply};
use intake::Answer;
use stories::world::{Setup, World};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

async fn with(policy: &str) -> World {
    World::start(Setup { policy: policy.to_owned(), ..Setup::default() }).await
}

fn states(ticket: &Ticket) -> &'static str {
    ticket.state.name()
}

#[tokio::test(flavor = "multi_thread")]
async fn skip_refinement_approval_goes_straight_on_to_planning() {
    let world = with("skip_refinement_approval = true").await;
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    let ticket = world.reaches("SHOP-1", "awaiting_plan_approval").await;
    assert!(ticket.refinement.is_some());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skip_plan_approval_is_recorded_as_policy() {
    let world = with("skip_refinement_approval = true\nskip_plan_approval = true").await;
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.reaches("SHOP-1", "in_review").await;
    let client = world.client("ada");
    let plan = world.ticket("SHOP-1").await.unwrap().approved_plan.unwrap();
    let ticket = world.ticket("SHOP-1").await.unwrap();
    let partition = engine::key::TicketPartition::of(&ticket.id);
    let key = engine::key::Key::ticket(client.ctx(), &partition, format!("DECISION#{plan}#policy"));
    let record = world.system.engine.table.get(&key).await.unwrap().unwrap();
    assert_eq!(record.body["name"], "policy: skip_plan_approval");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn implement_on_approval_off_makes_the_plan_the_product() {
    let world = with("implement_on_approval = false").await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "plan_approved").await;
    world.say("wil", "SHOP-1", "implement").await;
    world.reaches("SHOP-1", "in_review").await;
    world.planned("SHOP-2", "Tax", TAX).await;
    world.approve("ada", "SHOP-2").await;
    world.reaches("SHOP-2", "plan_approved").await;
    world.say("wil", "SHOP-2", "close").await;
    assert_eq!(states(&world.ticket("SHOP-2").await.unwrap()), "closed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn required_approvals_counts_distinct_members_but_not_the_requester() {
    let world = with("required_approvals = 2\nseparate_requester = true").await;
    world.planned("SHOP-1", "Tax", TAX).await;
    let hash = world.ticket("SHOP-1").await.unwrap().plan().unwrap().hash.clone();
    let own = world.approve("ada", "SHOP-1").await;
    assert!(matches!(own, Answer::Told { refused: true, .. }), "the requester does not count: {own:?}");
    world.approve("apo", "SHOP-1").await;
    let twice = world.approve("apo", "SHOP-1").await;
    assert!(matches!(twice, Answer::Told { refused: true, .. }), "one member counts once: {twice:?}");
    let ticket = world.ticket("SHOP-1").await.unwrap();
    assert_eq!((states(&ticket), ticket.decisions.len()), ("awaiting_plan_approval", 1));
    assert_eq!(ticket.decisions[0].artifact, hash);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn max_questions_is_told_to_the_model_and_held() {
    let world = with("max_questions = 1").await;
    let question =
        |n: u32| serde_json::json!({ "category": "scope", "text": format!("q{n}?"), "default": "d", "options": [] });
    let asks = |count: u32| {
        let questions: Vec<_> = (0..count).map(question).collect();
        let input = serde_json::json!({ "understanding": "u", "relevant_files": [], "questions": questions });
        serde_json::json!([{ "type": "tool_use", "id": format!("toolu_x{count}"), "name": "finish", "input": input }])
    };
    world.model.answer_next(asks(2));
    world.model.answer_next(asks(1));
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.reaches("SHOP-1", "awaiting_answers").await;
    let second = world.model.requests().remove(1);
    let correction = second["messages"][2]["content"][0].clone();
    assert_eq!(correction["is_error"], true);
    assert_eq!(correction["content"], "2 questions; at most 1 are allowed.");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn max_plan_revisions_ends_the_going_back_and_forth() {
    let world = with("max_plan_revisions = 1").await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.say("ada", "SHOP-1", "replan once more").await;
    world.reaches("SHOP-1", "awaiting_plan_approval").await;
    let Answer::Told { text, refused: true } = world.say("ada", "SHOP-1", "replan again").await else {
        panic!("a second revision was allowed")
    };
    assert!(text.contains("revised 1 times"), "{text}");
    world.end().await;
}

fn critical() -> serde_json::Value {
    let findings = serde_json::json!([{ "severity": "critical", "path": "src/price.py", "text": "Wrong." }]);
    let input = serde_json::json!({ "summary": "No.", "findings": findings });
    serde_json::json!([{ "type": "tool_use", "id": "toolu_critical", "name": "finish", "input": input }])
}

#[tokio::test(flavor = "multi_thread")]
async fn max_review_rounds_hands_over_to_a_person_and_not_before() {
    for (rounds, state) in [(1, "awaiting_diff_approval"), (2, "in_review")] {
        let world = with(&format!("max_review_rounds = {rounds}\nimplement_on_approval = false")).await;
        world.planned("SHOP-1", "Tax", TAX).await;
        world.approve("ada", "SHOP-1").await;
        world.reaches("SHOP-1", "plan_approved").await;
        let call = |name: &str, input: serde_json::Value| serde_json::json!([{ "type": "tool_use", "id": format!("toolu_{name}"), "name": name, "input": input }]);
        let edit = serde_json::json!({ "path": "src/price.py", "old": "TAX = 0.2", "new": "TAX = 0.25" });
        world.model.answer_next(call("edit", edit));
        world.model.answer_next(call("finish", serde_json::json!({ "summary": "done" })));
        world.model.answer_next(critical());
        world.say("ada", "SHOP-1", "implement").await;
        let ticket = world.reaches("SHOP-1", state).await;
        assert_eq!(ticket.review_rounds, rounds);
        if let domain::state::State::AwaitingDiffApproval { reasons } = &ticket.state {
            assert_eq!(reasons, &[domain::gate::GateReason::UnresolvedFindings { count: 1 }]);
        }
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_a_ticket_pauses_before_the_call_and_goes_on_from_there() {
    let world = with("budget_usd = \"0.01\"").await;
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    let paused = world.reaches("SHOP-1", "paused").await;
    assert_eq!(paused.budget.spent.micros(), 0);
    assert_eq!(world.model.calls(), 0, "no call is made that the budget does not cover");
    assert!(matches!(world.say("wil", "SHOP-1", "resume").await, Answer::Told { refused: true, .. }));
    world.say("apo", "SHOP-1", "budget +5").await;
    world.to_plan("SHOP-1").await;
    let bodies: Vec<String> = world.model.requests().iter().map(ToString::to_string).collect();
    let distinct: std::collections::BTreeSet<&String> = bodies.iter().collect();
    assert_eq!(bodies.len(), distinct.len(), "no request is paid for twice");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_a_month_pauses_every_ticket() {
    let world = with("monthly_budget_usd = \"0.10\"").await;
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    let paused = world.reaches("SHOP-1", "paused").await;
    assert!(format!("{:?}", paused.state).contains("MonthlyBudget"));
    assert_eq!(world.model.calls(), 0, "no call is made that the budget does not cover");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draft_pull_requests_can_be_switched_off() {
    for (policy, draft) in [("", true), ("draft_pull_requests = false", false)] {
        let world = with(policy).await;
        world.planned("SHOP-1", "Tax", TAX).await;
        world.approve("ada", "SHOP-1").await;
        let ticket = world.reaches("SHOP-1", "in_review").await;
        let client = world.client("ada");
        let found =
            engine::port::Forge::find(world.system.forge.as_ref(), client.ctx(), ticket.target().unwrap()).await;
        assert_eq!(found.unwrap().unwrap().text.draft, draft);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_repositories_keep_others_out() {
    let world = with("allowed_repositories = [\"acme/other\"]").await;
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.hears("SHOP-1", "is not among the repositories this tenant allows").await;
    assert!(world.ticket("SHOP-1").await.is_none());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_pause_and_never_approve() {
    for (policy, state, days) in [
        ("approval_deadline_days = 2", "awaiting_refinement_approval", 2),
        ("answer_deadline_days = 3", "awaiting_answers", 3),
    ] {
        let world = with(policy).await;
        let body = if state == "awaiting_answers" { "Replace `total` with `gross`." } else { TAX };
        world.jira(&world.labelled("SHOP-1", "Tax", body)).await;
        world.reaches("SHOP-1", state).await;
        world.clock.forward(days * 86_400 - 60);
        sweep::handle(&world.system.engine).await.unwrap();
        assert_eq!(states(&world.ticket("SHOP-1").await.unwrap()), state);
        world.clock.forward(120);
        sweep::handle(&world.system.engine).await.unwrap();
        assert_eq!(states(&world.ticket("SHOP-1").await.unwrap()), "paused");
        world.say("wil", "SHOP-1", "resume").await;
        assert_eq!(states(&world.ticket("SHOP-1").await.unwrap()), state);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_chosen_by_role() {
    let world = with("models = { analysis = \"scripted-a\", plan = \"scripted-p\", implement = \"scripted-i\", review = \"scripted-r\" }").await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    let models: std::collections::BTreeSet<String> =
        world.model.requests().iter().map(|r| r["model"].as_str().unwrap().to_owned()).collect();
    assert_eq!(models.into_iter().collect::<Vec<_>>(), ["scripted-a", "scripted-i", "scripted-p", "scripted-r"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensitive_paths_add_to_the_built_in_ones() {
    let world = with("sensitive_paths = [\"src/price.py\"]").await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("apo", "SHOP-1").await;
    world.reaches("SHOP-1", "awaiting_diff_approval").await;
    let refused = world.approve("apo", "SHOP-1").await;
    assert!(matches!(refused, Answer::Told { refused: true, .. }), "only an admin may: {refused:?}");
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_repaired_only_where_that_is_switched_on_and_not_for_ever() {
    for (policy, repaired) in [("", false), ("autofix_checks = true\nautofix_attempts = 1", true)] {
        let world = with(policy).await;
        world.planned("SHOP-1", "Tax", TAX).await;
        world.approve("ada", "SHOP-1").await;
        let ticket = world.reaches("SHOP-1", "in_review").await;
        let batch = domain::hash::ContentHash::of(b"batch");
        let failed = || Input {
            by: Principal::System,
            what: Happening::News(domain::input::News::ChecksFailed { batch: batch.clone() }),
        };
        let policy = engine::directory::policy_of(&world.system.engine, world.client("ada").ctx(), None).await.unwrap();
        let first = domain::decide(&ticket, &failed(), &policy, ticket.updated_at);
        assert_eq!(first.is_ok(), repaired);
        if let Ok(decision) = first {
            let mut again = decision.next;
            again.state = domain::state::State::InReview;
            assert!(
                domain::decide(&again, &failed(), &policy, ticket.updated_at).is_err(),
                "one attempt is one attempt"
            );
        } else {
            let client = world.client("ada");
            apply(&world.system.engine, client.ctx(), &ticket.id, &failed(), Hold::None, &[]).await.unwrap();
            assert_eq!(states(&world.ticket("SHOP-1").await.unwrap()), "in_review");
        }
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_may_tighten_and_never_loosen() {
    let files = vec![
        ("src/price.py", "TAX = 0.2\n".to_owned()),
        (
            ".prfactory.toml",
            "required_approvals = 2\nskip_refinement_approval = true\nbudget_usd = \"1000\"\n".to_owned(),
        ),
    ];
    let world = World::start(Setup { files, ..Setup::default() }).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("ada", "SHOP-1").await;
    assert_eq!(states(&world.ticket("SHOP-1").await.unwrap()), "awaiting_plan_approval");
    let Answer::Told { text, .. } = world.say("rea", "SHOP-1", "config").await else { panic!("no settings shown") };
    assert!(text.contains("| `required_approvals` | 2 | `.prfactory.toml` |"), "{text}");
    assert!(text.contains("| `budget_usd` | $5.00 | default |"), "{text}");
    world.approve("apo", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_budget_of_a_repository_counts_and_can_be_raised() {
    let files =
        vec![("src/price.py", "TAX = 0.2\n".to_owned()), (".prfactory.toml", "budget_usd = \"0.01\"\n".to_owned())];
    let world = World::start(Setup { files, ..Setup::default() }).await;
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    let paused = world.reaches("SHOP-1", "paused").await;
    assert_eq!(paused.budget.limit.to_string(), "$0.01");
    world.say("apo", "SHOP-1", "budget +4").await;
    world.to_plan("SHOP-1").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_settings_file_of_a_repository_is_said() {
    let files = vec![("a.txt", "a\n".to_owned()), (".prfactory.toml", "required_approvals = 99\n".to_owned())];
    let world = World::start(Setup { files, ..Setup::default() }).await;
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.reaches("SHOP-1", "failed").await;
    world.hears("SHOP-1", "`required_approvals` is 99; it must be 1 to 10").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_prompt_is_used_and_the_rules_stay() {
    let own = "Task: judge the change by the house rules.\\n\\n{{ticket}}\\n\\n{{plan}}\\n\\n{{diff}}";
    let world = with(&format!("prompts = {{ review = \"{own}\" }}")).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    let judged =
        world.model.requests().into_iter().rev().find(|request| request.to_string().contains("house rules")).unwrap();
    let first = judged["messages"][0]["content"][0]["text"].as_str().unwrap();
    assert!(first.starts_with("Task: judge the change by the house rules.\n\n## The ticket\n<untrusted"), "{first}");
    assert!(judged["system"][0]["text"].as_str().unwrap().contains("Rules that always hold"));
    world.end().await;
}
