//! The installed GitHub App on the deployed template: its key signs in KMS, and GitHub is an Enterprise Server.

use std::sync::Arc;

use clock::SystemClock;
use engine::port::Clock as _;
use stories::cloud::{Cloud, SHOP};
use stories::world::{ADA_GITHUB, tally};
use testkit::github::GithubHost;

use crate::story::{STEP, TAX};

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_becomes_a_pull_request_through_the_installed_app() {
    let cloud = Cloud::with_policies(1).await;
    let github = GithubHost::start(Arc::new(|| SystemClock.now())).await.unwrap();
    github.repository(1, SHOP, cloud.repository(), true);
    github.user(ADA_GITHUB, "ada");
    github.grant(SHOP, "ada", "admin");
    github.install(1, "octo", &[1]);
    cloud.install(&github).await;

    let issue = github.opens("ada", SHOP, "Raise the tax", TAX);
    github.labels("ada", SHOP, issue, "prfactory", true).await;
    let key = format!("{SHOP}#{issue}");
    let say = async |command: String| {
        github.comments("ada", SHOP, issue, &format!("@prfactory {command}")).await;
    };
    let ticket = cloud.guided_by(1, &key, STEP, say).await;
    let branch = ticket.target().unwrap().branch.to_string();
    let number = ticket.pull_request.unwrap().number;
    let pull = github.pull(SHOP, number).unwrap();
    assert!(pull.draft);
    assert_eq!(pull.head, cloud.run_git(&["rev-parse", &branch]));
    assert_eq!(cloud.run_git(&["show", &format!("{branch}:src/price.py")]).lines().next(), Some("TAX = 0.25"));
    // Made ready through GraphQL, which is beside the REST API there.
    github.checked(SHOP, number, ("lint", Some("success")), "").await;
    cloud.until("a ready pull request", STEP, || !github.pull(SHOP, number).unwrap().draft).await;
    github.closes("ada", SHOP, number, true).await;
    cloud.reaches((1, &key), &["completed"], STEP).await;
    assert_eq!(github.wrong(), Vec::<String>::new());
    assert_eq!(github.delivered(), (5, 0));
    tally();
}
