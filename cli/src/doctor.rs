//! Looks for what keeps this machine from working, and says how to mend it.

use std::path::Path;

use domain::ticket::Target;
use engine::message::QUEUES;
use engine::port::Snapshots as _;
use local::{Settings, seed};
use serde_json::json;

use crate::Exit;
use crate::output::Output;
use crate::system::System;

/// One thing that was looked at.
struct Check {
    what: String,
    problem: Option<String>,
}

fn check(what: impl Into<String>, problem: Option<String>) -> Check {
    Check { what: what.into(), problem }
}

/// Looks at everything and reports.
pub(crate) async fn run(data: &Path, out: Output) -> anyhow::Result<Exit> {
    let mut checks = Vec::new();
    let settings = Settings::load(data);
    let broken = settings.as_ref().err().map(ToString::to_string);
    checks.push(check(format!("settings in {}", data.display()), broken));
    if let Ok(settings) = settings {
        checks.push(check("policy, endpoints and addresses", settings.check().err().map(|error| error.to_string())));
        state(data, &settings, &mut checks).await;
    }
    let key = std::env::var_os("ANTHROPIC_API_KEY").is_some_and(|key| !key.is_empty());
    checks.push(check(
        "model key",
        (!key).then(|| "ANTHROPIC_API_KEY is not set; `serve` needs it, `demo` does without".to_owned()),
    ));
    let mut bad = 0;
    for check in &checks {
        let mark = if check.problem.is_none() { "ok " } else { "BAD" };
        bad += usize::from(check.problem.is_some());
        let text = check.problem.as_ref().map(|p| format!("\n      {p}")).unwrap_or_default();
        out.either(&format!("{mark}  {}{text}", check.what), &json!({ "check": check.what, "problem": check.problem }));
    }
    Ok(if bad == 0 { Exit::Done } else { Exit::Failed })
}

async fn state(data: &Path, settings: &Settings, checks: &mut Vec<Check>) {
    let system = match System::open(data) {
        Ok(system) => system,
        Err(error) => {
            checks.push(check("state and secrets", Some(format!("{error:#}"))));
            return;
        }
    };
    checks.push(check("state and secrets", None));
    let seeded = seed(&system.engine, system.vault.as_ref(), settings).await;
    checks.push(check("directory", seeded.err().map(|error| error.to_string())));
    for tenant in &settings.tenant {
        let Ok(ctx) = system.engine.sealer.operator(&tenant.id) else {
            continue;
        };
        for repository in &tenant.repository {
            let Ok(branch) = domain::name::BranchName::parse("prfactory/doctor") else { continue };
            let target = Target {
                repo: repository.name.clone(),
                base: repository.base.clone(),
                branch,
                commit: None,
                snapshot: None,
            };
            let problem = match system.source.head(&ctx, &target, &repository.base).await {
                Ok(Some(_)) => None,
                Ok(None) => Some(format!("there is no branch `{}`", repository.base)),
                Err(failure) => Some(failure.to_string()),
            };
            checks.push(check(format!("repository {}", repository.name), problem));
        }
    }
    for queue in QUEUES {
        let dead = system.engine.queue.receive_dead(queue, 100).await.map_or(0, |letters| letters.len());
        if dead > 0 {
            checks.push(check(format!("queue {queue}"), Some(format!("{dead} dead letter(s)"))));
        }
    }
}
