//! Two tenants with everything by the same names: whatever one of them says or is sent, the other's rows stay.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use commands::VERBS;
use domain::name::TrackerKey;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use stories::serve::binary;
use stories::world::{
    ADA_GITHUB, ADA_JIRA, ENDPOINT, INSTALLATION, NEXT_ENDPOINT, NEXT_INSTALLATION, Setup, World, recorded,
};

/// One of the two, as it acts and as it is looked at from outside.
struct Side {
    tenant: &'static str,
    endpoint: &'static str,
    installation: u64,
    jira: &'static str,
    github: u64,
    /// A word that only this side's tickets hold.
    word: &'static str,
    repository: &'static str,
}

const ACME: Side = Side {
    tenant: "ten_acme",
    endpoint: ENDPOINT,
    installation: INSTALLATION,
    jira: ADA_JIRA,
    github: ADA_GITHUB,
    word: "acmeword",
    repository: "shop.git",
};
const NEXT: Side = Side {
    tenant: "ten_next",
    endpoint: NEXT_ENDPOINT,
    installation: NEXT_INSTALLATION,
    jira: "next-ada",
    github: 101,
    word: "nextword",
    repository: "next.git",
};

impl Side {
    /// Every row, blob and branch of this side.
    fn everything(&self, world: &World) -> BTreeMap<String, String> {
        let outside = world.outside();
        let sql = "SELECT pk, sk, version, fence, lease_until, listing_pk, listing_sk, due, expires, body FROM item WHERE pk LIKE ?1";
        let mut rows = outside.prepare(sql).unwrap();
        let found = rows.query_map([format!("T#{}#%", self.tenant)], |row| {
            let text = |at| match row.get_ref(at).unwrap() {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            };
            let columns: Vec<String> = (0..10).map(text).collect();
            Ok((format!("{} {}", columns[0], columns[1]), columns.join("|")))
        });
        let mut all: BTreeMap<String, String> = found.unwrap().map(Result::unwrap).collect();
        files(&world.dir.path().join("data/blobs").join(self.tenant), &mut all);
        files(&world.dir.path().join("repositories").join(self.repository), &mut all);
        all
    }

    async fn jira(&self, world: &World, mut event: Value, by: &str) -> u16 {
        let comment = event["webhookEvent"] == "comment_created";
        event[if comment { "comment" } else { "user" }][if comment { "author" } else { "accountId" }] = if comment {
            json!({ "accountId": by, "accountType": "atlassian", "displayName": "ada" })
        } else {
            json!(by)
        };
        world.deliver(&world.signed_jira(self.endpoint, &event)).await
    }

    async fn github(&self, world: &World, name: &str, event: &str) -> u16 {
        let mut body = recorded(&format!("github/{name}"));
        body["installation"]["id"] = json!(self.installation);
        body["sender"]["id"] = json!(self.github);
        for place in ["review", "comment"] {
            if body[place].is_object() {
                body[place]["user"]["id"] = json!(self.github);
            }
        }
        if body["pull_request"].is_object() {
            body["pull_request"]["number"] = json!(1);
        }
        if body["label"].is_object() {
            body["label"]["name"] = json!("prfactory");
        }
        if body["review"].is_object() {
            body["review"]["state"] = json!("changes_requested");
        }
        world.deliver(&world.signed_github(event, "d", &body)).await
    }
}

fn files(folder: &Path, all: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.insert(
                path.display().to_string(),
                String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(),
            );
        }
    }
}

/// Both sides with the same keys: `SHOP-1` waits for its plan, `SHOP-2` and pull request 1 are in review.
async fn two() -> World {
    let world = World::start(Setup { neighbour: true, ..Setup::default() }).await;
    for side in [&ACME, &NEXT] {
        for key in ["SHOP-1", "SHOP-2"] {
            let text = format!("{} Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.", side.word);
            let title = format!("Tax {}", side.word);
            assert_eq!(side.jira(&world, world.labelled(key, &title, &text), side.jira).await, 202);
            let client = world.client_of(side.tenant, "ada");
            let parsed = TrackerKey::parse(key).unwrap();
            for _ in 0..4 {
                let waits = || async {
                    let ticket = client.find(&parsed).await.unwrap()?;
                    ticket.state.stage().is_none().then_some(ticket)
                };
                let ticket = world.until("a wait", waits).await;
                let command = match ticket.state.name() {
                    "awaiting_answers" => "skip".to_owned(),
                    "awaiting_refinement_approval" => "approve".to_owned(),
                    "awaiting_plan_approval" if key == "SHOP-2" => {
                        format!("approve {}", ticket.plan().unwrap().hash.short())
                    }
                    _ => break,
                };
                client.say(&parsed, &command).await.unwrap();
            }
        }
    }
    world.drained().await;
    world
}

/// Every command with arguments that make sense.
fn commands_of(hash: &str) -> Vec<String> {
    let mut all = vec![String::new(), "no-such-verb".to_owned()];
    for verb in VERBS {
        let arguments = match verb.name {
            "ask" | "replan" | "reject" => vec!["Use another rate."],
            "answer" => vec!["1: yes"],
            "approve" => vec!["", hash, "0123456789ab -- note"],
            "fix" => vec!["", "ci", "review Replace `dollars` with `euros` in `README.md`."],
            "autofix" => vec!["on", "off"],
            "budget" => vec!["", "+1"],
            "model" => vec!["claude-sonnet-4-5"],
            "repo" => vec!["Codertocat/Hello-World@main"],
            _ => vec![""],
        };
        all.extend(arguments.iter().map(|arguments| format!("{} {arguments}", verb.name).trim_end().to_owned()));
    }
    all
}

async fn acts_without_touching(world: &World, actor: &Side, other: &Side) {
    let foreign =
        world.client_of(other.tenant, "ada").find(&TrackerKey::parse("SHOP-1").unwrap()).await.unwrap().unwrap();
    let hash = foreign.plan().unwrap().hash.short().to_owned();
    let before = other.everything(world);
    assert!(before.len() > 50, "there is something to touch");
    let (mut cases, mut id) = (0, 700_000);
    for command in commands_of(&hash) {
        for key in ["SHOP-1", "SHOP-2", "SHOP-99"] {
            id += 1;
            let client = world.client_of(actor.tenant, "ada");
            let answer = client.say(&TrackerKey::parse(key).unwrap(), &command).await.unwrap();
            assert!(!format!("{answer:?}").contains(other.word), "{command}: {answer:?}");
            let text = format!("@prfactory {command}");
            // Said by our own member, by the other side's, and by a stranger.
            for by in [actor.jira, other.jira, "nobody-at-all"] {
                id += 1;
                assert_eq!(actor.jira(world, world.commented(key, &id.to_string(), &text), by).await, 202);
            }
            cases += 4;
        }
        for (person, on_pull_request) in [(actor.github, true), (actor.github, false), (other.github, true)] {
            id += 1;
            let event =
                world.commented_on_github((actor.installation, person), 1, on_pull_request, id, &text_of(&command));
            assert_eq!(world.deliver(&world.signed_github("issue_comment", "d", &event)).await, 202);
            cases += 1;
        }
    }
    cases += sent_by_providers(world, actor, other).await;
    cases += on_the_command_line(world, actor, other);
    world.drained().await;
    let after = other.everything(world);
    for (place, row) in &before {
        assert_eq!(after.get(place), Some(row), "{} changed {place}", actor.tenant);
    }
    assert_eq!(before.len(), after.len(), "{} added rows to {}", actor.tenant, other.tenant);
    println!(
        "{} acted {cases} times; {} rows, blobs and files of {} are as they were",
        actor.tenant,
        before.len(),
        other.tenant
    );
}

/// Every kind of delivery through the actor's own connections.
async fn sent_by_providers(world: &World, actor: &Side, other: &Side) -> usize {
    let mut cases = 0;
    for (name, event) in [
        ("issues.labeled", "issues"),
        ("issues.unlabeled", "issues"),
        ("pull_request_review_comment.created", "pull_request_review_comment"),
        ("pull_request_review.submitted", "pull_request_review"),
        ("check_suite.completed", "check_suite"),
        ("pull_request.closed.merged", "pull_request"),
        ("installation.created", "installation"),
        ("installation.deleted", "installation"),
    ] {
        assert_eq!(actor.github(world, name, event).await, 202, "{name}");
        cases += 1;
    }
    for by in [actor.jira, other.jira] {
        let event = world.labelled("SHOP-1", "Tax", "Anew.");
        assert_eq!(actor.jira(world, event, by).await, 202);
        cases += 1;
    }
    // The signature of one side's endpoint opens nothing at the other's.
    let mut signed = world.signed_jira(actor.endpoint, &world.labelled("SHOP-1", "Tax", "x"));
    signed.path = format!("/webhooks/jira/{}/1", other.endpoint);
    assert_eq!(world.deliver(&signed).await, 401);
    cases
}

fn text_of(command: &str) -> String {
    format!("/prfactory {command}")
}

/// Runs the binary as the actor: what belongs to the other side neither shows nor answers.
fn on_the_command_line(world: &World, actor: &Side, other: &Side) -> usize {
    let data = world.dir.path().join("data").display().to_string();
    let calls: [&[&str]; 12] = [
        &["ticket", "list"],
        &["ticket", "show", "SHOP-1"],
        &["ticket", "show", "SHOP-2"],
        &["status", "SHOP-1"],
        &["pr", "SHOP-2"],
        &["answer", "SHOP-1", "1: yes"],
        &["approve", "SHOP-1"],
        &["reject", "SHOP-1", "no"],
        &["replan", "SHOP-1", "Other."],
        &["retry", "SHOP-1"],
        &["say", "SHOP-2", "status"],
        &["cancel", "SHOP-1"],
    ];
    for call in calls {
        let own = ["--data", &data, "--tenant", actor.tenant, "--as", "ada", "--json"];
        let output = Command::new(binary()).args(own).args(call).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains(other.word) && !said.is_empty(), "{call:?}: {said}");
        let member = if other.tenant == "ten_next" { "mem_nextada" } else { "mem_ada" };
        let foreign = ["--data", &data, "--tenant", actor.tenant, "--as", member, "--json"];
        let output = Command::new(binary()).args(foreign).args(call).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("no such member"), "{call:?} as {member}: {said}");
    }
    calls.len() * 2
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_delivery_or_call_of_one_tenant_reaches_the_other() {
    for (actor, other) in [(&NEXT, &ACME), (&ACME, &NEXT)] {
        let world = two().await;
        acts_without_touching(&world, actor, other).await;
        everything_is_somebodys(&world);
        world.end().await;
    }
}

fn everything_is_somebodys(world: &World) {
    // Each side's own words stayed on its own side: in rows, in comments, in blobs, in what the model was asked.
    for (side, other) in [(&ACME, &NEXT), (&NEXT, &ACME)] {
        let rows = side.everything(world);
        let own: Vec<&String> = rows.values().filter(|row| row.contains(side.word)).collect();
        assert!(!own.is_empty());
        assert!(rows.values().all(|row| !row.contains(other.word)), "{} holds words of {}", side.tenant, other.tenant);
    }
    let mixed =
        world.model.requests().iter().any(|r| r.to_string().contains(ACME.word) && r.to_string().contains(NEXT.word));
    assert!(!mixed, "one conversation holds words of both");
    let sql = "SELECT DISTINCT pk FROM item WHERE pk NOT LIKE 'T#ten_acme#%' AND pk NOT LIKE 'T#ten_next#%' AND pk NOT IN ('T#ten_acme', 'T#ten_next')";
    let outside = world.outside();
    let mut others = outside.prepare(sql).unwrap();
    let others: Vec<String> = others.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for place in &others {
        let named = ["INSTALLATION#", "ENDPOINT#", "IDENTITY#"].iter().any(|prefix| place.starts_with(prefix));
        assert!(named, "{place} belongs to nobody");
    }
}
