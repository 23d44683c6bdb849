//! Every class of failure, as people read it on an issue and in Jira.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use stories::world::{ADA_JIRA, REPO, Setup, World};
use testkit::github::Trouble;
use tracker::adf::{Node, to_markdown};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
/// How often a step is tried before a failure that passes counts as one.
const TRIES: usize = 5;

/// What people read of a failure on a surface; the ticket is `retry`-ed and called off afterwards, so that it also ends.
async fn failed(world: &World, key: &str, number: Option<u64>) -> String {
    world.reaches(key, "failed").await;
    let said = || async {
        let all: Vec<String> = if let Some(number) = number {
            let seen = world.github.as_ref().unwrap().seen(REPO, number).into_iter();
            seen.map(|seen| seen.body.split("\n\n<!--").next().unwrap_or_default().to_owned()).collect()
        } else {
            let seen = world.site.as_ref().unwrap().seen(key).into_iter();
            seen.map(|seen| to_markdown(&serde_json::from_value::<Node>(seen.body).unwrap())).collect()
        };
        all.into_iter().rfind(|text| text.starts_with("**Failed while"))
    };
    let text = world.until("a word about the failure", said).await;
    world.say("wil", key, "cancel").await;
    world.reaches(key, "cancelled").await;
    world.drained().await;
    // Neither the minute's writes nor those of twenty minutes are counted any longer.
    world.clock.forward(1_201);
    text.replace(key, "KEY").trim().to_owned()
}

/// The file of a blob.
fn blob(folder: &Path, hash: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let mut found = None;
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        found = found.or(if path.is_dir() { blob(&path, hash) } else { name.contains(hash).then_some(path) });
    }
    found
}

/// Starts one ticket on each surface and says what people read of what went wrong, once if it is the same.
async fn both(world: &World, name: &str, count: u64, trouble: impl Fn(), late: Option<&dyn Fn(&str)>) -> String {
    let (github, site) = (world.github.as_ref().unwrap(), world.site.as_ref().unwrap());
    let mut texts = Vec::new();
    for in_jira in [false, true] {
        let (key, number) = if in_jira {
            let key = format!("SHOP-{count}");
            site.creates(&key, "Raise the tax", TAX);
            (key, None)
        } else {
            let number = github.opens("wil", REPO, "Raise the tax", TAX);
            (format!("{REPO}#{number}"), Some(number))
        };
        trouble();
        let taken = match number {
            Some(number) => github.labels("wil", REPO, number, "prfactory", true).await,
            None => site.labels(ADA_JIRA, &key, "prfactory", true).await,
        };
        assert_eq!(taken, 202, "{name}");
        if let Some(late) = late {
            world.to_plan(&key).await;
            let snapshot = world.ticket(&key).await.unwrap().target().unwrap().snapshot.clone().unwrap();
            late(snapshot.as_str());
            world.approve("ada", &key).await;
        }
        texts.push(failed(world, &key, number).await);
    }
    let mut told = format!("# {name}\n{}\n", texts[0]);
    if texts[1] != texts[0] {
        let _ = writeln!(told, "## in Jira\n{}", texts[1]);
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_failure_says_what_happened_who_must_act_and_what_to_say_next() {
    let world = World::start(Setup { app: true, jira: true, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let model = |status: u16, times: usize| {
        let model = &world.model;
        move || (0..times).for_each(|_| model.fail_next(status, "out of order"))
    };
    let mut told = Vec::new();
    told.push(both(&world, "temporary failure", 1, model(500, TRIES), None).await);
    told.push(both(&world, "rate limit", 2, model(429, TRIES), None).await);
    told.push(both(&world, "quota", 3, model(402, 1), None).await);
    told.push(both(&world, "credentials", 4, model(401, 1), None).await);
    told.push(both(&world, "permission", 5, model(403, 1), None).await);
    told.push(both(&world, "needs a change", 6, model(400, 1), None).await);
    let lost = |_: &str| github.trouble("git/create-tree", Trouble::After(502), TRIES);
    told.push(both(&world, "unknown outcome", 7, || (), Some(&lost)).await);
    let blobs = world.dir.path().join("data/blobs");
    let kept = RefCell::new(None);
    let damage = |hash: &str| {
        let path = blob(&blobs, hash).unwrap();
        kept.replace(Some((path.clone(), std::fs::read(&path).unwrap())));
        std::fs::write(path, b"damaged").unwrap();
    };
    let mend = || kept.take().into_iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    told.push(both(&world, "internal error", 8, mend, Some(&damage)).await);
    // Where the two surfaces differed, both would stand here.
    insta::assert_snapshot!(told.join("\n"), @r"
    # temporary failure
    **Failed while reading the repository** (temporary failure)

    the model provider failed (HTTP 500)

    It was retried and kept failing. Who must act: nobody; it can simply be retried. Then say `@prfactory retry`.

    # rate limit
    **Failed while reading the repository** (rate limit)

    the model provider asks to wait

    It was retried and kept failing. Who must act: nobody; it can simply be retried. Then say `@prfactory retry`.

    # quota
    **Failed while reading the repository** (quota used up)

    the model provider asks for payment

    It was not retried. Who must act: an admin of this tenant. Then say `@prfactory retry`.

    # credentials
    **Failed while reading the repository** (credentials)

    the model provider does not accept the key

    It was not retried. Who must act: whoever administers the connection. Then say `@prfactory retry`.

    # permission
    **Failed while reading the repository** (permission)

    the model provider does not allow this

    It was not retried. Who must act: whoever administers the connection. Then say `@prfactory retry`.

    # needs a change
    **Failed while reading the repository** (needs a change)

    the model provider refused the request (HTTP 400): out of order

    It was not retried. Who must act: the author of the ticket or a developer of the repository. Then say `@prfactory retry`.

    # unknown outcome
    **Failed while opening the pull request** (unknown outcome)

    GitHub failed (HTTP 502)

    It was retried and kept failing. Who must act: nobody; it can simply be retried. Then say `@prfactory retry`.

    # internal error
    **Failed while making the change** (internal error)

    blob 5be604ce4a1b is damaged

    It was not retried. Who must act: the operator of PRFactory. Then say `@prfactory retry`.
    ");
    world.end().await;
}
