//! Checks of commits.

use serde_json::{Value, json};

use super::answer::page;
use super::serve::{Ask, Reply, missing};
use super::state::Check;
use super::wire;

/// Carries out an operation on checks.
pub(super) fn answer(ask: &Ask<'_>, name: &str) -> Reply {
    let mut state = ask.inner.state();
    let fresh = state.id();
    let Some(repo) = state.repo_mut(&ask.repo()) else { return missing() };
    let part = |at: &str| ask.body.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let change = |check: &mut Check| {
        check.done = part("/status") == "completed";
        check.conclusion = check.done.then(|| part("/conclusion"));
        (check.title, check.summary) = (part("/output/title"), part("/output/summary"));
    };
    match name {
        "create" => {
            let (name, head) = (part("/name"), part("/head_sha"));
            let external = Some(part("/external_id")).filter(|id| !id.is_empty());
            let mut check = Check {
                id: fresh,
                name,
                head,
                app: super::APP,
                external,
                done: false,
                conclusion: None,
                title: String::new(),
                summary: String::new(),
            };
            change(&mut check);
            repo.checks.push(check.clone());
            (201, wire::check(&check))
        }
        "update" => {
            let id = ask.number("check_run_id");
            let Some(check) = repo.checks.iter_mut().find(|check| check.id == id && check.app == super::APP) else {
                return missing();
            };
            change(check);
            (200, wire::check(check))
        }
        _ => {
            let app = ask.query("app_id").and_then(|id| id.parse::<u64>().ok());
            let named = ask.query("check_name");
            let ours = repo.checks.iter().filter(|check| {
                check.head == ask.place("ref")
                    && app.is_none_or(|app| check.app == app)
                    && named.is_none_or(|n| check.name == n)
            });
            let list: Vec<Value> = ours.map(wire::check).collect();
            (200, json!({ "total_count": list.len(), "check_runs": page(ask, list) }))
        }
    }
}
