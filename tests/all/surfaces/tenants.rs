//! Two tenants whose tickets and repositories have the same names: neither ever sees anything of the other.

use domain::name::TrackerKey;
use engine::directory::JiraStatuses;
use engine::port::{Clock as _, Secret};
use stories::world::{ADA_JIRA, NEXT_ENDPOINT, REPO, Setup, World};
use testkit::jira::{EMAIL, JiraHost, TOKEN};
use tracker::adf::{Node, to_markdown};
use tracker::jira::Credentials;
use webhooks::endpoint_secret;

/// A second site with the same keys, for the neighbour.
async fn next_site(world: &World) -> JiraHost {
    let clock = std::sync::Arc::clone(&world.clock);
    let site = JiraHost::start(std::sync::Arc::new(move || clock.now())).await.unwrap();
    site.user("next-ada", "nextada", "atlassian");
    site.user("next-apo", "nextapo", "atlassian");
    let credentials = Credentials::Token { email: EMAIL.to_owned(), token: Secret::new(TOKEN.as_bytes()) };
    let client = world.client_of("ten_next", "mem_nextada");
    let (url, statuses) = (site.url(), Some(JiraStatuses::default()));
    world.system.jira.connect(client.ctx(), &url, &credentials, (statuses, None)).await.unwrap();
    let master = world.system.secrets.versions("endpoint-master").unwrap().remove(0);
    let secret = endpoint_secret(&master, &domain::id::EndpointId::parse(NEXT_ENDPOINT).unwrap(), 1).unwrap();
    site.connect(&world.url(&format!("/webhooks/jira/{NEXT_ENDPOINT}/1")), secret.expose());
    site
}

fn said(site: &JiraHost, key: &str) -> String {
    let ours = site.seen(key).into_iter().filter(|comment| comment.by == "PRFactory");
    ours.map(|c| to_markdown(&serde_json::from_value::<Node>(c.body).unwrap())).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_the_same_repository_name_are_two_tickets_of_two_tenants() {
    let setup = Setup { app: true, jira: true, neighbour: true, plain_neighbour: true, ..Setup::default() };
    let world = World::start(setup).await;
    let (ours, github) = (world.site.as_ref().unwrap(), world.github.as_ref().unwrap());
    let theirs = next_site(&world).await;
    for (site, secret) in [(ours, "OURS-ALONE"), (&theirs, "THEIRS-ALONE")] {
        let text = format!("{secret}: replace {{{{TAX = 0.2}}}} with {{{{TAX = 0.25}}}} in {{{{src/price.py}}}}.");
        site.creates("SHOP-1", &format!("Raise the tax {secret}"), &text);
    }
    assert_eq!(ours.labels(ADA_JIRA, "SHOP-1", "prfactory", true).await, 202);
    assert_eq!(theirs.labels("next-ada", "SHOP-1", "prfactory", true).await, 202);
    let key = TrackerKey::parse("SHOP-1").unwrap();
    let (we, they) = (world.client("ada"), world.client_of("ten_next", "mem_nextada"));
    let waits = async |client: &prfactory::client::Client| {
        let ticket = client.find(&key).await.unwrap()?;
        (ticket.state.name() == "awaiting_refinement_approval").then_some(ticket)
    };
    let first = world.until("our ticket", || waits(&we)).await;
    let second = world.until("their ticket", || waits(&they)).await;
    assert_ne!(first.id, second.id);

    // Our people on their site, and their people on ours, are nobody.
    theirs.user(ADA_JIRA, "ada", "atlassian");
    theirs.comments(ADA_JIRA, "SHOP-1", "@prfactory cancel").await;
    ours.user("next-ada", "nextada", "atlassian");
    ours.comments("next-ada", "SHOP-1", "@prfactory cancel").await;
    world
        .until("a word to the stranger", || async { said(ours, "SHOP-1").contains("I do not know you").then_some(()) })
        .await;
    world.drained().await;
    assert_eq!(we.find(&key).await.unwrap().unwrap().state.name(), "awaiting_refinement_approval");
    assert_eq!(they.find(&key).await.unwrap().unwrap().state.name(), "awaiting_refinement_approval");

    ours.comments("jira-apo", "SHOP-1", "@prfactory approve").await;
    world.to_plan("SHOP-1").await;
    world.approve("apo", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world.drained().await;
    assert_eq!(they.find(&key).await.unwrap().unwrap().state.name(), "awaiting_refinement_approval");
    let (on_ours, on_theirs) = (said(ours, "SHOP-1"), said(&theirs, "SHOP-1"));
    assert!(on_ours.contains("OURS-ALONE") && !on_ours.contains("THEIRS"), "{on_ours}");
    assert!(on_theirs.contains("THEIRS-ALONE") && !on_theirs.contains("OURS"), "{on_theirs}");
    assert_eq!(github.pulls(REPO), 1);
    let next = world.dir.path().join("repositories/next.git");
    let branches =
        std::process::Command::new("git").arg("--git-dir").arg(&next).args(["branch", "--list"]).output().unwrap();
    assert_eq!(String::from_utf8(branches.stdout).unwrap().trim(), "* main", "nothing was pushed to their repository");
    assert!(github.asked().iter().all(|(_, installation)| *installation != Some(stories::world::NEXT_INSTALLATION)));
    assert_eq!(theirs.wrong(), Vec::<String>::new());
    world.end().await;
}
