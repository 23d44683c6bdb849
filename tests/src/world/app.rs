//! A world whose repository is on GitHub: the stand-in, its people, and what the settings say of the App.

use std::path::Path;
use std::sync::Arc;

use engine::directory::JiraStatuses;
use engine::port::{Clock as _, Secret};
use testkit::github::{APP, GithubHost};
use testkit::jira::{EMAIL, JiraHost, TOKEN};
use tracker::jira::Credentials;

use super::setup::ShiftedClock;
use super::{ADA_GITHUB, ADA_JIRA, ENDPOINT, INSTALLATION, NEXT_INSTALLATION, Setup, World};

/// The repository of the tests, as GitHub and the settings name it.
pub const REPO: &str = "Codertocat/Hello-World";
/// The number of that repository.
pub const REPO_ID: u64 = 186_853_002;
/// Somebody on GitHub whom nobody knows.
pub const STRANGER: &str = "mallory";

/// Starts a GitHub with the people of the tests: each has the access that the role needs.
pub(super) async fn start(setup: &Setup, dir: &Path, clock: &Arc<ShiftedClock>) -> GithubHost {
    let clock = Arc::clone(clock);
    let github = GithubHost::start(Arc::new(move || clock.now())).await.unwrap();
    github.repository(REPO_ID, REPO, dir.join("repositories/shop.git"), !setup.public);
    for (id, login, access) in [
        (ADA_GITHUB, "ada", "admin"),
        (2, "apo", "write"),
        (3, "wil", "write"),
        (4, "rea", "read"),
        (5, STRANGER, "none"),
    ] {
        github.user(id, login);
        github.grant(REPO, login, access);
    }
    github.install(INSTALLATION, "Codertocat", &[REPO_ID]);
    github.install(NEXT_INSTALLATION, "somebody-else", &[]);
    std::fs::write(dir.join("data/app.pem"), github.private_key()).unwrap();
    github
}

/// What the settings say of the App.
pub(super) fn settings(github: Option<&GithubHost>) -> String {
    github.map_or_else(String::new, |github| {
        let url = github.url();
        format!("[github]\napp_id = {APP}\nprivate_key_file = \"app.pem\"\napi = \"{url}\"\nweb = \"{url}\"\n\n")
    })
}

/// Starts a site of Jira with the same people, and connects the tenant to it as an admin does.
pub(super) async fn site(world: &World) -> JiraHost {
    let clock = Arc::clone(&world.clock);
    let site = JiraHost::start(Arc::new(move || clock.now())).await.unwrap();
    for (account, name) in [(ADA_JIRA, "ada"), ("jira-apo", "apo"), ("jira-wil", "wil"), ("jira-rea", "rea")] {
        site.user(account, name, "atlassian");
    }
    let credentials = Credentials::Token { email: EMAIL.to_owned(), token: Secret::new(TOKEN.as_bytes()) };
    let statuses = JiraStatuses {
        in_progress: Some("In Progress".to_owned()),
        in_review: Some("In Review".to_owned()),
        done: Some("Done".to_owned()),
    };
    let client = world.client("ada");
    let connected = world.system.jira.connect(client.ctx(), &site.url(), &credentials, (Some(statuses), None)).await;
    assert_eq!(connected.unwrap().missing, Vec::new());
    let address = world.url(&format!("/webhooks/jira/{ENDPOINT}/1"));
    site.connect(&address, world.endpoint_secret(1).expose());
    site
}

/// Adds to what was held against the descriptions so far; the test command sums it up over all its processes.
pub fn tally() {
    let lines: Vec<String> = testkit::openapi::counted()
        .requests
        .iter()
        .map(|((description, operation), count)| format!("{description}\t{operation}\t{count}"))
        .collect();
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(2).unwrap().join("requests");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{}.tsv", std::process::id())), lines.join("\n")).unwrap();
}
