//! What of a repository goes into a prompt: its shape, its conventions, and the best files.

use std::fmt::Write as _;

use domain::path::RepoPath;
use engine::port::SourceTree;

use crate::rank::Ranked;

/// Files in which a repository tells how it wants to be worked on; read from the base commit alone.
pub const CONVENTIONS: &[&str] = &["AGENTS.md", "CLAUDE.md", "CONTRIBUTING.md"];

/// Most paths that are listed.
const MAX_PATHS: usize = 300;
/// Most ranked files that are named.
const MAX_RANKED: usize = 30;
/// Most lines shown of one file.
const MAX_LINES: usize = 200;

/// Renders the shape of a repository and the best files within a budget of bytes.
pub fn pack(tree: &dyn SourceTree, ranked: &[Ranked], budget: usize) -> String {
    let mut text = String::from("## Files of the repository\n");
    let entries = tree.entries();
    for entry in entries.iter().take(MAX_PATHS) {
        let _ = writeln!(text, "{}", entry.path);
    }
    if entries.len() > MAX_PATHS {
        let _ = writeln!(text, "… and {} more; use `list`", entries.len() - MAX_PATHS);
    }
    text.push_str("\n## Files most like the ticket, best first\n");
    for file in ranked.iter().take(MAX_RANKED) {
        let _ =
            writeln!(text, "{} (score {:.1}: text {:.1}, path {:.1})", file.path, file.score, file.body, file.location);
    }
    for path in CONVENTIONS.iter().filter_map(|name| RepoPath::parse(name).ok()) {
        append(&mut text, tree, &path, "Conventions of the repository", budget);
    }
    for file in ranked {
        if text.len() >= budget {
            break;
        }
        append(&mut text, tree, &file.path, "File", budget);
    }
    text
}

fn append(text: &mut String, tree: &dyn SourceTree, path: &RepoPath, what: &str, budget: usize) {
    let Some(content) = tree.read(path).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return;
    };
    let mut part = format!("\n## {what}: {path}\n");
    for (at, line) in content.lines().take(MAX_LINES).enumerate() {
        let _ = writeln!(part, "{:>5}  {line}", at + 1);
    }
    if content.lines().count() > MAX_LINES {
        part.push_str("… use `read` for the rest\n");
    }
    if text.len() + part.len() <= budget {
        text.push_str(&part);
    }
}
