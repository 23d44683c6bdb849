//! The whole way on GitHub alone: issue, questions, plan, approval, pull request, review, merge, all by comments.

use stories::world::{REPO, Setup, World};
use testkit::github::GithubHost;

/// What the latest comment of ours that holds a text says.
fn heard(github: &GithubHost, number: u64, text: &str) -> Option<String> {
    let all = github.seen(REPO, number);
    all.into_iter().rfind(|seen| seen.by.ends_with("[bot]") && seen.body.contains(text)).map(|seen| seen.body)
}

async fn hears(world: &World, number: u64, text: &str) -> String {
    let github = world.github.as_ref().unwrap();
    world.until(&format!("{text:?} on #{number}"), || async { heard(github, number, text) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_labelled_issue_becomes_a_merged_pull_request() {
    let world = World::start(Setup { app: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let issue = github.opens("wil", REPO, "Raise the tax", "Replace `total` with `gross`.");
    let key = format!("{REPO}#{issue}");
    assert_eq!(github.labels("wil", REPO, issue, "prfactory", true).await, 202);
    hears(&world, issue, "**Questions").await;
    github.comments("wil", REPO, issue, "@prfactory skip").await;
    hears(&world, issue, "**Refined ticket").await;
    github.comments("apo", REPO, issue, "@prfactory approve").await;
    hears(&world, issue, "**Plan v1").await;
    let ticket = world.reaches(&key, "awaiting_plan_approval").await;
    let hash = ticket.plan().unwrap().hash.short().to_owned();
    github.comments("apo", REPO, issue, &format!("@prfactory approve {hash}")).await;
    let ticket = world.reaches(&key, "in_review").await;
    let pull = ticket.pull_request.as_ref().unwrap();
    let seen = github.pull(REPO, pull.number).unwrap();
    assert!(seen.draft && seen.open);
    assert_eq!(seen.head, pull.head.to_string());
    assert!(github.is_signed(REPO, &seen.head), "the commit was made through the API");
    world.until("the status on the pull request", || async { heard(github, pull.number, "pull request open") }).await;
    github.closes("ada", REPO, pull.number, true).await;
    world.reaches(&key, "completed").await;
    world.drained().await;
    assert_eq!(github.issue(REPO, issue).unwrap().1, false, "the issue is closed");
    world.end().await;
}
