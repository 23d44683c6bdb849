//! What keeps a machine from working is found and explained before anybody waits for it.

use std::path::Path;
use std::process::Command;

use domain::name::BranchName;
use domain::path::RepoPath;
use serde_json::Value;
use stories::disk::{Disk, may_mount};
use stories::serve::binary;
use stories::world::{MODEL_KEY, Setup, World};
use testkit::model::{Reply, ScriptedModel, streamed};
use workspace::{Revision, create_repository};

/// A folder in which everything is as it should be.
fn sound(dir: &Path) -> String {
    let files = vec![(RepoPath::parse("README.md").unwrap(), "# shop\n".to_owned())];
    let history = [Revision { message: "Start".to_owned(), at: "2026-01-01T00:00:00Z".parse().unwrap(), files }];
    create_repository(&dir.join("shop.git"), &BranchName::parse("main").unwrap(), &history).unwrap();
    format!(
        "[[tenant]]\nid = \"ten_acme\"\ninstallations = [7]\n\n[tenant.policy]\n\n[[tenant.member]]\nid = \"mem_ada\"\nname = \"ada\"\nrole = \"admin\"\n\n\
         [[tenant.repository]]\nname = \"octo/shop\"\nlocation = \"{}\"\nbase = \"main\"\nprojects = [\"SHOP\"]\n\n\
         [[tenant.endpoint]]\nid = \"ep_0123456789abcdef0123456789\"\ngeneration = 1\n",
        dir.join("shop.git").display()
    )
}

/// Runs the doctor and returns the problems it found, each with what it looked at.
fn doctor(data: &Path, model: &str, key: &str) -> (i32, Vec<(String, String)>) {
    let output = Command::new(binary())
        .args(["--json", "--data", data.to_str().unwrap(), "doctor"])
        .env("ANTHROPIC_BASE_URL", model)
        .env("ANTHROPIC_API_KEY", key)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let problem = |line: &Value| Some((line["check"].as_str()?.to_owned(), line["problem"].as_str()?.to_owned()));
    (output.status.code().unwrap(), lines.iter().filter_map(problem).collect())
}

type Change = fn(&str) -> String;

/// What is changed, how, where that is found, and what is said of it.
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> [(&'static str, Change, &'static str, &'static str); 13] {
    [
        ("nothing", str::to_owned, "", ""),
        ("a word of no meaning", |t| t.replace("base = ", "bsae = "), "settings", "unknown field `bsae`"),
        (
            "a policy out of range",
            |t| t.replace("[tenant.policy]", "[tenant.policy]\nmax_questions = 70"),
            "policy",
            "`max_questions` is 70; it must be 1 to 10",
        ),
        (
            "an endpoint one can guess",
            |t| t.replace("ep_0123456789abcdef0123456789", "ep_1"),
            "policy",
            "too short to be secret",
        ),
        (
            "a token in an address",
            |t| t.replace("location = \"/", "location = \"https://x:secret@host/"),
            "policy",
            "use `token_file`",
        ),
        (
            "a prompt that lost its facts",
            |t| t.replace("[tenant.policy]", "[tenant.policy]\nprompts = { review = \"{{ticket}} {{diff}} {{secrets}}\" }"),
            "policy",
            "has no place `{{secrets}}`; it has ticket, plan, diff, answers; the prompt `review` lacks the place `{{plan}}`",
        ),
        (
            "one installation, two tenants",
            |t| format!("{t}\n{}", t.replace("ten_acme", "ten_next").replace("ep_0123456789", "ep_9876543210")),
            "policy",
            "installation 7 is there twice",
        ),
        (
            "nobody who may approve",
            |t| t.replace("role = \"admin\"", "role = \"writer\""),
            "people",
            "give more members the role `approver`",
        ),
        (
            "too few who may approve",
            |t| t.replace("[tenant.policy]", "[tenant.policy]\nrequired_approvals = 2"),
            "people",
            "2 approval(s) are needed and 1 member(s) may approve",
        ),
        (
            "one project, two repositories",
            |t| {
                format!(
                    "{t}\n{}",
                    &t[t.find("[[tenant.repository]]").unwrap()..t.find("[[tenant.endpoint]]").unwrap()]
                        .replace("octo/shop", "octo/more")
                )
            },
            "projects",
            "tickets of SHOP could go to octo/shop and octo/more",
        ),
        (
            "a branch that is not there",
            |t| t.replace("\"main\"", "\"trunk\""),
            "repository",
            "there is no branch `trunk`",
        ),
        ("a repository that is not there", |t| t.replace("shop.git", "gone.git"), "repository", "look at `location`"),
        (
            "a token file that is not there",
            |t| t.replace("projects =", "token_file = \"/nowhere/token\"\nprojects ="),
            "directory",
            "/nowhere/token cannot be read",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_misconfiguration_is_found_alone_and_explained() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    for (what, change, place, says) in cases() {
        let dir = tempfile::tempdir().unwrap();
        let text = change(&sound(dir.path()));
        std::fs::write(dir.path().join("prfactory.toml"), text).unwrap();
        let (code, problems) = doctor(dir.path(), &url, MODEL_KEY);
        if says.is_empty() {
            assert_eq!((code, problems), (0, Vec::new()), "{what}");
            continue;
        }
        assert_eq!(code, 1, "{what}");
        let [(at, problem)] = problems.as_slice() else { panic!("{what}: {problems:#?}") };
        assert!(at.starts_with(place) && problem.contains(says), "{what}: {at}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_around_the_settings_is_found_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let dir = tempfile::tempdir().unwrap();
    let one = |url: &str, key: &str, place: &str, says: &str| {
        let (code, problems) = doctor(dir.path(), url, key);
        assert_eq!(code, 1, "{says}");
        let [(at, problem)] = problems.as_slice() else { panic!("{says}: {problems:#?}") };
        assert!(at.starts_with(place) && problem.contains(says), "{at}: {problem}");
    };
    one(&url, MODEL_KEY, "settings", "`prfactory init` writes a first one");
    std::fs::write(dir.path().join("prfactory.toml"), sound(dir.path())).unwrap();
    one(&url, "", "model", "ANTHROPIC_API_KEY is not set");
    one("http://127.0.0.1:9", MODEL_KEY, "model", "the model provider cannot be reached. Look at");
    model.fail_next(401, "no");
    one(&url, MODEL_KEY, "model", "does not accept the key");
    let secrets = dir.path().join("secrets.toml");
    std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o644)).unwrap();
    one(&url, MODEL_KEY, "state and secrets", "chmod 600");
    std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(dir.path().join("state.db"), "this is no database, whatever its name says").unwrap();
    for name in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    one(&url, MODEL_KEY, "state and secrets", "not a database");
    if may_mount() {
        let small = tempfile::tempdir().unwrap();
        let disk = Disk::on(small.path(), 4);
        std::fs::write(small.path().join("prfactory.toml"), sound(dir.path().join("other").as_path())).unwrap();
        disk.read_only(true);
        let (code, problems) = doctor(small.path(), &url, MODEL_KEY);
        assert!(code == 1 && problems[0].1.contains("cannot be written: Read-only file system"), "{problems:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_server_that_refuses_and_a_clock_that_is_wrong_are_found() {
    let world = World::start(Setup { http: true, ..Setup::default() }).await;
    world.clock.forward(7_200);
    world.planned("SHOP-1", "Tax", "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.").await;
    std::fs::write(world.dir.path().join("token"), "another-token").unwrap();
    let (code, problems) = doctor(&world.dir.path().join("data"), &world.model.url(), MODEL_KEY);
    assert_eq!(code, 1);
    let find = |place: &str| problems.iter().find(|(at, _)| at.starts_with(place)).map(|(_, problem)| problem.as_str());
    let repository = find("repository").unwrap_or_default();
    assert!(
        repository.contains("does not accept the credentials") && repository.contains("`token_file`"),
        "{problems:?}"
    );
    assert!(find("clock").unwrap_or_default().contains("set the machine's clock"), "{problems:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_small_call_is_made_on_request_and_said_where_it_cannot_be() {
    let model = ScriptedModel::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prfactory.toml"), sound(dir.path())).unwrap();
    let run = |key: &str, arguments: &[&str]| {
        let output = Command::new(binary())
            .args(["--data", dir.path().to_str().unwrap(), "doctor"])
            .args(arguments)
            .env("ANTHROPIC_BASE_URL", model.url())
            .env("ANTHROPIC_API_KEY", key)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let message = serde_json::json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5-20260901",
        "content": [{ "type": "text", "text": "ok" }], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": 24, "output_tokens": 4 } });
    model.reply_next(Reply { status: 200, headers: Vec::new(), body: streamed(&message) });
    let (code, said) = run(MODEL_KEY, &["--model", "claude-haiku-5-5"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ok   a call of claude-haiku-5-5-20260901: 24 tokens in, 4 out, $0.0000"), "{said}");
    assert_eq!(model.requests()[0]["model"], "claude-haiku-5-5");
    assert!(!run(MODEL_KEY, &[]).1.contains("a call of"), "nobody asked for a call");
    let (code, said) = run("", &["--model"]);
    assert_eq!(code, 1);
    assert!(said.contains("ANTHROPIC_API_KEY is not set; no call was made"), "{said}");
    assert_eq!(model.requests().len(), 1);
}
