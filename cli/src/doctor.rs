//! Looks for what keeps this machine from working, and says how to mend it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use agent::anthropic::Messages;

use domain::name::BranchName;
use domain::policy::Policy;
use domain::principal::Role;
use domain::ticket::Target;
use engine::directory;
use engine::message::QUEUES;
use engine::port::{Block, Clock as _, Model as _, ModelAnswer, ModelRequest, Snapshots as _, Utterance};
use engine::ticket::list;
use jiff::SignedDuration;
use local::settings::TenantSettings;
use local::{Settings, SystemClock, seed};
use serde_json::json;

use crate::Exit;
use crate::output::Output;
use crate::system::{ModelAccess, System};

/// One thing that was looked at.
struct Check {
    what: String,
    problem: Option<String>,
}

fn check(what: impl Into<String>, problem: Option<String>) -> Check {
    Check { what: what.into(), problem }
}

/// Looks at everything and reports.
pub(crate) async fn run(data: &Path, args: &crate::args::Doctor, out: Output) -> anyhow::Result<Exit> {
    let mut checks = Vec::new();
    let settings = Settings::load(data);
    let broken = settings.as_ref().err().map(|error| format!("{error}; `prfactory init` writes a first one"));
    checks.push(check(format!("settings in {}", data.display()), broken));
    if let Ok(settings) = settings {
        match settings.check() {
            Ok(policies) => {
                checks.push(check("policy, endpoints, addresses and names", None));
                for tenant in &settings.tenant {
                    people(tenant, policies.get(&tenant.id), &mut checks);
                }
                state(data, &settings, &mut checks).await;
            }
            Err(error) => checks.push(check("policy, endpoints, addresses and names", Some(error.to_string()))),
        }
    }
    model(args, &mut checks).await;
    let mut bad = 0;
    for check in &checks {
        let mark = if check.problem.is_none() { "ok " } else { "BAD" };
        bad += usize::from(check.problem.is_some());
        let text = check.problem.as_ref().map(|p| format!("\n      {p}")).unwrap_or_default();
        out.either(&format!("{mark}  {}{text}", check.what), &json!({ "check": check.what, "problem": check.problem }));
    }
    Ok(if bad == 0 { Exit::Done } else { Exit::Failed })
}

/// Asks the provider whether it knows the key, which costs nothing, and on request makes one small call.
async fn model(args: &crate::args::Doctor, checks: &mut Vec<Check>) {
    let Some(access) =
        ModelAccess::of(&args.provider, args.model.clone().flatten().or_else(|| args.default_model.clone()))
    else {
        let without = if args.model.is_some() { "; no call was made" } else { "" };
        let say = format!("ANTHROPIC_API_KEY is not set{without}; `serve` needs it, `demo` does without");
        checks.push(check("model", Some(say)));
        return;
    };
    let url = access.url.clone();
    let clock = std::sync::Arc::new(SystemClock);
    let client = match Messages::new(&access.url, access.key, access.model, clock) {
        Ok(client) => client,
        Err(failure) => {
            checks.push(check("model", Some(failure.to_string())));
            return;
        }
    };
    let advice = |failure| format!("{failure}. Look at ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL ({url})");
    checks.push(check("model", client.greet().await.err().map(advice)));
    if args.model.is_some() {
        match client.call(&small_call(), CALL).await {
            Ok(answer) => {
                let ModelAnswer { model, usage, cost, .. } = answer;
                let said =
                    format!("a call of {model}: {} tokens in, {} out, {}", usage.total_input(), usage.output, cost);
                checks.push(check(said, None));
            }
            Err(failure) => checks.push(check("a call of the model", Some(advice(failure)))),
        }
    }
}

/// Longest the small call may take.
const CALL: Duration = Duration::from_mins(1);

/// The least that shows that a model answers.
fn small_call() -> ModelRequest {
    let text = "Reply with the word ok.".to_owned();
    ModelRequest {
        model: None,
        system: "You check a connection.".to_owned(),
        tools: Vec::new(),
        max_tokens: 1_024,
        messages: vec![Utterance::User { blocks: vec![Block::Text { text }] }],
    }
}

/// Whether there are people enough to decide, and one repository for each project.
fn people(tenant: &TenantSettings, policy: Option<&Policy>, checks: &mut Vec<Check>) {
    let approvers = tenant.member.iter().filter(|member| member.role >= Role::Approver).count();
    let needed = policy.map_or(1, |policy| policy.required_approvals) as usize;
    let few = (approvers < needed).then(|| {
        format!("{needed} approval(s) are needed and {approvers} member(s) may approve; give more members the role `approver` or lower `required_approvals`")
    });
    checks.push(check(format!("people of {}", tenant.id), few));
    let mut projects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for repository in &tenant.repository {
        for project in &repository.projects {
            projects.entry(project.to_uppercase()).or_default().push(repository.name.to_string());
        }
    }
    let twice = projects.iter().find(|(_, repositories)| repositories.len() > 1).map(|(project, repositories)| {
        format!("tickets of {project} could go to {}; name the project in one of them", repositories.join(" and "))
    });
    let none =
        tenant.repository.is_empty().then(|| "no repository is connected; add a `[[tenant.repository]]`".to_owned());
    checks.push(check(format!("projects of {}", tenant.id), twice.or(none)));
}

/// A clock that is behind by less than this is nobody's trouble.
const BEHIND: SignedDuration = SignedDuration::from_mins(1);

async fn state(data: &Path, settings: &Settings, checks: &mut Vec<Check>) {
    let system = match System::open(data) {
        Ok(system) => system,
        Err(error) => {
            checks.push(check("state and secrets", Some(format!("{error:#}"))));
            return;
        }
    };
    checks.push(check("state and secrets", None));
    if let Err(error) = seed(&system.engine, system.vault.as_ref(), settings).await {
        checks.push(check("directory", Some(error.to_string())));
        return;
    }
    checks.push(check("directory", None));
    for tenant in &settings.tenant {
        let Ok(ctx) = system.engine.sealer.operator(&tenant.id) else {
            continue;
        };
        for repository in &tenant.repository {
            let Ok(branch) = BranchName::parse("prfactory/doctor") else { continue };
            let row = directory::repository(&system.engine, &ctx, &repository.name).await.ok().flatten();
            let base = row.map_or_else(BranchName::main, |row| row.base);
            let target =
                Target { repo: repository.name.clone(), base: base.clone(), branch, commit: None, snapshot: None };
            let problem = match system.source.head(&ctx, &target, &base).await {
                Ok(Some(_)) => None,
                Ok(None) => Some(format!("there is no branch `{base}`; set `base` to one that is there")),
                Err(failure) => {
                    Some(format!("{failure}; look at `location` and `token_file` ({})", failure.fault.who_acts()))
                }
            };
            checks.push(check(format!("repository {}", repository.name), problem));
        }
        let newest = list(&system.engine, &ctx).await.unwrap_or_default().iter().map(|ticket| ticket.updated_at).max();
        let ahead = newest.map(|newest| newest.duration_since(SystemClock.now())).filter(|ahead| *ahead > BEHIND);
        if let Some(ahead) = ahead {
            let say =
                format!("the newest ticket changed {} minutes in the future; set the machine's clock", ahead.as_mins());
            checks.push(check("clock", Some(say)));
        }
    }
    for queue in QUEUES {
        let dead = system.engine.queue.receive_dead(queue, 100).await.map_or(0, |letters| letters.len());
        if dead > 0 {
            let say = format!(
                "{dead} message(s) failed too often; a running `serve` records why on their tickets within a minute"
            );
            checks.push(check(format!("queue {queue}"), Some(say)));
        }
    }
}
