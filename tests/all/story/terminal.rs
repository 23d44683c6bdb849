//! The binary, as a person types it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use domain::name::BranchName;
use domain::path::RepoPath;
use serde_json::Value;
use stories::serve::binary;
use workspace::{Revision, create_repository};

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).env_remove("ANTHROPIC_API_KEY").output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn git(repository: &str, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("--git-dir").arg(repository).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_demo_ends_with_a_branch_that_holds_the_change() {
    let output = run(&["demo", "--yes", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = lines(&output);
    let forged = lines.iter().find(|line| line["signature"] == "forged").unwrap();
    assert_eq!((forged["status"].as_u64(), forged["tickets"].as_u64()), (Some(401), Some(0)));
    let last = lines.last().unwrap();
    for field in ["ticket", "state", "repository", "branch", "base", "head", "change_set", "pull_request"] {
        assert!(!last[field].is_null(), "{field} is missing in {last}");
    }
    let repository = last["repository"].as_str().unwrap();
    let (branch, head) = (last["branch"].as_str().unwrap(), last["head"].as_str().unwrap());
    assert_eq!(git(repository, &["rev-parse", branch]).trim(), head);
    git(repository, &["fsck", "--strict"]);
    assert!(git(repository, &["show", &format!("{branch}:greeter/__main__.py")]).contains("def greeting(name):"));
    let data = last["data"].as_str().unwrap();
    let shown = run(&["--data", data, "--json", "status", "KAN-22"]);
    assert_eq!(lines_of(&shown)[0]["state"], "in_review");
    let missing = run(&["--data", data, "status", "KAN-99"]);
    assert_eq!(missing.status.code(), Some(4));
    let refused = run(&["--data", data, "approve", "KAN-22"]);
    assert_eq!(refused.status.code(), Some(3));
    let used = lines_of(&run(&["--data", data, "--json", "usage", "KAN-22"]));
    let stages: Vec<&str> = used.iter().map(|row| row["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["analyze", "refine", "plan", "implement", "review"]);
    let month = String::from_utf8(run(&["--data", data, "usage"]).stdout).unwrap();
    assert!(month.contains("tokens in") && month.contains("scripted"), "{month}");
    let none = String::from_utf8(run(&["--data", data, "usage", "--month", "2001-01"]).stdout).unwrap();
    assert!(none.contains("$0.00"), "{none}");
    assert_eq!(run(&["--data", data, "usage", "--month", "May"]).status.code(), Some(1));
    let diff = run(&["--data", data, "pr", "KAN-22"]);
    assert!(String::from_utf8_lossy(&diff.stdout).contains("+def greeting(name):"));
    std::fs::remove_dir_all(data).unwrap();
}

fn lines_of(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(output)
}

fn own_repository(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
    let path = dir.join("own.git");
    let files = files.iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), (*text).to_owned())).collect();
    let history = [Revision { message: "Start".to_owned(), at: "2026-01-01T00:00:00Z".parse().unwrap(), files }];
    create_repository(&path, &BranchName::parse("trunk").unwrap(), &history).unwrap();
    path
}

#[test]
fn the_demo_works_on_somebodys_own_repository_and_writes_one_branch() {
    let rust: &[(&str, &str)] =
        &[("src/lib.rs", "pub fn limit() -> u32 {\n    10\n}\n"), ("README.md", "limit is 10\r\nsecond line")];
    let script: &[(&str, &str)] =
        &[("index.js", "export const limit = 10;\n"), ("docs/a.md", "<!-- keep -->\nlimit\n")];
    let rename = ("# Name it\n\nRename `limit` to `ceiling`.\n", "ceiling");
    let create = ("# Say what it is\n\nCreate `NOTES.md` with:\n```\nIt limits things.\n```\n", "It limits things.");
    for files in [rust, script] {
        for (ticket, expected) in [rename, create] {
            let dir = tempfile::tempdir().unwrap();
            let repository = own_repository(dir.path(), files);
            let file = dir.path().join("ticket.md");
            std::fs::write(&file, ticket).unwrap();
            let (repository, file) = (repository.to_str().unwrap(), file.to_str().unwrap());
            let output = run(&["demo", "--yes", "--json", "--repo", repository, "--ticket", file]);
            let last = lines_of(&output).pop().unwrap();
            let branch = last["branch"].as_str().unwrap();
            let diff = git(repository, &["diff", "trunk", branch]);
            assert!(diff.contains(expected), "{diff}");
            assert!(!diff.lines().any(|line| line.starts_with('+') && line.contains("limit()")), "{diff}");
            let branches = git(repository, &["for-each-ref", "--format=%(refname:short)"]);
            assert_eq!(branches.lines().collect::<Vec<_>>(), [branch, "trunk"]);
            std::fs::remove_dir_all(last["data"].as_str().unwrap()).unwrap();
        }
    }
}

/// Runs a command against a folder until it prints an object with one of these states.
fn until(data: &str, key: &str, states: &[&str]) -> Value {
    for _ in 0..500 {
        let output = run(&["--data", data, "--json", "status", key, "--watch"]);
        let last = lines_of(&output).pop().unwrap();
        if states.contains(&last["state"].as_str().unwrap()) {
            return last;
        }
        assert_ne!(last["state"], "failed", "{last}");
    }
    panic!("{key} never came to {states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_and_the_command_line_share_a_folder() {
    let model = testkit::model::ScriptedModel::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let repository = own_repository(dir.path(), &[("a.txt", "one\n")]);
    let ticket = dir.path().join("ticket.md");
    std::fs::write(&ticket, "# Count on\n\nReplace `one` with `two` in `a.txt`.\n").unwrap();
    let data = dir.path().join("data");
    let (data, repository) = (data.to_str().unwrap(), repository.to_str().unwrap());
    let init = run(&["--data", data, "init", "--repo", "me/own", "--location", repository, "--base", "trunk"]);
    assert!(init.status.success());
    let mut serve = Command::new(binary())
        .args(["--data", data, "serve", "--listen", "127.0.0.1:0", "--model-url", &model.url(), "--model", "scripted"])
        .env("ANTHROPIC_API_KEY", "canary-model-key")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let create =
        run(&["--data", data, "--json", "ticket", "create", "--key", "T-1", "--file", ticket.to_str().unwrap()]);
    assert_eq!(lines_of(&create)[0]["outcome"], "started");
    until(data, "T-1", &["awaiting_refinement_approval"]);
    assert!(run(&["--data", data, "approve", "T-1"]).status.success());
    let waiting = until(data, "T-1", &["awaiting_plan_approval"]);
    let hash: String = waiting["awaiting"].as_str().unwrap().chars().take(12).collect();
    assert!(run(&["--data", data, "approve", "T-1", &hash, "--note", "go on"]).status.success());
    let done = until(data, "T-1", &["in_review"]);
    let branch = done["branch"].as_str().unwrap();
    assert_eq!(git(repository, &["show", &format!("{branch}:a.txt")]), "two\n");
    let listed = run(&["--data", data, "ticket", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("in_review"));
    let stop = Command::new("kill").args(["-TERM", &serve.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert!(serve.wait().unwrap().success(), "serve stops cleanly when told to");
    let output = serve.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("canary") && !log.contains("ERROR"), "{log}");
    assert_eq!(model.unexpected(), Vec::<String>::new());
}

#[test]
fn mistakes_get_a_sentence_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("none");
    let data = data.to_str().unwrap();
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["--data", data, "status", "K-1"]).contains("prfactory init"));
    assert!(said(&["--data", data, "serve"]).contains("prfactory init"));
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
    let init = run(&["--data", data, "init", "--repo", "acme/widgets", "--location", "/nowhere"]);
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    assert!(said(&["--data", data, "serve"]).contains("ANTHROPIC_API_KEY"));
    let webhooks = lines_of(&run(&["--data", data, "--json", "webhooks"]));
    assert_eq!(webhooks[0]["path"], "/webhooks/github");
    assert!(webhooks[1]["path"].as_str().unwrap().starts_with("/webhooks/jira/ep_"));
    assert!(webhooks.iter().all(|line| line["secret"].as_str().unwrap().len() == 64));
    let doctor = run(&["--data", data, "doctor"]);
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text.contains("BAD  repository acme/widgets") && text.contains("ANTHROPIC_API_KEY is not set"), "{text}");
    assert!(
        said(&["--data", data, "ticket", "create", "--key", "K 1", "--file", "/nowhere"])
            .contains("/nowhere cannot be read")
    );
}

#[test]
fn a_repository_is_searched_for_a_ticket_without_a_model_and_with_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let long: String =
        (0..80).map(|n| format!("\n\npub fn other_{n}() -> u32 {{\n    {n}\n}}\n")).collect::<Vec<_>>().concat();
    let limit = format!("pub fn limit_of(cart: u32) -> u32 {{\n    cart.min(10)\n}}\n{long}");
    let files = [
        ("src/limit.rs", limit.as_str()),
        ("src/cart.rs", "pub struct Cart;\n"),
        ("tests/limit_test.rs", "limit_of(1)\n"),
    ];
    let repository = own_repository(dir.path(), &files);
    let ticket = dir.path().join("ticket.md");
    std::fs::write(&ticket, "# The limit is too low\n\n`limit_of` stops at ten.\n").unwrap();
    let arguments = ["context", "--repo", repository.to_str().unwrap(), "--ticket", ticket.to_str().unwrap()];
    let found = lines_of(&run(&[&arguments[..], &["--json"]].concat()));
    assert_eq!(found[0]["path"], "src/limit.rs");
    assert_eq!(found[0]["regions"][0]["symbol"], "limit_of");
    assert_eq!((&found[0]["regions"][0]["start"], &found[0]["regions"][0]["end"]), (&1.into(), &3.into()));
    assert_eq!(found[0]["symbols"][0]["signature"], "pub fn limit_of(cart: u32) -> u32");
    assert!(found[0]["parts"]["mentions"].as_f64().unwrap() > 0.0);
    assert!(found.iter().any(|file| file["path"] == "tests/limit_test.rs" && file["kind"] == "test"));
    let shown = String::from_utf8(run(&arguments).stdout).unwrap();
    assert!(shown.contains("  1. src/limit.rs") && shown.contains("lines 1-3 limit_of: limit"), "{shown}");
    let packed = String::from_utf8(run(&[&arguments[..], &["--packed", "--tokens", "2000"]].concat()).stdout).unwrap();
    assert!(packed.len() <= 6_000 && packed.contains("## Lines 1 to 3 of src/limit.rs"), "{packed}");
    let nowhere = run(&["context", "--repo", dir.path().to_str().unwrap(), "--ticket", ticket.to_str().unwrap()]);
    assert_eq!(nowhere.status.code(), Some(1));
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(said.contains("cannot be searched"), "{said}");
}
