//! What strangers send, as bytes: kept inputs first, then random ones. Each target says what must hold for any input.
//!
//! `BOLERO_RANDOM_ITERATIONS` sets how many random inputs are tried; inputs worth keeping stand in `__fuzz__`.

use std::path::{Component, Path};

use bolero::check;
use commands::{Found, Markup, find};
use domain::path::RepoPath;
use engine::inbound::{Inbound, InboundError, InboundNews};

const HANDLE: &str = "prfactory";
/// Every kind of event GitHub is asked for.
const EVENTS: [&str; 7] = [
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "check_suite",
    "installation",
];

fn recorded() -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for provider in ["github", "jira"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(provider);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        bodies.extend(files.iter().map(|file| std::fs::read(file).unwrap()));
    }
    bodies
}

/// Whatever was understood was in the bytes, and only what is newly written acts.
fn understood(body: &[u8], read: Result<Inbound, InboundError>) {
    let Ok(inbound) = read else { return };
    // What nobody reads is not looked at: a string there may be no valid text.
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    if let Some(installation) = inbound.installation {
        assert_eq!(value["installation"]["id"].as_u64(), Some(installation));
    }
    match inbound.news {
        InboundNews::Comment { body: said, id, .. } => {
            assert_eq!(value["comment"]["body"].as_str(), Some(said.as_str()));
            assert!(value["comment"]["id"].to_string().contains(&id));
            assert_ne!(value["action"], "edited");
            assert_ne!(value["action"], "deleted");
        }
        InboundNews::PullRequestClosed { merged, number, .. } => {
            assert_eq!(value["pull_request"]["merged"].as_bool().unwrap_or(false), merged);
            assert_eq!(value["pull_request"]["number"].as_u64(), Some(number));
        }
        _ => {}
    }
}

fn read_as_everything(body: &[u8]) {
    for event in EVENTS {
        understood(body, forge::github::parse(event, body, HANDLE));
    }
    understood(body, tracker::jira::parse(body, HANDLE, None));
}

#[test]
fn deliveries() {
    for body in recorded() {
        read_as_everything(&body);
    }
    check!().for_each(read_as_everything);
}

/// Random bytes are hardly ever JSON: recorded deliveries with a few bytes changed, removed or repeated often are.
#[test]
fn damaged_deliveries() {
    let bodies = recorded();
    check!().with_type::<(u8, Vec<(u16, u8, u8)>)>().for_each(|(which, changes)| {
        let mut body = bodies[usize::from(*which) % bodies.len()].clone();
        for (place, how, byte) in changes.iter().take(8) {
            let at = usize::from(*place) % body.len().max(1);
            match how % 4 {
                0 if at < body.len() => body[at] = *byte,
                1 if at < body.len() => drop(body.remove(at)),
                2 => body.insert(at, *byte),
                _ => body.truncate(at),
            }
        }
        read_as_everything(&body);
    });
}

#[test]
fn comments() {
    check!().for_each(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        for markup in [Markup::Markdown, Markup::Wiki] {
            let found = find(&text, HANDLE, markup);
            let named = text.to_lowercase().contains(HANDLE);
            assert!(named || found == Ok(Found::Nothing), "{text:?} names nobody and is {found:?}");
            let quoted = format!("> {}", text.lines().collect::<Vec<_>>().join("\n> "));
            if markup == Markup::Markdown {
                assert_eq!(find(&quoted, HANDLE, markup), Ok(Found::Nothing), "a quotation acts: {quoted:?}");
            }
        }
    });
}

#[test]
fn paths() {
    check!().for_each(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(path) = RepoPath::parse(&text) else { return };
        assert_eq!(path.as_str(), text);
        let joined = Path::new("/jail").join(path.as_str());
        assert!(joined.starts_with("/jail") && joined != Path::new("/jail"));
        for part in Path::new(path.as_str()).components() {
            let Component::Normal(part) = part else { panic!("{text:?} has {part:?}") };
            let part = part.to_str().unwrap().to_lowercase();
            assert!(part != ".git" && !part.starts_with(".git:") && !part.starts_with(".git ."), "{text:?}");
        }
        assert_eq!(RepoPath::parse(&text).map(|again| again.as_str().len()), Ok(text.len()));
    });
}
