//! What people saw, written down as they saw it: the product's tour in `docs/`, made by the story that it tells.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use stories::world::{REPO, World};
use tracker::adf::{Node, to_markdown};

/// The transcript of a story.
pub(super) struct Tour {
    text: String,
    /// What was shown of each comment before.
    shown: BTreeMap<String, String>,
    /// What differs from run to run, with the word that stands for it.
    names: Vec<(String, &'static str)>,
}

impl Tour {
    pub(super) fn new(head: &str) -> Self {
        Self { text: format!("{head}\n"), shown: BTreeMap::new(), names: Vec::new() }
    }

    /// Calls something that differs from run to run by a word.
    pub(super) fn name(&mut self, what: &str, word: &'static str) {
        if !what.is_empty() && !self.names.iter().any(|(known, _)| known == what) {
            self.names.push((what.to_owned(), word));
        }
    }

    pub(super) fn heading(&mut self, text: &str) {
        let _ = write!(self.text, "\n## {text}\n");
    }

    /// What a person did.
    pub(super) fn person(&mut self, who: &str, place: &str, what: &str) {
        let _ = write!(self.text, "\n**{who}**, {place}:\n\n{}\n", quoted(what));
    }

    /// Everything of ours that is new or changed, on the ticket and on the pull request.
    pub(super) fn looks(&mut self, world: &World, key: &str, pull: Option<u64>) {
        let mut seen: Vec<(String, String, String)> = Vec::new();
        if let Some(site) = &world.site {
            for comment in site.seen(key).into_iter().filter(|comment| comment.by == "PRFactory") {
                let document: Node = serde_json::from_value(comment.body).unwrap();
                seen.push((format!("jira {}", comment.id), "in Jira".to_owned(), to_markdown(&document)));
            }
        }
        if let (Some(github), Some(number)) = (&world.github, pull) {
            for comment in github.seen(REPO, number).into_iter().filter(|comment| comment.by.ends_with("[bot]")) {
                seen.push((format!("github {}", comment.id), "on the pull request".to_owned(), plain(&comment.body)));
            }
            for remark in github.remarks(REPO, number).into_iter().filter(|remark| remark.by.ends_with("[bot]")) {
                let state = github
                    .remarks(REPO, number)
                    .iter()
                    .any(|first| Some(first.id) == remark.reply_to && first.resolved);
                let place = if state { "in the thread, now resolved" } else { "in the thread, left open" };
                seen.push((format!("github {}", remark.id), place.to_owned(), plain(&remark.body)));
            }
        }
        for (id, place, text) in seen {
            let text = self.steady(&text);
            let before = self.shown.insert(id, text.clone());
            if before.as_ref() == Some(&text) {
                continue;
            }
            let how = if before.is_some() { "edits its comment" } else { "writes" };
            let _ = write!(self.text, "\n**PRFactory** {how} {place}:\n\n{}\n", quoted(&text));
        }
    }

    /// Our own checks of a commit.
    pub(super) fn checks(&mut self, world: &World, head: &str) {
        for (name, conclusion, title) in world.github.as_ref().unwrap().checks(REPO, head) {
            self.note(&format!("- check `{name}`: {} · {title}", conclusion.unwrap_or_default()));
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        let text = self.steady(text);
        let _ = write!(self.text, "\n{text}\n");
    }

    fn steady(&self, text: &str) -> String {
        let text = self.names.iter().fold(text.to_owned(), |text, (what, word)| text.replace(what.as_str(), word));
        // What a call costs depends on ids, by a fraction of a cent.
        let text = regex::Regex::new(r"\$0\.\d\d").unwrap().replace_all(&text, "$$0.0x").into_owned();
        regex::Regex::new(r"\d+ min\b").unwrap().replace_all(&text, "n min").into_owned()
    }

    /// Holds the transcript against the one that is kept, or keeps it where that was asked for.
    pub(super) fn keep(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let text = self.steady(&self.text);
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = kept.lines().zip(text.lines()).position(|(kept, now)| kept != now);
        let at = differs.unwrap_or_else(|| kept.lines().count().min(text.lines().count()));
        let around = |text: &str| text.lines().skip(at.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n");
        assert!(
            kept == text,
            "docs/{name} is not what people saw, from line {}:\n{}\n--- now\n{}\nRun the test with INSTA_UPDATE=always to keep what they saw.",
            at + 1,
            around(&kept),
            around(&text)
        );
    }
}

/// A comment without its marker.
fn plain(text: &str) -> String {
    text.split("<!-- prfactory:").next().unwrap_or("").trim_end().to_owned()
}

fn quoted(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| if line.is_empty() { ">".to_owned() } else { format!("> {line}") })
        .collect::<Vec<_>>()
        .join("\n")
}
