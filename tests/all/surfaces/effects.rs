//! Whatever is done outside may be cut off before or after it happened: tried again, it ends as if it had gone well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::change_set::ChangeSet;
use engine::artifact;
use engine::message::QUEUES;
use engine::port::Clock;
use regex::Regex;
use stories::hand::Hand;
use stories::world::{ENDPOINT, REPO, Setup, World};
use testkit::github::Trouble;
use tracker::adf::{Node, to_markdown};

/// Everything that the way of a ticket does or reads on GitHub.
const ON_GITHUB: [&str; 28] = [
    "apps/create-installation-access-token",
    "repos/get-collaborator-permission-level",
    "issues/get",
    "issues/get-comment",
    "issues/list-comments",
    "issues/create-comment",
    "issues/update-comment",
    "issues/add-labels",
    "issues/remove-label",
    "issues/update",
    "reactions/create-for-issue-comment",
    "pulls/list",
    "pulls/get",
    "pulls/create",
    "pulls/update",
    "pulls/list-comments-for-review",
    "pulls/list-review-comments",
    "pulls/create-reply-for-review-comment",
    "checks/create",
    "checks/update",
    "checks/list-for-ref",
    "git/get-ref",
    "git/get-commit",
    "git/create-tree",
    "git/create-commit",
    "git/create-ref",
    "git/update-ref",
    "graphql",
];

/// The same in Jira.
const IN_JIRA: [&str; 9] = [
    "getIssue",
    "getComments",
    "getComment",
    "addComment",
    "updateComment",
    "editIssue",
    "getTransitions",
    "doTransition",
    "createOrUpdateRemoteIssueLink",
];

/// Cuts that are drawn from a seed.
struct Cuts(u64);

impl Cuts {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn trouble(&mut self) -> (Trouble, usize) {
        let times = usize::try_from(1 + self.next(2)).unwrap();
        let trouble = match self.next(4) {
            0 => Trouble::Before(502),
            1 => Trouble::Secondary(5),
            _ => Trouble::After(502),
        };
        (trouble, times)
    }
}

#[expect(clippy::too_many_lines, reason = "a story is told in one piece")]
/// Takes a ticket all the way, with every operation cut off somewhere where there is a seed; tells how all ends.
async fn way(seed: Option<u64>, in_jira: bool) -> String {
    let world = World::start(Setup { app: true, jira: in_jira, idle: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let hand = Hand::on_at(&world.dir.path().join("data"), &world.model, clock).await;
    let secret = world.system.secrets.versions("github-webhook").unwrap().remove(0);
    github.connect(&hand.url("/webhooks/github"), secret.expose());
    if let Some(site) = &world.site {
        site.connect(&hand.url(&format!("/webhooks/jira/{ENDPOINT}/1")), world.endpoint_secret(1).expose());
    }
    if let Some(seed) = seed {
        let mut cuts = Cuts(seed);
        for operation in ON_GITHUB {
            let (trouble, times) = cuts.trouble();
            github.trouble(operation, trouble, times);
        }
        for operation in IN_JIRA.iter().filter(|_| in_jira) {
            let (trouble, times) = cuts.trouble();
            world.site.as_ref().unwrap().trouble(operation, trouble, times);
        }
    }
    let issue = if in_jira { 0 } else { github.opens("wil", REPO, "Call it gross", "Replace `total` with `gross`.") };
    let key = if in_jira { "SHOP-1".to_owned() } else { format!("{REPO}#{issue}") };
    let says = async |who: &str, text: &str| match &world.site {
        Some(site) => site.comments(&format!("jira-{who}"), "SHOP-1", text).await,
        None => github.comments(who, REPO, issue, text).await,
    };
    match &world.site {
        Some(site) => {
            site.creates("SHOP-1", "Call it gross", "Replace {{total}} with {{gross}}.");
            site.labels("jira-wil", "SHOP-1", "prfactory", true).await
        }
        None => github.labels("wil", REPO, issue, "prfactory", true).await,
    };
    let retried = std::sync::atomic::AtomicU64::new(0);
    let state = async |wanted: &str| {
        let Some(ticket) = hand.ticket(&key).await else {
            return false;
        };
        // What was cut off too often waits for a person, who has it tried again.
        if ticket.state.name() == "failed" && retried.swap(ticket.run, Ordering::Relaxed) != ticket.run {
            assert!(seed.is_some(), "{:?}", ticket.state);
            says("wil", "@prfactory retry").await;
        }
        ticket.state.name() == wanted
    };
    let reaches = async |wanted: &str| hand.patiently(&world.clock, wanted, async || state(wanted).await).await;
    reaches("awaiting_answers").await;
    says("wil", "@prfactory skip").await;
    reaches("awaiting_refinement_approval").await;
    says("apo", "@prfactory approve").await;
    reaches("awaiting_plan_approval").await;
    let hash = hand.ticket(&key).await.unwrap().plan().unwrap().hash.short().to_owned();
    says("apo", &format!("@prfactory approve {hash}")).await;
    reaches("in_review").await;
    let number = hand.ticket(&key).await.unwrap().pull_request.unwrap().number;
    let head = github.pull(REPO, number).unwrap().head;
    let remarks = [("src/price.py", 4, "Rename `net` to `amount`."), ("src/cart.py", 1, "Hm.")];
    github.reviews("apo", REPO, number, (true, "Nearly."), &remarks).await;
    let revised = async || github.pull(REPO, number).unwrap().head != head && state("in_review").await;
    hand.patiently(&world.clock, "a revision", revised).await;
    github.checked(REPO, number, ("lint", Some("success")), "").await;
    hand.patiently(&world.clock, "a ready pull request", async || !github.pull(REPO, number).unwrap().draft).await;
    github.closes("ada", REPO, number, true).await;
    reaches("completed").await;
    let rest = async || {
        let outside = world.outside();
        let count = |sql: &str| outside.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        count("SELECT COUNT(*) FROM message")
            + count("SELECT COUNT(*) FROM item WHERE sk >= 'OUTBOX#' AND sk < 'OUTBOX$'")
            == 0
    };
    hand.patiently(&world.clock, "empty queues", rest).await;
    let shown = ending(&world, &hand, &key, (issue, number)).await;
    drop(hand);
    world.end().await;
    shown
}

/// How everything ends outside, without what differs from run to run.
async fn ending(world: &World, hand: &Hand, key: &str, (issue, number): (u64, u64)) -> String {
    let github = world.github.as_ref().unwrap();
    let ticket = hand.ticket(key).await.unwrap();
    let hash = ticket.change_set.as_ref().unwrap().hash.clone();
    let change: ChangeSet = artifact::load(&hand.system.engine, hand.client("ada").ctx(), &hash).await.unwrap();
    let mut text = format!("files {:?}\n", change.files.keys().collect::<Vec<_>>());
    let _ = writeln!(text, "pull requests {}", github.pulls(REPO));
    let _ = writeln!(text, "tree {}", world.run_git(&["show", "-s", "--format=%T", "main"]));
    let _ = writeln!(text, "commits {}", world.run_git(&["rev-list", "--count", "main"]));
    let mut said: Vec<String> = Vec::new();
    for number in [issue, number] {
        let ours = github.seen(REPO, number).into_iter().filter(|seen| seen.by.ends_with("[bot]"));
        said.extend(ours.map(|seen| format!("#{number} {}", seen.body)));
    }
    said.extend(github.remarks(REPO, number).into_iter().map(|r| format!("thread {} {}", r.resolved, r.body)));
    for comment in world.site.iter().flat_map(|site| site.seen(key)).filter(|comment| comment.by == "PRFactory") {
        said.push(format!("jira {}", to_markdown(&serde_json::from_value::<Node>(comment.body).unwrap())));
    }
    said.retain(|said| !said.contains("Failed while") && !said.contains("A step failed"));
    said.sort();
    let mut checks: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (name, conclusion, _) in github.checks(REPO, &github.pull(REPO, number).unwrap().head) {
        assert!(checks.insert(name.clone(), conclusion).is_none(), "two checks {name}");
    }
    let _ = writeln!(text, "checks {checks:?}\nissue {:?}\n{}", github.issue(REPO, issue), said.join("\n---\n"));
    let _ = writeln!(text, "jira {:?}", world.site.as_ref().and_then(|site| site.issue(key)));
    let steady = [
        (r"\b[0-9a-f]{12}\b", "HASH"),
        (r"tkt_[0-9a-f]+", "TICKET"),
        (r"\$0\.\d\d", "$$0.0x"),
        (r"\d+ min", "n min"),
        (r"http://127\.0\.0\.1:\d+", "SITE"),
        (r"reply-[^ ]+", "REPLY"),
        (r"(\d+)-answer-HASH", "ANSWER"),
    ];
    steady.iter().fold(text, |text, (from, to)| Regex::new(from).unwrap().replace_all(&text, *to).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_ends_the_same_whatever_is_cut_off_on_the_way() {
    let calm = way(None, false).await;
    for seed in 1..=5 {
        assert_eq!(way(Some(seed * 7_919), false).await, calm, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_jira_ends_the_same_whatever_is_cut_off_on_the_way() {
    let calm = way(None, true).await;
    for seed in 1..=5 {
        assert_eq!(way(Some(seed * 104_729), true).await, calm, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_jira_took_while_its_gateway_gave_up_is_not_made_twice() {
    let world = World::start(Setup { app: true, jira: true, idle: true, ..Setup::default() }).await;
    let site = world.site.as_ref().unwrap();
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let hand = Hand::on_at(&world.dir.path().join("data"), &world.model, clock).await;
    site.connect(&hand.url(&format!("/webhooks/jira/{ENDPOINT}/1")), world.endpoint_secret(1).expose());
    site.creates("SHOP-1", "Call it gross", "Replace {{total}} with {{gross}}.");
    site.trouble("addComment", Trouble::After(503), 1);
    site.comments("jira-wil", "SHOP-1", "@prfactory status").await;
    hand.drain(&QUEUES).await;
    // A list that does not show it yet proves nothing.
    site.trouble("getComments", Trouble::Stale, 1);
    world.clock.forward(7);
    hand.drain(&QUEUES).await;
    assert_eq!(site.seen("SHOP-1").iter().filter(|comment| comment.by == "PRFactory").count(), 1);
    drop(hand);
    world.end().await;
}
