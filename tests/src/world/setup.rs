//! What a world is made of: a repository, settings, a clock.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use engine::port::{Clock, Secret};
use jiff::SignedDuration;
use local::SystemClock;
use prfactory::system::ModelAccess;
use testkit::git::GitHost;
use testkit::model::ScriptedModel;

use crate::contract::Pace;

use super::{ADA_GITHUB, ADA_JIRA, ENDPOINT, INSTALLATION, MODEL_KEY, NEXT_ENDPOINT, NEXT_INSTALLATION, Setup};

/// The machine's clock, which a test can put forward.
#[derive(Default)]
pub struct ShiftedClock {
    seconds: AtomicI64,
}

impl ShiftedClock {
    /// Puts the clock forward, or back with a negative number.
    pub fn forward(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

#[async_trait]
impl Pace for ShiftedClock {
    fn hidden(&self) -> Duration {
        Duration::from_mins(1)
    }

    async fn pass(&self, time: Duration) {
        self.forward(i64::try_from(time.as_secs()).unwrap());
    }
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.seconds.load(Ordering::Relaxed))
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// The files of the usual repository.
pub fn usual_files() -> Vec<(&'static str, String)> {
    [
        ("README.md", "# shop\n\nSells things. Prices are in dollars.\n"),
        ("src/price.py", "TAX = 0.2\n\n\ndef total(net):\n    return net + net * TAX\n"),
        ("src/cart.py", "from price import total\n\n\ndef pay(items):\n    return total(sum(items))\n"),
        ("tests/test_price.py", "from price import total\n\n\ndef test_total():\n    assert total(10) == 12\n"),
        (".github/workflows/ci.yml", "on: push\njobs: {}\n"),
    ]
    .map(|(path, text)| (path, text.to_owned()))
    .to_vec()
}

/// How the scripted model is reached.
pub fn access(model: &ScriptedModel) -> ModelAccess {
    ModelAccess { url: model.url(), key: Secret::new(MODEL_KEY.as_bytes()), model: Some("scripted".to_owned()) }
}

/// The settings file: Acme with its people, and the neighbour with the same names where there is one.
pub(super) fn settings(setup: &Setup, dir: &Path, git: Option<&GitHost>) -> String {
    let mut text = setup.settings.clone() + &tenant(setup, dir, git, "acme");
    if setup.neighbour {
        text += &tenant(setup, dir, git, "next");
    }
    text
}

fn tenant(setup: &Setup, dir: &Path, git: Option<&GitHost>, name: &str) -> String {
    let ours = name == "acme";
    let (installation, endpoint) = if ours { (INSTALLATION, ENDPOINT) } else { (NEXT_INSTALLATION, NEXT_ENDPOINT) };
    let token = if setup.http { format!("token_file = '{}'\n", dir.join("token").display()) } else { String::new() };
    let mut text = format!(
        "[[tenant]]\nid = \"ten_{name}\"\ninstallations = [{installation}]\n\n[tenant.policy]\n{}\n\n",
        setup.policy
    );
    for (number, id, role) in [(1, "ada", "admin"), (2, "apo", "approver"), (3, "wil", "writer"), (4, "rea", "reader")]
    {
        let (github, jira) = match (ours, number) {
            (true, 1) => (ADA_GITHUB, ADA_JIRA.to_owned()),
            (true, _) => (number, format!("jira-{id}")),
            (false, _) => (number + 100, format!("next-{id}")),
        };
        let prefix = if ours { "mem_" } else { "mem_next" };
        let _ = writeln!(
            text,
            "[[tenant.member]]\nid = \"{prefix}{id}\"\nname = \"{id}\"\nrole = \"{role}\"\ngithub = {github}\njira = \"{jira}\"\n\n"
        );
    }
    let file = if ours { "shop.git" } else { "next.git" };
    let first = ("Codertocat/Hello-World".to_owned(), file.to_owned(), "SHOP".to_owned());
    let more = (1..=setup.more).map(|n| (format!("octo/more-{n}"), format!("more-{n}.git"), format!("MORE{n}")));
    for (repo, file, project) in std::iter::once(first).chain(more) {
        let location = match git {
            _ if setup.app && repo == super::REPO && (ours || !setup.plain_neighbour) => "github".to_owned(),
            Some(git) => git.url(&file),
            None => dir.join("repositories").join(file).display().to_string(),
        };
        let _ = writeln!(
            text,
            "[[tenant.repository]]\nname = \"{repo}\"\nlocation = {location:?}\nbase = \"main\"\nprojects = [\"{project}\"]\n{token}\n"
        );
    }
    let _ = writeln!(text, "[[tenant.endpoint]]\nid = \"{endpoint}\"\ngeneration = 1\n");
    text
}
