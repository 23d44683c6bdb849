//! A thousand deliveries in a minute for twenty installations: GitHub's limits hold, and every one is answered.

use std::fmt::Write as _;
use std::sync::Arc;

use engine::message::QUEUES;
use engine::port::Clock;
use local::{Settings, seed};
use prfactory::system::System;
use stories::hand::Hand;
use stories::world::{REPO, Setup, ShiftedClock, World};
use testkit::github::{APP, GithubHost, Trouble};
use testkit::model::ScriptedModel;

const FIRMS: u64 = 20;
const DELIVERIES: u64 = 1_000;

/// Twenty tenants, each with an installation, a repository and one person.
fn settings(url: &str) -> String {
    let mut text =
        format!("[github]\napp_id = {APP}\nprivate_key_file = \"app.pem\"\napi = \"{url}\"\nweb = \"{url}\"\n\n");
    for firm in 1..=FIRMS {
        let _ = write!(
            text,
            "[[tenant]]\nid = \"ten_firm{firm}\"\ninstallations = [{firm}]\n\n[[tenant.member]]\nid = \"mem_p{firm}\"\nname = \"p{firm}\"\nrole = \"admin\"\ngithub = {}\n\n[[tenant.repository]]\nname = \"firm{firm}/shop\"\nlocation = \"github\"\n\n",
            500 + firm
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_deliveries_a_minute_stay_below_the_limits_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let clock = Arc::new(ShiftedClock::default());
    let shared = Arc::clone(&clock);
    let github = GithubHost::start(Arc::new(move || shared.now())).await.unwrap();
    std::fs::write(data.join("app.pem"), github.private_key()).unwrap();
    std::fs::write(data.join("prfactory.toml"), settings(&github.url())).unwrap();
    for firm in 1..=FIRMS {
        let (repo, person) = (format!("firm{firm}/shop"), format!("p{firm}"));
        github.repository(firm, &repo, dir.path().join("none.git"), true);
        github.user(500 + firm, &person);
        github.grant(&repo, &person, "admin");
        github.install(firm, &format!("firm{firm}"), &[firm]);
        assert_eq!(github.opens(&person, &repo, "A ticket", "Nobody starts it."), 1);
    }
    let system = System::open_at(&data, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    seed(&system.engine, system.vault.as_ref(), &Settings::load(&data).unwrap()).await.unwrap();
    let secret = system.secrets.versions("github-webhook").unwrap().remove(0);
    let model = ScriptedModel::start().await.unwrap();
    let hand = Hand::on_at(&data, &model, Arc::clone(&clock) as Arc<dyn Clock>).await;
    github.connect(&hand.url("/webhooks/github"), secret.expose());

    let began = clock.now();
    for number in 0..DELIVERIES {
        let firm = number % FIRMS + 1;
        github.comments(&format!("p{firm}"), &format!("firm{firm}/shop"), 1, "@prfactory status").await;
        // A minute in all; what there is to do is done meanwhile.
        if number % (DELIVERIES / 60) == 0 {
            clock.forward(1);
        }
        for queue in QUEUES {
            hand.step(queue).await;
        }
    }
    let (came, missed) = github.delivered();
    assert_eq!((came, missed), (1_000, 0));
    let answered = |firm: u64| {
        let seen = github.seen(&format!("firm{firm}/shop"), 1);
        seen.into_iter().filter(|seen| seen.by.ends_with("[bot]")).count() as u64
    };
    let all = async || (1..=FIRMS).all(|firm| answered(firm) == DELIVERIES / FIRMS);
    hand.patiently(&clock, "an answer to each", all).await;
    let minutes = clock.now().duration_since(began).as_secs() / 60;
    let writes = github.asked().iter().filter(|(operation, _)| operation.contains("create")).count();
    println!(
        "{came} deliveries for {FIRMS} installations, {missed} missed; {writes} writes in {minutes} minutes, {} the most of one installation in a minute; all answered",
        github.busiest()
    );
    assert!(github.busiest() <= 80);
    assert_eq!(github.wrong(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_github_refuses_for_a_moment_is_said_when_the_moment_is_over() {
    let world = World::start(Setup { app: true, idle: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let hand = Hand::on_at(&world.dir.path().join("data"), &world.model, clock).await;
    let secret = world.system.secrets.versions("github-webhook").unwrap().remove(0);
    github.connect(&hand.url("/webhooks/github"), secret.expose());
    github.trouble("issues/create-comment", Trouble::Secondary(5), 1);
    let issue = github.opens("wil", REPO, "Call it gross", "Replace `total` with `gross`.");
    github.comments("wil", REPO, issue, "@prfactory status").await;
    let answers = || github.seen(REPO, issue).iter().filter(|seen| seen.by.ends_with("[bot]")).count();
    hand.drain(&QUEUES).await;
    assert_eq!(answers(), 0);
    world.clock.forward(7);
    hand.drain(&QUEUES).await;
    assert_eq!(answers(), 1);
    drop(hand);
    world.end().await;
}
