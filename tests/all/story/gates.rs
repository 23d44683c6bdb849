//! What is stopped before it is published.

use domain::gate::GateReason;
use domain::state::State;
use intake::Answer;
use serde_json::{Value, json};
use stories::world::{Setup, World};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

fn call(name: &str, input: &Value) -> Value {
    json!({ "type": "tool_use", "id": format!("toolu_{name}"), "name": name, "input": input })
}

/// Runs a ticket whose model, while implementing, makes these calls and hands in.
async fn with_calls(calls: &[Value]) -> (World, Vec<GateReason>) {
    let world = World::start(Setup { policy: "implement_on_approval = false".to_owned(), ..Setup::default() }).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "plan_approved").await;
    world.model.answer_next(Value::Array(calls.to_vec()));
    world.model.answer_next(json!([call("finish", &json!({ "summary": "done" }))]));
    world.say("ada", "SHOP-1", "implement").await;
    let ticket = world.reaches("SHOP-1", "awaiting_diff_approval").await;
    let State::AwaitingDiffApproval { reasons } = ticket.state else { panic!("no gate was hit") };
    assert_eq!(world.branches(), ["main"], "nothing is pushed before somebody looked");
    (world, reasons)
}

fn names(reasons: &[GateReason]) -> Vec<String> {
    reasons.iter().map(|r| serde_json::to_value(r).unwrap()["gate"].as_str().unwrap().to_owned()).collect()
}

fn tax_edit() -> Value {
    call("edit", &json!({ "path": "src/price.py", "old": "TAX = 0.2", "new": "TAX = 0.25" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_the_plan_does_not_name_waits_for_an_approver() {
    let create = call("create", &json!({ "path": "src/extra.py", "content": "x = 1\n" }));
    let (world, reasons) = with_calls(&[tax_edit(), create]).await;
    assert_eq!(names(&reasons), ["out_of_scope"]);
    let shown = world.hears("SHOP-1", "This diff needs a look").await;
    assert!(shown.contains("`src/extra.py`") && shown.contains("+x = 1"), "{shown}");
    world.approve("apo", "SHOP-1").await;
    let ticket = world.reaches("SHOP-1", "in_review").await;
    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(world.run_git(&["show", &format!("{branch}:src/extra.py")]), "x = 1");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensitive_files_hidden_characters_and_credentials_wait_for_an_admin() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let calls = [
        call("edit", &json!({ "path": ".github/workflows/ci.yml", "old": "jobs: {}", "new": "jobs: { x: {} }" })),
        call("create", &json!({ "path": "src/a.py", "content": "x = '\u{202e}'\n" })),
        call("create_second", &json!({})),
        call("delete", &json!({ "path": "README.md" })),
    ];
    let (world, reasons) = with_calls(&calls).await;
    assert_eq!(names(&reasons), ["out_of_scope", "sensitive", "hidden_characters"]);
    assert!(matches!(world.approve("apo", "SHOP-1").await, Answer::Told { refused: true, .. }));
    world.end().await;
    let key =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\nfn visible() {{}}\n", "MIIE".repeat(16));
    let leak = call("create", &json!({ "path": "src/price2.py", "content": key }));
    let (world, reasons) = with_calls(&[leak]).await;
    assert_eq!(names(&reasons), ["out_of_scope", "secret"]);
    let shown = world.hears("SHOP-1", "This diff needs a look").await;
    assert!(!shown.contains("MIIE") && shown.contains("+fn visible() {}"), "{shown}");
    world.end().await;
    let leak = call("edit", &json!({ "path": "src/price.py", "old": "TAX = 0.2", "new": format!("KEY = '{token}'") }));
    let (world, reasons) = with_calls(&[leak]).await;
    assert_eq!(names(&reasons), ["secret"]);
    let shown = world.hears("SHOP-1", "This diff needs a look").await;
    assert!(shown.contains("+KEY = '[redacted]'") && !shown.contains(&token), "{shown}");
    let mend = json!({ "path": "src/price.py", "old": format!("KEY = '{token}'"), "new": "TAX = 0.25" });
    world.model.answer_next(json!([{ "type": "tool_use", "id": "toolu_mend", "name": "edit", "input": mend }]));
    world.say("ada", "SHOP-1", "reject no keys in code").await;
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_model_finds_no_way_out_of_the_overlay() {
    let outside = world_outside();
    let calls: Vec<Value> = [
        "../../../etc/passwd", "/etc/passwd", "/proc/self/environ", ".git/config", ".GIT/hooks/pre-commit", "git~1/x",
        "a/../../b", "C:\\x", ".git\u{200c}/config",
    ]
    .iter()
    .enumerate()
    .flat_map(|(at, path)| {
        let named = |tool: &str, input: Value| json!({ "type": "tool_use", "id": format!("toolu_{tool}{at}"), "name": tool, "input": input });
        [
            named("read", json!({ "path": path })),
            named("create", json!({ "path": path, "content": "owned" })),
            named("delete", json!({ "path": path })),
            named("move", json!({ "from": "README.md", "to": path })),
            named("shell", json!({ "command": "id" })),
        ]
    })
    .chain([call("create", &json!({ "path": "readme.MD", "content": "collides" })), tax_edit()])
    .chain([call("create_x", &json!({ "path": "src/x.py" }))])
    .collect();
    let mut calls = calls;
    calls.push(json!({ "type": "tool_use", "id": "toolu_last", "name": "create", "input": { "path": "src/y.py", "content": "y\n" } }));
    let (world, reasons) = with_calls(&calls).await;
    assert_eq!(reasons, [GateReason::OutOfScope { paths: vec![domain::path::RepoPath::parse("src/y.py").unwrap()] }]);
    let last = world.model.requests().into_iter().filter(|r| r.to_string().contains("toolu_last")).count();
    assert!(last > 0);
    assert_eq!(world_outside(), outside, "nothing outside was touched");
    assert_eq!(names_in(world.dir.path()), ["data", "repositories", "token"]);
    let data = names_in(&world.dir.path().join("data"));
    let ours = [
        "blobs",
        "prfactory.toml",
        "scratch",
        "secrets.toml",
        "state.db",
        "state.db-shm",
        "state.db-wal",
        "workers.lock",
    ];
    assert!(data.iter().all(|name| ours.contains(&name.as_str())), "{data:?}");
    assert_eq!(names_in(&world.dir.path().join("data/scratch")), ["w"]);
    world.end().await;
}

fn names_in(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn world_outside() -> Vec<u8> {
    std::fs::read("/etc/passwd").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_the_right_to_approve_has_not_approved() {
    let world = World::start(Setup { policy: "implement_on_approval = false".to_owned(), ..Setup::default() }).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("apo", "SHOP-1").await;
    world.reaches("SHOP-1", "plan_approved").await;
    let client = world.client("ada");
    let id = domain::id::MemberId::parse("mem_apo").unwrap();
    let row = engine::directory::MemberRow::new(id, "apo".to_owned(), domain::principal::Role::Writer);
    engine::directory::store_member(&world.system.engine, client.ctx(), &row, &[]).await.unwrap();
    world.say("ada", "SHOP-1", "implement").await;
    let ticket = world.reaches("SHOP-1", "awaiting_diff_approval").await;
    assert_eq!(world.branches(), ["main"], "nothing is pushed on a word that counts no more");
    let State::AwaitingDiffApproval { reasons } = ticket.state else { panic!("no gate was hit") };
    assert_eq!(names(&reasons), ["approval_lapsed"]);
    let shown = world.hears("SHOP-1", "This diff needs a look").await;
    assert!(shown.contains("was approved by apo, who may no longer approve"), "{shown}");
    assert!(matches!(world.approve("apo", "SHOP-1").await, Answer::Told { refused: true, .. }));
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}
