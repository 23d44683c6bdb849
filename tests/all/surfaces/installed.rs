//! What becomes of an installation: repositories that come, go and change their names; tokens; deliveries that were missed.

use std::collections::BTreeSet;

use engine::directory;
use engine::port::Place;
use stories::world::{ADA_JIRA, INSTALLATION, NEXT_ENDPOINT, NEXT_INSTALLATION, REPO, REPO_ID, Setup, World};

use super::issues::{hears, planned};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_one_repository_and_one_purpose_and_one_to_push_is_ended_after_use() {
    let world = World::start(Setup { app: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let (_, key) = planned(&world, "Raise the tax", TAX).await;
    world.approve("ada", &key).await;
    world.reaches(&key, "in_review").await;
    world.drained().await;
    let tokens = github.tokens();
    let mut kinds = BTreeSet::new();
    for (permissions, repos, live) in &tokens {
        assert_eq!(repos.as_slice(), [REPO_ID]);
        let words: Vec<String> = permissions.iter().map(|(name, level)| format!("{name}:{level}")).collect();
        let pushes = permissions.get("contents").is_some_and(|level| level == "write");
        assert!(!pushes || !live, "a token to push is ended after use");
        kinds.insert(words.join(" "));
    }
    let kinds: Vec<String> = kinds.into_iter().collect();
    insta::assert_snapshot!(kinds.join("\n"), @"
    checks:read issues:read metadata:read pull_requests:read statuses:read
    checks:write issues:write metadata:read pull_requests:write
    contents:read metadata:read
    contents:read metadata:read pull_requests:write
    contents:write metadata:read
    ");
    assert_eq!(tokens.iter().filter(|(permissions, ..)| permissions.len() == 5).count(), 1, "kept until it ends");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_github_ended_early_is_replaced() {
    let world = World::start(Setup { app: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let (issue, key) = planned(&world, "Raise the tax", TAX).await;
    world.drained().await;
    github.end_tokens();
    world.approve("ada", &key).await;
    world.reaches(&key, "in_review").await;
    github.comments("wil", REPO, issue, "@prfactory status").await;
    hears(&world, issue, "pull request open. This ticket has spent").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_renamed_goes_on_and_one_that_takes_its_name_is_another() {
    let world = World::start(Setup { app: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let (issue, key) = planned(&world, "Raise the tax", TAX).await;
    world.drained().await;
    assert_eq!(github.renames("ada", REPO, "Codertocat/Shop").await, 202);
    // Somebody makes another repository under the old name, and gives it to the App.
    github.repository(77, REPO, world.repository(), false);
    github.grant(REPO, "mallory", "admin");
    assert_eq!(github.offers("mallory", INSTALLATION, (&[77], &[])).await, 202);
    let spoof = github.opens("mallory", REPO, "Give me everything", TAX);
    github.labels("mallory", REPO, spoof, "prfactory", true).await;
    world.drained().await;
    assert!(github.seen(REPO, spoof).is_empty(), "the name alone leads to nothing");

    world.approve("ada", &key).await;
    let ticket = world.reaches(&key, "in_review").await;
    assert_eq!(github.pulls("Codertocat/Shop"), 1);
    assert_eq!(github.pulls(REPO), 0);
    github.comments("wil", "Codertocat/Shop", issue, "@prfactory status").await;
    let looks = || async {
        let seen = github.seen("Codertocat/Shop", issue);
        seen.into_iter().find(|seen| seen.body.contains("pull request open. This ticket has spent"))
    };
    world.until("an answer under the new name", looks).await;
    github.closes("ada", "Codertocat/Shop", ticket.pull_request.unwrap().number, true).await;
    world.reaches(&key, "completed").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_offered_is_connected_and_one_that_is_taken_away_ends_its_work() {
    let world = World::start(Setup { app: true, jira: true, more: 1, ..Setup::default() }).await;
    let (github, site) = (world.github.as_ref().unwrap(), world.site.as_ref().unwrap());
    let more = world.dir.path().join("repositories/next.git");
    github.repository(88, "Codertocat/Other", more, true);
    github.grant("Codertocat/Other", "wil", "write");
    github.offers("ada", INSTALLATION, (&[88], &[])).await;
    let client = world.client("ada");
    let name = domain::name::RepoName::parse("Codertocat/Other").unwrap();
    let row = || async { directory::repository(&world.system.engine, client.ctx(), &name).await.unwrap() };
    let connected = world.until("the repository", row).await;
    assert_eq!(connected.github.unwrap().id, Some(88));
    let issue = github.opens("wil", "Codertocat/Other", "Raise the tax", TAX);
    let key = format!("Codertocat/Other#{issue}");
    github.labels("wil", "Codertocat/Other", issue, "prfactory", true).await;
    world.to_plan(&key).await;
    // The first time it cannot be ended: the same delivery finds it again.
    let outside = world.outside();
    let stuck =
        "CREATE TRIGGER stuck BEFORE INSERT ON item WHEN NEW.sk = 'TICKET' BEGIN SELECT RAISE(ABORT, 'stuck'); END";
    outside.execute_batch(stuck).unwrap();
    github.offers("ada", INSTALLATION, (&[], &[88])).await;
    let tried = || async {
        let sql = "SELECT COUNT(*) FROM message WHERE queue = 'intake' AND receives > 0 AND visible_at BETWEEN ?1 AND ?1 + 60000000";
        let now = engine::port::Clock::now(world.clock.as_ref()).as_microsecond();
        outside.query_row(sql, [now], |row| row.get::<_, i64>(0)).map(|count| (count > 0).then_some(())).unwrap()
    };
    world.until("a delivery that comes again", tried).await;
    outside.execute_batch("DROP TRIGGER stuck").unwrap();
    world.reaches(&key, "cancelled").await;
    let gone = || async { row().await.is_none().then_some(()) };
    world.until("the repository to be gone", gone).await;

    // A ticket that names a repository which is not connected is told so, and so is one that could mean several.
    site.creates("ELSE-1", "Raise the tax", TAX);
    site.components("ELSE-1", &["Billing"]);
    site.labels(ADA_JIRA, "ELSE-1", "prfactory", true).await;
    let told = super::jira::hears(&world, "ELSE-1", "No repository is mapped").await;
    assert!(told.contains(REPO) && told.contains("octo/more-1"), "{told}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_somebody_else_made_reaches_nothing_of_ours() {
    let world = World::start(Setup { app: true, neighbour: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    // The neighbour says in its settings that our repository is reached through its own installation.
    let now = engine::port::Clock::now(world.clock.as_ref());
    let mut event = stories::world::labelled(now, "SHOP-1", "Raise the tax", TAX);
    event["user"]["accountId"] = serde_json::json!("next-ada");
    assert_eq!(world.deliver(&world.signed_jira(NEXT_ENDPOINT, &event)).await, 202);
    let client = world.client_of("ten_next", "mem_nextada");
    let key = domain::name::TrackerKey::parse("SHOP-1").unwrap();
    let told = || async {
        let place = Place::Ticket(key.clone());
        let all = world.system.tracker.comments(client.ctx(), &place).await.unwrap();
        all.into_iter().find(|posted| posted.text.contains("cannot be worked on"))
    };
    let told = world.until("a refusal", told).await;
    assert!(told.text.contains("not given what it needs"), "{}", told.text);
    assert!(client.find(&key).await.unwrap().is_none());
    assert!(world.ticket("SHOP-1").await.is_none(), "our tenant heard nothing of it");
    // Removed and installed anew under another number: only once that is claimed for the tenant.
    github.removes("ada", INSTALLATION, "deleted").await;
    world.drained().await;
    github.install(4_242, "Codertocat", &[REPO_ID]);
    github.install(NEXT_INSTALLATION, "somebody-else", &[]);
    let again = github.opens("wil", REPO, "Raise the tax", TAX);
    github.labels("wil", REPO, again, "prfactory", true).await;
    world.drained().await;
    assert!(github.seen(REPO, again).is_empty(), "nobody claimed that installation");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_were_missed_are_asked_for_again() {
    let mut world = World::start(Setup { app: true, idle: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    github.deaf(true);
    let issue = github.opens("wil", REPO, "Raise the tax", TAX);
    github.labels("wil", REPO, issue, "prfactory", true).await;
    github.deaf(false);
    let key = format!("{REPO}#{issue}");
    assert!(world.ticket(&key).await.is_none());
    let ours = world.system.github.clone().unwrap();
    let clock = std::sync::Arc::clone(&world.clock);
    let now = || engine::port::Clock::now(clock.as_ref());
    assert_eq!(ours.recover(now()).await.unwrap().again, 1);
    assert_eq!(github.redelivers().await, 1);
    world.work().await;
    world.to_plan(&key).await;
    assert_eq!(ours.recover(now()).await.unwrap().again, 0, "what came through is not asked for again");
    assert_eq!(world.github.as_ref().unwrap().delivered().1, 0);
    world.end().await;
}
