//! What goes wrong around us: disks, locks, clocks and git servers.

use std::process::Command;
use std::time::Duration;

use domain::state::State;
use stories::disk::may_mount;
use stories::serve::binary;
use stories::world::{ENDPOINT, Setup, World};
use testkit::git::Trouble;

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
const READING: &str = "git-upload-pack";
const PUSHING: &str = "git-receive-pack";

fn over_http() -> Setup {
    Setup { http: true, patience: Some(Duration::from_millis(700)), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_git_server_refuses_is_told_with_who_must_act_and_retry_goes_on() {
    let world = World::start(over_http()).await;
    let git = world.git.as_ref().unwrap();
    let refusals = [
        (401, "does not accept the credentials", "credentials"),
        (403, "does not allow this", "permission"),
        (404, "has no such repository, or hides it", "permission"),
    ];
    for (status, says, category) in refusals {
        let key = format!("SHOP-{status}");
        git.trouble(Some((Trouble::Status(status), READING)));
        world.jira(&world.labelled(&key, "Tax", TAX)).await;
        world.reaches(&key, "failed").await;
        let heard = world.hears(&key, says).await;
        assert!(heard.contains(category) && heard.contains("whoever administers the connection"), "{heard}");
        assert!(heard.contains("@prfactory retry"), "{heard}");
        git.trouble(Some((Trouble::Status(status), PUSHING)));
        world.say("wil", &key, "retry").await;
        world.to_plan(&key).await;
        world.approve("ada", &key).await;
        let failed = world.reaches(&key, "failed").await;
        assert!(
            matches!(&failed.state, State::Failed { from, .. } if **from == State::Publishing),
            "{:?}",
            failed.state
        );
        git.trouble(None);
        let calls = world.model.calls();
        world.say("wil", &key, "retry").await;
        world.reaches(&key, "in_review").await;
        assert_eq!(world.model.calls(), calls, "retry goes on from the push, not from the start");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_at_a_git_server_is_waited_for_and_a_push_is_never_made_twice() {
    let world = World::start(over_http()).await;
    let git = world.git.as_ref().unwrap();
    let troubles = [
        (Trouble::Status(429), "rate limit", "rate limit"),
        (Trouble::Status(500), "temporary failure", "unknown outcome"),
        (Trouble::Hang, "does not answer", "does not answer"),
        (Trouble::CutOff, "broke off", "broke off"),
        (Trouble::Drip, "takes too long", "takes too long"),
    ];
    for (number, (trouble, reading, pushing)) in troubles.into_iter().enumerate() {
        let key = format!("SHOP-{number}");
        git.trouble(Some((trouble, READING)));
        world.jira(&world.labelled(&key, "Tax", TAX)).await;
        let seen = |words: &'static str| {
            let (world, key) = (&world, key.clone());
            move || {
                let key = key.clone();
                async move {
                    world.ticket(&key).await?;
                    world.history(&key).await.iter().any(|line| line.contains(words)).then_some(())
                }
            }
        };
        world.until(reading, seen(reading)).await;
        git.trouble(Some((trouble, PUSHING)));
        world.to_plan(&key).await;
        world.approve("ada", &key).await;
        world.until(pushing, seen(pushing)).await;
        git.trouble(None);
        let ticket = world.reaches(&key, "in_review").await;
        let branch = ticket.target().unwrap().branch.to_string();
        assert_eq!(world.run_git(&["rev-list", "--count", &format!("main..{branch}")]), "1", "{trouble:?}");
    }
    world.run_git(&["fsck", "--strict"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_server_that_fails_for_long_ends_in_a_reply_and_retry_goes_on() {
    let world = World::start(over_http()).await;
    let git = world.git.as_ref().unwrap();
    git.trouble(Some((Trouble::Status(503), READING)));
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.until("the ticket", || world.ticket("SHOP-1")).await;
    let failed = || async {
        // Put the clock on, so that nobody waits for the pauses between tries.
        world.clock.forward(5);
        (world.ticket("SHOP-1").await?.state.name() == "failed").then_some(())
    };
    world.until("the end of patience", failed).await;
    let heard = world.hears("SHOP-1", "the git server failed (HTTP 503)").await;
    assert!(heard.contains("temporary failure") && heard.contains("it can simply be retried"), "{heard}");
    git.trouble(None);
    world.say("wil", "SHOP-1", "retry").await;
    world.to_plan("SHOP-1").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_somebody_locks_refuses_for_a_while_and_loses_nothing() {
    let world = World::start(Setup::default()).await;
    let plan = world.planned("SHOP-1", "Tax", TAX).await.plan().unwrap().hash.short().to_owned();
    world.drained().await;
    let approve = world.signed_jira(ENDPOINT, &world.commented("SHOP-1", "71", &format!("@prfactory approve {plan}")));
    let outside = world.outside();
    outside.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(world.deliver(&approve).await, 503, "what cannot be kept is not accepted");
    outside.execute_batch("ROLLBACK").unwrap();
    assert_eq!(world.deliver(&approve).await, 202);
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_an_hour_stops_nothing() {
    let world = World::start(over_http()).await;
    let git = world.git.as_ref().unwrap();
    git.trouble(Some((Trouble::Hang, READING)));
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    let leased = || async {
        let row = world.outside().query_row(
            "SELECT COUNT(*) FROM item WHERE sk = 'TICKET' AND lease_until IS NOT NULL",
            [],
            |row| row.get::<_, i64>(0),
        );
        (row.unwrap() > 0).then_some(())
    };
    world.until("a lease", leased).await;
    world.clock.forward(-3_600);
    git.trouble(None);
    world.to_plan("SHOP-1").await;
    world.clock.forward(-3_600);
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world.hears("SHOP-1", "pull request").await;
    world.drained().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_in_loses_nothing_and_goes_on_when_there_is_room() {
    if !may_mount() {
        return;
    }
    let world = World::start(Setup { apart: true, http: true, disk: Some(16), ..Setup::default() }).await;
    let disk = world.disk.as_ref().unwrap();
    let plan = world.planned("SHOP-1", "Tax", TAX).await.plan().unwrap().hash.short().to_owned();
    world.drained().await;
    disk.fill();
    let approve = world.signed_jira(ENDPOINT, &world.commented("SHOP-1", "71", &format!("@prfactory approve {plan}")));
    let mut refused = 0;
    // The write-ahead log may have room for a few more.
    for number in 0..200 {
        let padding = "x".repeat(20_000);
        let text = world.commented("SHOP-1", &format!("{}", 500 + number), &padding);
        refused += usize::from(world.jira(&text).await == 503);
        if refused > 3 {
            break;
        }
    }
    assert!(refused > 3, "the disk was full and nobody said so");
    assert_eq!(world.deliver(&approve).await, 503);
    disk.clear();
    assert_eq!(world.deliver(&approve).await, 202);
    world.reaches("SHOP-1", "in_review").await;

    world.git.as_ref().unwrap().pace().set(1, Duration::from_millis(400));
    world.jira(&world.labelled("SHOP-2", "Tax", TAX)).await;
    world.until("the ticket", || world.ticket("SHOP-2")).await;
    disk.fill();
    let log = || async {
        let log = std::fs::read_to_string(world.dir.path().join("data/serve.log")).ok()?;
        (log.contains("full") || log.contains("No space left")).then_some(())
    };
    world.until("a complaint", log).await;
    disk.clear();
    world.to_plan("SHOP-2").await;
    world.drained().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_explained_and_nothing_is_lost() {
    if !may_mount() {
        return;
    }
    let mut world = World::start(Setup { apart: true, disk: Some(16), ..Setup::default() }).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.drained().await;
    let data = world.dir.path().join("data");
    // The world's own connections keep the disk from being made read-only: this is what the operator sees.
    let copy = world.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    world.serve.take();
    let disk = stories::disk::Disk::on(&copy, 16);
    for name in ["state.db", "prfactory.toml", "secrets.toml"] {
        let _ = std::fs::copy(data.join(name), copy.join(name));
    }
    disk.read_only(true);
    for command in [vec!["serve", "--listen", "127.0.0.1:0"], vec!["ticket", "list"]] {
        let output = Command::new(binary())
            .args(["--data", copy.to_str().unwrap(), "--as", "ada"])
            .args(&command)
            .env("ANTHROPIC_API_KEY", "x")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("copy cannot be written") && said.contains("Read-only"), "{command:?}: {said}");
    }
    world.restart();
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    world.end().await;
}
