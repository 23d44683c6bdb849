//! A world whose repository is on GitHub: the stand-in, its people, and what the settings say of the App.

use std::path::Path;
use std::sync::Arc;

use engine::port::Clock as _;
use testkit::github::{APP, GithubHost};

use super::setup::ShiftedClock;
use super::{ADA_GITHUB, INSTALLATION, NEXT_INSTALLATION, Setup};

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
    for (id, login, access) in
        [(ADA_GITHUB, "ada", "admin"), (2, "apo", "write"), (3, "wil", "write"), (4, "rea", "read"), (5, STRANGER, "none")]
    {
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
