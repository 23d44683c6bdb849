//! Every secret the system holds is a canary, and none is found anywhere.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Regex;
use stories::serve::binary;
use stories::world::{ENDPOINT, GIT_TOKEN, MODEL_KEY, Setup, World};
use testkit::git::Trouble;

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
/// A leak is any piece of a secret that is as long as this, in whatever form.
const WINDOW: usize = 12;

/// Finds a piece of any of the secrets: plain, backwards, in hex, in either alphabet of Base64 at each offset.
fn canaries(secrets: &[String]) -> Regex {
    let mut pieces = Vec::new();
    for secret in secrets {
        let mut forms =
            vec![secret.clone(), secret.chars().rev().collect(), hex::encode(secret), hex::encode_upper(secret)];
        for offset in 0..3 {
            let padded = format!("{}{secret}", "x".repeat(offset));
            // The first and last letters depend on what stands beside the secret.
            for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                forms.push(text[4..text.len() - 2].to_owned());
            }
        }
        for form in forms {
            pieces.extend((0..=form.len().saturating_sub(WINDOW)).map(|at| regex::escape(&form[at..at + WINDOW])));
        }
    }
    pieces.sort();
    pieces.dedup();
    regex::bytes::RegexBuilder::new(&pieces.join("|")).size_limit(100_000_000).build().unwrap()
}

/// Looks through bytes, and through what they are when they are compressed.
fn look(canaries: &Regex, place: &str, bytes: &[u8], found: &mut Vec<String>) {
    let unpacked = zstd::decode_all(bytes).unwrap_or_default();
    for bytes in [bytes, &unpacked] {
        if let Some(hit) = canaries.find(bytes) {
            let around = &bytes[hit.start().saturating_sub(80)..(hit.end() + 40).min(bytes.len())];
            found.push(format!("{place}: {}", String::from_utf8_lossy(around)));
        }
    }
}

fn look_below(canaries: &Regex, folder: &Path, found: &mut Vec<String>, files: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        // Where the operator puts the secrets is where they are.
        if path.ends_with("secrets.toml") || path.ends_with("dir/token") {
            continue;
        }
        if path.is_dir() {
            look_below(canaries, &path, found, files);
        } else {
            *files += 1;
            look(canaries, &path.display().to_string(), &std::fs::read(&path).unwrap(), found);
        }
    }
}

/// From a label to a pull request, with every server that can repeating what it was trusted with.
async fn the_whole_way(world: &World) {
    let git = world.git.as_ref().unwrap();
    git.trouble(Some((Trouble::Blab, "git-upload-pack")));
    world.jira(&world.labelled("SHOP-1", "Tax", TAX)).await;
    world.reaches("SHOP-1", "failed").await;
    let heard = world.hears("SHOP-1", "the git server refused: go away").await;
    assert!(heard.contains("***"), "{heard}");
    git.trouble(None);
    for status in [400, 401, 403, 500] {
        world.model.fail_next(status, &format!("the key {MODEL_KEY} is not welcome"));
        world.say("wil", "SHOP-1", "retry").await;
        world
            .until("the next step", || async {
                let name = world.ticket("SHOP-1").await?.state.name();
                (name == "failed" || name.starts_with("awaiting")).then_some(())
            })
            .await;
    }
    world.say("wil", "SHOP-1", "retry").await;
    world.to_plan("SHOP-1").await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "in_review").await;
    let mut signed = world.signed_jira(ENDPOINT, &world.labelled("SHOP-2", "Tax", TAX));
    signed.headers[0].1.replace_range(10..12, "00");
    assert_eq!(world.deliver(&signed).await, 401);
    world.drained().await;
}

/// Looks at files, logs, prompts, addresses, repositories, arguments and what the command line prints.
fn everywhere(world: &World, canaries: &Regex) -> Vec<String> {
    let mut found = Vec::new();
    let mut files = 0;
    let data = world.dir.path().join("data");
    look_below(canaries, &data, &mut found, &mut files);
    assert!(files > 20, "{files} files were looked at");
    let log = std::fs::metadata(data.join("serve.log")).unwrap().len();
    assert!(log > 5_000, "nothing was logged: {log} bytes");
    for request in world.model.requests() {
        look(canaries, "prompt", request.to_string().as_bytes(), &mut found);
    }
    for request in world.git.as_ref().unwrap().requests() {
        look(canaries, "address", request.uri.as_bytes(), &mut found);
    }
    let objects = world.run_git(&["log", "--all", "-p", "--format=fuller"]);
    look(canaries, "repository", objects.as_bytes(), &mut found);
    let serve = world.serve.as_ref().unwrap();
    look(canaries, "arguments", &std::fs::read(format!("/proc/{}/cmdline", serve.id())).unwrap(), &mut found);
    let folder = data.display().to_string();
    for call in
        [&["ticket", "list"][..], &["ticket", "show", "SHOP-1"], &["pr", "SHOP-1"], &["status", "SHOP-1"], &["doctor"]]
    {
        let output = Command::new(binary())
            .args(["--data", &folder, "--as", "ada"])
            .args(call)
            .env("ANTHROPIC_API_KEY", MODEL_KEY)
            .env("PRFACTORY_LOG", "trace")
            .output()
            .unwrap();
        assert!(!output.stdout.is_empty(), "{call:?}");
        look(canaries, "standard output", &output.stdout, &mut found);
        look(canaries, "standard error", &output.stderr, &mut found);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_in_anything_that_is_written_said_or_sent() {
    let setup = Setup { apart: true, http: true, log: "trace".to_owned(), ..Setup::default() };
    let world = World::start(setup).await;
    let file = std::fs::read_to_string(world.dir.path().join("data/secrets.toml")).unwrap();
    let mut secrets: Vec<String> = file.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(secrets.len(), 4, "GitHub's, the endpoints', the seal's and the vault's");
    let derived = world.endpoint_secret(1).expose_text().unwrap().to_owned();
    secrets.extend([MODEL_KEY.to_owned(), GIT_TOKEN.to_owned(), derived]);
    let canaries = canaries(&secrets);

    the_whole_way(&world).await;
    let mut found = everywhere(&world, &canaries);
    assert!(found.is_empty(), "{} leaks: {found:#?}", found.len());

    // The same look does find what is there to be found.
    for leak in [
        GIT_TOKEN.to_owned(),
        format!("ab{}", hex::encode(&secrets[2])),
        URL_SAFE_NO_PAD.encode(format!("x:{}", secrets[0])),
    ] {
        look(&canaries, "planted", leak.as_bytes(), &mut found);
    }
    assert_eq!(found.len(), 3);
    world.end().await;
}
