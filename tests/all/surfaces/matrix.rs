//! Who may say what: every role, every command, and every way in which a comment can be other than it seems.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use engine::message::{INTAKE, NOTIFY};
use engine::port::Clock;
use stories::hand::Hand;
use stories::world::{INSTALLATION, REPO, REPO_ID, STRANGER, Setup, World};
use testkit::github::GithubHost;

use super::issues::planned;

/// People by what they may do: on GitHub, and among the tenant's members.
const PEOPLE: [(&str, &str); 7] = [
    ("stranger", STRANGER),
    ("reader", "rea"),
    ("collaborator", "cora"),
    ("writer", "wil"),
    ("approver", "apo"),
    ("admin", "ada"),
    ("bot", "helper[bot]"),
];

/// One command of each kind, said while a plan waits.
const COMMANDS: [&str; 8] =
    ["status", "config", "replan Use 0.3.", "approve HASH", "reject Too much.", "budget +1", "pause", "cancel"];

/// In which way the comment is other than it seems, or its author is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twist {
    Plain,
    Edited,
    Deleted,
    /// It stands on a pull request from a fork.
    Fork,
    /// The App is suspended.
    Suspended,
    /// Its author has lost the access to the repository since.
    Removed,
    /// It was said under a name that somebody else had before.
    Renamed,
}

const TWISTS: [Twist; 7] =
    [Twist::Plain, Twist::Edited, Twist::Deleted, Twist::Fork, Twist::Suspended, Twist::Removed, Twist::Renamed];

/// A world with a plan that waits, which is copied for every cell.
struct Matrix {
    world: World,
    issue: u64,
    key: String,
    hash: String,
    secret: Vec<u8>,
}

impl Matrix {
    async fn new() -> Self {
        let mut world = World::start(Setup { app: true, ..Setup::default() }).await;
        let github = world.github.as_ref().unwrap();
        github.user(6, "cora");
        github.grant(REPO, "cora", "write");
        github.robot(7, "helper[bot]");
        github.grant(REPO, "helper[bot]", "write");
        let (issue, key) = planned(&world, "Raise the tax", "Replace `TAX = 0.2` with `TAX = 0.25`.").await;
        world.drained().await;
        let hash = world.ticket(&key).await.unwrap().plan().unwrap().hash.short().to_owned();
        let secret = world.system.secrets.versions("github-webhook").unwrap().remove(0).expose().to_vec();
        world.rest().await;
        Self { world, issue, key, hash, secret }
    }

    fn github(&self) -> &GithubHost {
        self.world.github.as_ref().unwrap()
    }

    /// A copy of the world as it is.
    async fn copy(&self, twist: Twist) -> Hand {
        let github = self.github();
        // Each copy counts what it writes by itself.
        self.world.clock.forward(61);
        let clock = Arc::clone(&self.world.clock) as Arc<dyn Clock>;
        let hand = Hand::on_copy_at(&self.world.dir.path().join("data"), &self.world.model, clock).await;
        github.connect(&hand.url("/webhooks/github"), &self.secret);
        if twist == Twist::Suspended {
            github.removes("ada", INSTALLATION, "suspend").await;
            hand.drain(&[INTAKE, NOTIFY]).await;
        }
        hand
    }

    /// Says a command in a copy of the world, and tells what became of it.
    async fn says(&self, hand: &Hand, who: &str, command: &str, twist: Twist) -> &'static str {
        let github = self.github();
        self.world.clock.forward(61);
        let access = github.access(REPO, who);
        if twist == Twist::Removed {
            github.grant(REPO, who, "none");
        }
        let number = if twist == Twist::Fork { github.forks(STRANGER, REPO) } else { self.issue };
        let before = hand.ticket(&self.key).await.unwrap();
        let words = format!("@prfactory {}", command.replace("HASH", &self.hash));
        let id = match twist {
            Twist::Edited => github.comments_and(who, REPO, number, &words, Some("Nothing at all.")).await,
            Twist::Deleted => github.comments_and(who, REPO, number, &words, None).await,
            Twist::Renamed => github.comments_under(who, REPO, number, &words, 66).await,
            _ => github.comments(who, REPO, number, &words).await,
        };
        let said = github.seen(REPO, number).len();
        hand.drain(&[INTAKE, NOTIFY]).await;
        let after = hand.ticket(&self.key).await;
        let acted = after.is_none_or(|after| after.version != before.version && twist != Twist::Suspended);
        let seen = github.seen(REPO, number);
        let reactions = seen.iter().find(|seen| seen.id == id).map(|seen| seen.reactions.clone()).unwrap_or_default();
        github.grant(REPO, who, access);
        match (acted, reactions.iter().any(|r| r == "confused"), seen.len() > said) {
            (true, ..) => "acts",
            (false, true, true) => "refused",
            (false, false, true) => "told",
            (false, false, false) => "silence",
            (false, true, false) => panic!("{who} {command} {twist:?}: refused without a word"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_says_every_command_in_every_way() {
    let matrix = Matrix::new().await;
    let mut table = String::new();
    for twist in TWISTS {
        let mut rows: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
        for (role, who) in PEOPLE {
            let mut row = Vec::new();
            let mut hand = None;
            for command in COMMANDS {
                if hand.is_none() {
                    hand = Some(matrix.copy(twist).await);
                }
                let became = matrix.says(hand.as_ref().unwrap(), who, command, twist).await;
                row.push(became);
                // What was moved is not what the next one shall meet.
                if became == "acts" {
                    hand = None;
                }
            }
            matrix.github().install(INSTALLATION, "Codertocat", &[REPO_ID]);
            rows.entry(row).or_default().push(role);
        }
        let _ = writeln!(table, "{twist:?}:");
        for (row, roles) in rows {
            let words: Vec<&str> = COMMANDS.iter().map(|command| command.split(' ').next().unwrap()).collect();
            let same = row.iter().all(|cell| *cell == row[0]);
            let cells = words.iter().zip(&row).map(|(word, cell)| format!("{word} {cell}")).collect::<Vec<_>>();
            let _ =
                writeln!(table, "  {}: {}", roles.join(", "), if same { row[0].to_owned() } else { cells.join(", ") });
        }
    }
    insta::assert_snapshot!(table, @"
    Plain:
      stranger, bot: silence
      approver, admin: status told, config told, replan acts, approve acts, reject acts, budget acts, pause acts, cancel acts
      collaborator, writer: status told, config told, replan acts, approve refused, reject refused, budget refused, pause acts, cancel acts
      reader: status told, config told, replan refused, approve refused, reject refused, budget refused, pause refused, cancel refused
    Edited:
      reader, collaborator, writer, approver, admin: refused
      stranger, bot: silence
    Deleted:
      stranger, reader, collaborator, writer, approver, admin, bot: silence
    Fork:
      stranger, reader, collaborator, writer, approver, admin, bot: silence
    Suspended:
      stranger, reader, collaborator, writer, approver, admin, bot: silence
    Removed:
      stranger, reader, collaborator, writer, approver, admin, bot: silence
    Renamed:
      stranger, reader, collaborator, writer, approver, admin, bot: silence
    ");
    matrix.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_right_to_push_before_the_push_has_not_approved() {
    let mut world = World::start(Setup { app: true, ..Setup::default() }).await;
    let (issue, key) = planned(&world, "Raise the tax", "Replace `TAX = 0.2` with `TAX = 0.25`.").await;
    world.drained().await;
    let hash = world.ticket(&key).await.unwrap().plan().unwrap().hash.short().to_owned();
    world.rest().await;
    let github = world.github.as_ref().unwrap();
    // By the world's own clock: it may have been put forward while the plan was waited for.
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let hand = Hand::on_at(&world.dir.path().join("data"), &world.model, clock).await;
    github.comments("apo", REPO, issue, &format!("@prfactory approve {hash}")).await;
    assert!(hand.until(&key, "publishing").await);
    github.grant(REPO, "apo", "read");
    assert!(hand.until(&key, "awaiting_diff_approval").await, "{:?}", hand.ticket(&key).await.unwrap().state);
    assert_eq!(world.branches(), ["main"], "nothing was pushed");
    hand.drain(&[NOTIFY]).await;
    let seen = github.seen(REPO, issue);
    assert!(seen.iter().any(|seen| seen.body.contains("was approved by apo")), "{seen:#?}");
    drop(hand);
    world.end().await;
}
