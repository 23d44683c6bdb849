//! Every command in every state, said at the command line, in a comment on Jira and in a comment on GitHub.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use domain::name::TrackerKey;
use engine::message::{INTAKE, NOTIFY};
use intake::Answer;
use regex::Regex;
use serde_json::json;
use stories::hand::{Hand, copy_folder};
use stories::world::{ADA_GITHUB, ENDPOINT, INSTALLATION, Setup, World, recorded_for_us};
use testkit::git::Trouble;

/// A ticket that does not say in which file, so that a question is asked first.
const TEXT: &str = "Replace `total` with `gross`.";
const JIRA_KEY: &str = "SHOP-1";

/// What each command leads to: by command, then by state.
type Seen = BTreeMap<String, Vec<(&'static str, String)>>;

/// The commands that are said; `HASH` stands for the hash of what waits.
const COMMANDS: [&str; 33] = [
    "help",
    "status",
    "config",
    "analyze",
    "ask Where is the tax?",
    "answer 1: yes",
    "answer 99: yes",
    "skip",
    "plan",
    "replan Use 0.3.",
    "approve",
    "approve HASH",
    "approve 0123456789ab",
    "reject Too much.",
    "implement",
    "close",
    "fix",
    "fix ci",
    "fix review Rename it.",
    "fix conflicts",
    "autofix on",
    "autofix off",
    "retry",
    "cancel",
    "pause",
    "resume",
    "budget",
    "budget +2",
    "budget lots",
    "model claude-sonnet-4-5",
    "repo Codertocat/Hello-World@main",
    "repo octo/unknown",
    "aprove",
];

/// The states, in the order a ticket meets them.
const STATES: [&str; 20] = [
    "snapshotting",
    "analyzing",
    "awaiting_answers",
    "refining",
    "awaiting_refinement_approval",
    "planning",
    "awaiting_plan_approval",
    "plan_approved",
    "implementing",
    "reviewing",
    "awaiting_diff_approval",
    "publishing",
    "in_review",
    "revising",
    "paused",
    "cancelling",
    "failed",
    "completed",
    "closed",
    "cancelled",
];

/// Where the words are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    Cli,
    Jira,
    Github,
}

/// A world in which tickets of one tracker were stopped in every state.
struct Stopped {
    world: World,
    key: String,
    hand: Hand,
    github: bool,
    said: u64,
}

impl Stopped {
    async fn new(github: bool) -> Self {
        let setup =
            Setup { http: true, idle: true, policy: "implement_on_approval = false".to_owned(), ..Setup::default() };
        let world = World::start(setup).await;
        let key = if github { "Codertocat/Hello-World#1".to_owned() } else { JIRA_KEY.to_owned() };
        let hand = Hand::on(&world.dir.path().join("data"), &world.model).await;
        let mut stopped = Self { world, key, hand, github, said: 0 };
        stopped.through_every_state().await;
        stopped
    }

    fn folder(&self, state: &str) -> PathBuf {
        self.world.dir.path().join("stopped").join(state)
    }

    /// Goes on until a state and keeps a copy of everything as it is then.
    async fn stop_at(&mut self, state: &'static str) {
        assert!(
            self.hand.until(&self.key, state).await,
            "{state} was not reached: {:?}",
            self.hand.ticket(&self.key).await.map(|t| t.state)
        );
        if state != "cancelling" {
            self.hand.drain(&[NOTIFY]).await;
        }
        copy_folder(&self.world.dir.path().join("data"), &self.folder(state));
    }

    async fn say(&mut self, text: &str) {
        self.said += 1;
        let signed = delivery(&self.world, self.github, &self.key, 900_000 + self.said, text);
        assert_eq!(self.hand.deliver(&signed).await, 202);
        self.hand.drain(&[INTAKE]).await;
    }

    /// Goes on from a copy in a world of its own.
    async fn branch_off(&mut self, from: &str) {
        self.hand = Hand::on_copy(&self.folder(from), &self.world.model).await;
    }

    async fn keep(&self, state: &str) {
        self.hand.drain(&[NOTIFY]).await;
        let ticket = self.hand.ticket(&self.key).await.unwrap();
        assert_eq!(ticket.state.name(), state);
        copy_folder(&self.hand.system.data, &self.folder(state));
    }

    async fn approve(&mut self) {
        let hash = hash_of(&self.hand, &self.key).await;
        self.say(&format!("@prfactory approve {hash}")).await;
    }

    async fn through_every_state(&mut self) {
        let signed = if self.github {
            let mut event = recorded_for_us("issues.labeled");
            event["label"]["name"] = json!("prfactory");
            event["issue"]["title"] = json!("Raise the tax");
            event["issue"]["body"] = json!(TEXT);
            self.world.signed_github("issues", "d", &event)
        } else {
            self.world.signed_jira(ENDPOINT, &self.world.labelled(&self.key, "Raise the tax", TEXT))
        };
        assert_eq!(self.hand.deliver(&signed).await, 202);
        for state in ["snapshotting", "analyzing", "awaiting_answers"] {
            self.stop_at(state).await;
        }
        self.say("@prfactory skip").await;
        self.stop_at("refining").await;
        self.stop_at("awaiting_refinement_approval").await;
        self.say("@prfactory approve").await;
        self.stop_at("planning").await;
        self.stop_at("awaiting_plan_approval").await;
        self.approve().await;
        self.stop_at("plan_approved").await;
        self.say("@prfactory implement").await;
        for state in ["implementing", "reviewing", "publishing", "in_review"] {
            self.stop_at(state).await;
        }
        self.say("@prfactory fix review Replace `dollars` with `euros` in `README.md`.").await;
        self.stop_at("revising").await;
        // The request touches a file that was not planned, so an approver has to see the diff.
        self.stop_at("awaiting_diff_approval").await;
        self.branch_off("in_review").await;
        let mut merged = recorded_for_us("pull_request.closed.merged");
        merged["pull_request"]["number"] = json!(1);
        assert_eq!(self.hand.deliver(&self.world.signed_github("pull_request", "d", &merged)).await, 202);
        self.hand.drain(&[INTAKE]).await;
        self.keep("completed").await;
        for (from, command, state) in [
            ("plan_approved", "close", "closed"),
            ("awaiting_plan_approval", "cancel", "cancelled"),
            ("awaiting_plan_approval", "pause", "paused"),
        ] {
            self.branch_off(from).await;
            self.say(&format!("@prfactory {command}")).await;
            self.keep(state).await;
        }
        self.branch_off("planning").await;
        self.world.model.fail_next(401, "no");
        assert!(self.hand.until(&self.key, "failed").await);
        self.keep("failed").await;
        // A push whose outcome nobody knows has to be read back before the ticket is cancelled.
        self.branch_off("publishing").await;
        let branch = self.hand.ticket(&self.key).await.unwrap().target().unwrap().branch.to_string();
        self.world.run_git(&["update-ref", "-d", &format!("refs/heads/{branch}")]);
        let git = self.world.git.as_ref().unwrap();
        git.trouble(Some((Trouble::Status(500), "git-receive-pack")));
        assert!(self.hand.step("publish").await);
        git.trouble(None);
        self.say("@prfactory cancel").await;
        self.keep("cancelling").await;
    }
}

/// A comment of Ada's as its provider delivers it.
fn delivery(world: &World, github: bool, key: &str, id: u64, text: &str) -> stories::world::Signed {
    if github {
        let event = world.commented_on_github((INSTALLATION, ADA_GITHUB), 1, false, id, text);
        world.signed_github("issue_comment", "d", &event)
    } else {
        world.signed_jira(ENDPOINT, &world.commented(key, &id.to_string(), text))
    }
}

/// The hash of what waits for a decision.
async fn hash_of(hand: &Hand, key: &str) -> String {
    let ticket = hand.ticket(key).await.unwrap();
    ticket.awaiting().map_or_else(|| "ffffffffffff".to_owned(), |waits| waits.hash.short().to_owned())
}

/// What people see once a command was said: the reply, or else where the ticket went and what is said of it.
async fn see(hand: &Hand, world: &World, key: &str, surface: Surface, id: u64, command: &str) -> (String, bool) {
    let (before, said) = (hand.ticket(key).await.unwrap(), hand.comments(key).await);
    let command = command.replace("HASH", &hash_of(hand, key).await);
    match surface {
        Surface::Cli => {
            let answer = hand.client("ada").say(&TrackerKey::parse(key).unwrap(), &command).await.unwrap();
            assert!(!matches!(answer, Answer::Duplicate | Answer::Ignored { .. }), "{command}: {answer:?}");
        }
        Surface::Jira | Surface::Github => {
            let signed = delivery(world, surface == Surface::Github, key, id, &format!("@prfactory {command}"));
            assert_eq!(hand.deliver(&signed).await, 202);
            hand.drain(&[INTAKE]).await;
        }
    }
    hand.drain(&[NOTIFY]).await;
    let (after, now) = (hand.ticket(key).await.unwrap(), hand.comments(key).await);
    // A minute that passed meanwhile is nothing that was said.
    let minutes = regex::Regex::new(r"\d+ min").unwrap();
    let words = |text: &str| minutes.replace_all(text, "").into_owned();
    let fresh = now.iter().filter(|(id, text)| said.get(*id).map(|text| words(text)) != Some(words(text)));
    let fresh = fresh.map(|(_, text)| text);
    let mut texts: Vec<String> = fresh.map(|text| text.split("<!--").next().unwrap().trim().to_owned()).collect();
    texts.sort();
    let moved = after.id != before.id || after.version != before.version;
    let text = match (moved, after.state.name() == before.state.name() && after.id == before.id) {
        (false, _) => texts.join(" / "),
        (true, true) => format!("stays; {}", texts.iter().map(|text| headline(text)).collect::<Vec<_>>().join(" / ")),
        (true, false) => {
            let heads: Vec<&str> = texts.iter().map(|text| headline(text)).collect();
            format!("→ {}; {}", after.state.name(), heads.join(" / "))
        }
    };
    (masked(&text, key), moved)
}

fn headline(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

/// The text without what differs from run to run and from tracker to tracker.
fn masked(text: &str, key: &str) -> String {
    static HASHES: OnceLock<Regex> = OnceLock::new();
    static MONEY: OnceLock<Regex> = OnceLock::new();
    let text = text.replace(key, "KEY");
    let hashes = HASHES.get_or_init(|| Regex::new(r"\b[0-9a-f]{12,64}\b").unwrap());
    let money = MONEY.get_or_init(|| Regex::new(r"\$0\.\d+").unwrap());
    money.replace_all(&hashes.replace_all(&text, "HASH"), "$$0.xx").into_owned()
}

/// Says every command in one state; a copy is used until a command changes the ticket.
async fn one_state(stopped: &Path, world: &World, key: &str, surface: Surface) -> Vec<String> {
    let mut hand = Hand::on_copy(stopped, &world.model).await;
    let mut seen = Vec::new();
    for (command, id) in COMMANDS.iter().zip(100_000..) {
        let (text, moved) = see(&hand, world, key, surface, id, command).await;
        seen.push(text);
        if moved {
            hand = Hand::on_copy(stopped, &world.model).await;
        }
    }
    seen
}

async fn everything() -> Seen {
    let (jira, github) = tokio::join!(Stopped::new(false), Stopped::new(true));
    let mut all = Seen::new();
    for state in STATES {
        let (from_jira, from_github) = (jira.folder(state), github.folder(state));
        let (cli, on_jira, on_github) = tokio::join!(
            one_state(&from_jira, &jira.world, &jira.key, Surface::Cli),
            one_state(&from_jira, &jira.world, &jira.key, Surface::Jira),
            one_state(&from_github, &github.world, &github.key, Surface::Github),
        );
        for (at, command) in COMMANDS.iter().enumerate() {
            assert_eq!(cli[at], on_jira[at], "`{command}` in {state}: command line and Jira differ");
            assert_eq!(cli[at], on_github[at], "`{command}` in {state}: command line and GitHub differ");
            all.entry((*command).to_owned()).or_default().push((state, cli[at].clone()));
        }
    }
    all
}

/// The whole matrix, made once.
pub(super) fn matrix() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| {
        let make = || tokio::runtime::Runtime::new().unwrap().block_on(everything());
        std::thread::spawn(make).join().unwrap()
    })
}

/// One command's row of the matrix: states with the same outcome together, refusals because of the state last.
pub(super) fn row(command: &str) -> String {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    let mut refused = Vec::new();
    for (state, text) in &matrix()[command] {
        if text.contains(" does not apply now (") {
            refused.push(*state);
            continue;
        }
        match groups.iter_mut().find(|(_, seen)| seen == text) {
            Some((states, _)) => states.push(state),
            None => groups.push((vec![state], text)),
        }
    }
    let name = |states: &[&str]| if states.len() == STATES.len() { "everywhere".to_owned() } else { states.join(", ") };
    let lines = groups.iter().map(|(states, text)| format!("{}:\n  {}", name(states), text.replace('\n', "\n  ")));
    let last = (!refused.is_empty()).then(|| format!("refused: {}", name(&refused)));
    lines.chain(last).collect::<Vec<_>>().join("\n")
}

/// What a command is told that the state refuses, by state; the same words for every command.
pub(super) fn refusals() -> String {
    let mut by_state: BTreeMap<&str, String> = BTreeMap::new();
    for (command, cells) in matrix() {
        for (state, text) in cells.iter().filter(|(_, text)| text.contains(" does not apply now (")) {
            let verb = command.split(' ').next().unwrap();
            let words = text.replace(&format!("`{verb}` does"), "`VERB` does");
            assert_eq!(by_state.entry(state).or_insert_with(|| words.clone()), &words, "{command}");
        }
    }
    STATES.iter().map(|state| format!("{state}: {}", by_state[state])).collect::<Vec<_>>().join("\n")
}
