//! Connecting a tenant by its command line: an installation that is claimed, and a site of Jira.

use std::process::Stdio;

use engine::directory::{self, JiraLogin};
use engine::port::Secret;
use serde_json::Value;
use stories::serve::binary;
use stories::world::{ADA_JIRA, Setup, World};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
/// An installation that nobody named in the settings, of an organisation.
const GUILD: u64 = 4_242;

fn types(world: &World, whose: &str, arguments: &[&str]) -> Command {
    let (tenant, member) = whose.split_once('/').unwrap();
    let mut command = Command::new(binary());
    command.arg("--data").arg(world.dir.path().join("data")).args(["--json", "--tenant", tenant, "--as", member]);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// What a command printed, line by line, and whether it was content.
async fn printed(child: Child) -> (Vec<Value>, bool) {
    let output = child.wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), output.status.success())
}

/// Begins a claim, lets a person enter its code, and says what came of it.
async fn claims(world: &World, whose: &str, more: &[&str], (login, agrees): (&str, bool)) -> Result<Value, String> {
    let mut child = types(world, whose, &[&["github", "claim"], more].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap_or_default();
    let first: Value = serde_json::from_str(&first).unwrap_or_default();
    if let Some(code) = first["enter"].as_str() {
        assert!(world.github.as_ref().unwrap().enters(login, code, agrees), "{first}");
    }
    let mut last = first;
    while let Some(line) = lines.next_line().await.unwrap() {
        last = serde_json::from_str(&line).unwrap();
    }
    let (errors, content) = printed(child).await;
    let said = errors.first().unwrap_or(&last)["error"].as_str().unwrap_or_default().to_owned();
    if content { Ok(last) } else { Err(said) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_is_claimed_by_whoever_administers_its_account_and_by_nobody_else() {
    let world = World::start(Setup { app: true, neighbour: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    github.repository(88, "guild/tools", world.dir.path().join("repositories/next.git"), true);
    github.install(GUILD, "guild", &[88]);
    github.grant("guild/tools", "wil", "write");
    github.grant("guild/tools", "ada", "admin");

    let (ada, number) = ("ten_acme/ada", GUILD.to_string());
    let this = ["--installation", number.as_str()];
    for login in ["mallory", "wil"] {
        // A code that was passed on to somebody else is nothing to claim with.
        let refused = claims(&world, ada, &this, (login, true)).await.unwrap_err();
        assert!(refused.starts_with(&format!("@{login} signed in at GitHub and is no admin of ten_acme")), "{refused}");
    }
    // Who may administer a repository of it does not own the organisation.
    let refused = claims(&world, ada, &this, ("ada", true)).await.unwrap_err();
    assert!(refused.starts_with("you do not administer the account of installation 4242"), "{refused}");
    let nothing = claims(&world, ada, &[], ("ada", true)).await.unwrap_err();
    assert!(nothing.starts_with("the App is not installed on any account that you administer"), "{nothing}");
    github.owns("guild", "ada");
    let declined = claims(&world, ada, &this, ("ada", false)).await.unwrap_err();
    assert!(declined.contains("the person declined"), "{declined}");
    let writer = claims(&world, "ten_acme/wil", &this, ("ada", true)).await.unwrap_err();
    assert!(writer.contains("needs the role admin"), "{writer}");
    let issue = github.opens("wil", "guild/tools", "Raise the tax", TAX);
    github.labels("wil", "guild/tools", issue, "prfactory", true).await;
    world.drained().await;
    assert!(github.seen("guild/tools", issue).is_empty(), "nobody has claimed it");

    let claimed = claims(&world, ada, &this, ("ada", true)).await.unwrap();
    assert_eq!(claimed["repositories"], serde_json::json!(["guild/tools"]), "{claimed}");
    assert_eq!(claimed["tenant"], "ten_acme");
    let next = world.client_of("ten_next", "mem_nextada");
    let taken = directory::claim(&world.system.engine, next.ctx(), GUILD).await.unwrap_err();
    assert!(taken.message.contains("belongs to another tenant"), "{taken}");
    let again = github.opens("wil", "guild/tools", "Raise the tax", TAX);
    github.labels("wil", "guild/tools", again, "prfactory", true).await;
    world.to_plan(&format!("guild/tools#{again}")).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_jira_is_connected_with_what_is_missing_named() {
    let world = World::start(Setup { app: true, jira: true, ..Setup::default() }).await;
    let site = world.site.as_ref().unwrap();
    let token = world.dir.path().join("token");
    std::fs::write(&token, format!("{}\n", testkit::jira::TOKEN)).unwrap();
    let (url, hooks) = (site.url(), world.url(""));
    let token = token.to_str().unwrap().to_owned();
    let account =
        ["jira", "connect", "--site", &url, "--email", testkit::jira::EMAIL, "--token-file", &token, "--url", &hooks];
    let (said, content) = printed(types(&world, "ten_acme/wil", &account).spawn().unwrap()).await;
    assert!(!content && said[0]["error"].as_str().unwrap().contains("needs the role admin"), "{said:?}");

    site.forbid("TRANSITION_ISSUES", true);
    let (said, content) = printed(types(&world, "ten_acme/ada", &account).spawn().unwrap()).await;
    assert!(!content, "{said:?}");
    assert_eq!(said[0]["missing"][0][0], "TRANSITION_ISSUES", "{said:?}");
    site.forbid("TRANSITION_ISSUES", false);
    let (said, content) = printed(types(&world, "ten_acme/ada", &account).spawn().unwrap()).await;
    assert!(content, "{said:?}");
    assert_eq!((&said[0]["name"], &said[1]["registered"]), (&Value::from("PRFactory"), &Value::from(true)), "{said:?}");
    let (said, content) = printed(types(&world, "ten_acme/wil", &["jira", "test"]).spawn().unwrap()).await;
    assert!(content && said[0]["missing"] == serde_json::json!([]), "{said:?}");

    // What the site delivers from now on arrives.
    site.creates("SHOP-1", "Raise the tax", TAX);
    assert_eq!(site.labels(ADA_JIRA, "SHOP-1", "prfactory", true).await, 202);
    world.to_plan("SHOP-1").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_oauth_is_renewed_when_it_ends_in_time_or_before() {
    let world = World::start(Setup { app: true, jira: true, ..Setup::default() }).await;
    let (site, client) = (world.site.as_ref().unwrap(), world.client("ada"));
    let sealed = async |text: &str| {
        let secret = Secret::new(text.as_bytes());
        world.system.vault.seal(client.ctx(), tracker::jira::PURPOSE, &secret).await.unwrap()
    };
    site.refreshes("refresh-0");
    let mut row = directory::jira(&world.system.engine, client.ctx()).await.unwrap().unwrap();
    row.login = JiraLogin::OAuth {
        token_url: format!("{}/oauth/token", site.url()),
        client: "client".to_owned(),
        secret: sealed("hidden").await,
        refresh: sealed("refresh-0").await,
        access: None,
        until: None,
    };
    directory::store_jira(&world.system.engine, client.ctx(), &row).await.unwrap();
    let stored = async || directory::jira(&world.system.engine, client.ctx()).await.unwrap().unwrap().login;

    site.creates("SHOP-1", "Raise the tax", TAX);
    assert_eq!(site.labels(ADA_JIRA, "SHOP-1", "prfactory", true).await, 202);
    super::jira::hears(&world, "SHOP-1", "**Refined ticket").await;
    world.drained().await;
    let first = stored().await;
    assert_ne!(first, row.login, "the refresh token is another after its use");

    world.clock.forward(600);
    site.ends_access();
    site.comments(ADA_JIRA, "SHOP-1", "@prfactory approve").await;
    super::jira::hears(&world, "SHOP-1", "**Plan v1").await;
    world.drained().await;
    let second = stored().await;
    assert_ne!(second, first, "it ended early, and was renewed");

    world.clock.forward(3_600);
    site.comments(ADA_JIRA, "SHOP-1", "@prfactory help").await;
    super::jira::hears(&world, "SHOP-1", "works on the open pull request").await;
    world.drained().await;
    assert_ne!(stored().await, second, "it ended in time, and was renewed");
    world.end().await;
}
