//! A base branch that moves on under an open pull request, and statuses of a commit.

use stories::world::{REPO, Setup, World};
use testkit::github::Trouble;

use super::issues::{hears, planned};

const README: &str = "# shop\n\nSells things.\n\n\n\nPrices are in dollars.\n\n\n\nOpen all day.\n";

/// What we said on an issue or pull request that holds a text.
fn said(world: &World, number: u64, text: &str) -> usize {
    let all = world.github.as_ref().unwrap().seen(REPO, number);
    all.iter().filter(|seen| seen.by.ends_with("[bot]") && seen.body.contains(text)).count()
}

/// Waits until a pull request shows another commit.
async fn moved(world: &World, number: u64, before: &str) -> String {
    let github = world.github.as_ref().unwrap();
    let look = || async { github.pull(REPO, number).filter(|pull| pull.head != before).map(|pull| pull.head) };
    world.until("another commit", look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_conflicts_is_told_once_and_carried_over_with_what_reviews_changed() {
    let mut files = stories::world::usual_files();
    files.retain(|(path, _)| *path != "README.md");
    files.push(("README.md", README.to_owned()));
    let world = World::start(Setup { app: true, files, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let words = "Replace `dollars` with `euros` in `README.md`.";
    let (issue, key) = planned(&world, "Take euros", words).await;
    world.approve("ada", &key).await;
    let first = world.reaches(&key, "in_review").await.pull_request.unwrap();
    let number = first.number;
    // What was written so far is no longer counted.
    world.clock.forward(61);
    let remarks = [("README.md", 3, "Replace `Sells things` with `Sells shoes` in `README.md`.")];
    github.reviews("apo", REPO, number, (true, ""), &remarks).await;
    let reviewed = moved(&world, number, first.head.as_str()).await;
    world.reaches(&key, "in_review").await;
    world.drained().await;

    world.clock.forward(61);
    // What is elsewhere conflicts with nothing.
    github.pushes("wil", REPO, "main", ("src/new.py", "NEW = 1\n")).await;
    world.drained().await;
    assert_eq!(said(&world, number, "conflicts with its base branch"), 0);
    let theirs = README.replace("in dollars.", "in dollars, with tax.").replace("all day", "all week");
    github.pushes("wil", REPO, "main", ("README.md", &theirs)).await;
    hears(&world, number, "The pull request conflicts with its base branch. I do nothing about it unless").await;
    let base = github.pushes("wil", REPO, "main", ("src/new.py", "NEW = 2\n")).await;
    world.drained().await;
    assert_eq!(said(&world, number, "conflicts with its base branch"), 1, "told once");
    assert_eq!(github.pull(REPO, number).unwrap().head, reviewed, "and nothing is done about it");

    world.clock.forward(61);
    github.comments("wil", REPO, number, "@prfactory fix conflicts").await;
    let plan = hears(&world, issue, "**Plan v2").await;
    assert!(plan.body.contains("README.md"), "{}", plan.body);
    world.reaches(&key, "awaiting_plan_approval").await;
    world.clock.forward(61);
    world.approve("ada", &key).await;
    let fixed = moved(&world, number, &reviewed).await;
    world.reaches(&key, "in_review").await;
    world.drained().await;

    let text = world.run_git(&["show", &format!("{fixed}:README.md")]);
    let ours = README.replace("dollars", "euros").replace("things", "shoes").replace("all day", "all week");
    assert_eq!(text, ours.trim_end(), "the change, what the review changed, and what the base branch changed");
    let parents = world.run_git(&["log", "-1", "--format=%P", &fixed]);
    assert_eq!(parents, format!("{reviewed} {base}"), "both sides are its parents");
    world.run_git(&["merge-tree", "--write-tree", "main", &fixed]);
    let asked = world.model.requests().into_iter().rfind(|request| request.to_string().contains("Task: carry out"));
    let asked = asked.unwrap()["messages"][0]["content"][0]["text"].as_str().unwrap().to_owned();
    let open = "Still open:\n- `README.md` has lines that both changed, between `<<<<<<< ours` and `>>>>>>> theirs`.";
    assert!(asked.contains(open) && asked.contains("+||||||| original"), "{asked}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_one_ticket_named_is_watched_as_the_usual_one_is() {
    let world = World::start(Setup { app: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    world.run_git(&["branch", "release", "main"]);
    let issue = github.opens("wil", REPO, "Raise the tax", "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.");
    github.labels("wil", REPO, issue, "prfactory", true).await;
    let key = format!("{REPO}#{issue}");
    world.reaches(&key, "awaiting_refinement_approval").await;
    github.comments("apo", REPO, issue, &format!("@prfactory repo {REPO}@release")).await;
    let named = || async { (world.ticket(&key).await?.target()?.base.as_str() == "release").then_some(()) };
    world.until("another base", named).await;
    world.to_plan(&key).await;
    world.approve("ada", &key).await;
    let number = world.reaches(&key, "in_review").await.pull_request.unwrap().number;
    world.drained().await;
    world.clock.forward(61);
    let looks = || github.asked().iter().filter(|(operation, _)| operation == "pulls/get").count();
    let before = looks();
    github.pushes("wil", REPO, "main", ("src/price.py", "TAX = 0.3\n")).await;
    world.drained().await;
    assert_eq!(looks(), before, "it is based on another");
    github.pushes("wil", REPO, "release", ("src/price.py", "TAX = 0.3\n")).await;
    hears(&world, number, "The pull request conflicts with its base branch.").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_an_older_system_counts_as_a_check() {
    let world = World::start(Setup { app: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let (_, key) = planned(&world, "Raise the tax", "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.").await;
    world.approve("ada", &key).await;
    let number = world.reaches(&key, "in_review").await.pull_request.unwrap().number;
    // Somebody's copy of our branch is named first.
    let head = github.pull(REPO, number).unwrap().head;
    world.run_git(&["branch", "prfactory/0-copy", &head]);
    github.reports(REPO, number, ("ci/old", "pending")).await;
    github.reports(REPO, number, ("ci/other", "success")).await;
    world.drained().await;
    assert!(github.pull(REPO, number).unwrap().draft, "one of two has not ended");
    github.reports(REPO, number, ("ci/old", "success")).await;
    world.until("a ready pull request", async || (!github.pull(REPO, number)?.draft).then_some(())).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_end_before_their_pull_request_is_open_are_not_lost() {
    let world = World::start(Setup { app: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let (_, key) = planned(&world, "Raise the tax", "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.").await;
    github.trouble("pulls/create", Trouble::Before(502), 2);
    world.approve("ada", &key).await;
    let ticket = world.reaches(&key, "publishing").await;
    let branch = ticket.target().unwrap().branch.to_string();
    let pushed = || async { (!world.run_git(&["branch", "--list", &branch]).is_empty()).then_some(()) };
    world.until("a branch", pushed).await;
    github.checked_early(REPO, &branch, ("lint", Some("success"))).await;
    let number = world.reaches(&key, "in_review").await.pull_request.unwrap().number;
    world.until("a ready pull request", async || (!github.pull(REPO, number)?.draft).then_some(())).await;
    world.end().await;
}
