//! What of a repository goes into a prompt, within a budget: its shape, its conventions, the outlines of the likeliest
//! files, their best lines, and the tests beside them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use domain::path::RepoPath;
use engine::port::SourceTree;

use crate::kind::Kind;
use crate::outline::{outline, skeleton};
use crate::rank::{Ranked, Selection};
use crate::region::regions;

/// Files in which a repository tells how it wants to be worked on; read from the base commit alone.
pub const CONVENTIONS: &[&str] = &["AGENTS.md", "CLAUDE.md", "CONTRIBUTING.md", ".github/copilot-instructions.md"];

/// Bytes that are counted as one token; tokenizers of code need a little less.
const BYTES_PER_TOKEN: usize = 3;

/// Files whose lines are shown.
const SHOWN: usize = 12;
/// Files whose outline is shown.
const OUTLINED: usize = 30;
/// Most definitions of one outline.
const MAX_SYMBOLS: usize = 40;
/// Shorter files are shown whole.
const WHOLE: usize = 200;
/// Regions of one longer file.
const REGIONS: usize = 3;
/// Folders of the summary.
const MAX_FOLDERS: usize = 60;
/// Tests that are named.
const MAX_TESTS: usize = 10;

/// Writes parts while they fit.
struct Packed {
    text: String,
    budget: usize,
}

impl Packed {
    /// Appends a part if everything so far stays within a share of the budget, in hundredths.
    fn add(&mut self, part: &str, share: usize) -> bool {
        let fits = self.text.len() + part.len() <= self.budget / 100 * share;
        if fits {
            self.text.push_str(part);
        }
        fits
    }
}

/// Renders what a selection says about a repository, within a budget of tokens.
pub fn pack(tree: &dyn SourceTree, selection: &Selection, tokens: usize) -> String {
    let mut packed = Packed { text: String::new(), budget: tokens * BYTES_PER_TOKEN };
    packed.add(&shape(tree), 20);
    for path in CONVENTIONS.iter().filter_map(|name| RepoPath::parse(name).ok()) {
        if let Some(text) = text_of(tree, &path) {
            packed.add(&format!("\n## Conventions of the repository: {path}\n{}", head(&text, WHOLE)), 35);
        }
    }
    let candidates: Vec<&Ranked> = selection.files.iter().filter(|file| file.kind != Kind::Test).collect();
    packed.add("\n## Files most like the ticket, best first, with what they define\n", 60);
    for (at, file) in candidates.iter().take(OUTLINED).enumerate() {
        let line = format!("{}. {} ({})\n", at + 1, file.path, reasons(file));
        let symbols = text_of(tree, &file.path).map(|text| outline(file.path.as_str(), &text)).unwrap_or_default();
        let whole = format!("{line}{}", skeleton(&symbols, MAX_SYMBOLS));
        if !packed.add(&whole, 60) {
            packed.add(&line, 62);
        }
    }
    let tests: Vec<&Ranked> = selection.files.iter().filter(|file| file.kind == Kind::Test).take(MAX_TESTS).collect();
    if !tests.is_empty() {
        let names: Vec<&str> = tests.iter().map(|file| file.path.as_str()).collect();
        packed.add(&format!("\n## Tests nearest to the ticket\n{}\n", names.join("\n")), 65);
    }
    for file in candidates.iter().take(SHOWN) {
        let Some(text) = text_of(tree, &file.path) else { continue };
        for part in shown(file, &text, &selection.terms) {
            packed.add(&part, 100);
        }
    }
    packed.text
}

/// What added to a file's score, in words.
pub fn reasons(file: &Ranked) -> String {
    let parts = &file.parts;
    let named = [
        ("mentioned", parts.mentions),
        ("text", parts.body),
        ("lines", parts.window),
        ("path", parts.path),
        ("definitions", parts.names),
    ];
    let named: Vec<String> =
        named.iter().filter(|(_, worth)| *worth >= 0.05).map(|(name, worth)| format!("{name} {worth:.1}")).collect();
    let kind = if file.kind == Kind::Code { String::new() } else { format!("{}; ", file.kind.as_str()) };
    format!("{kind}{}", named.join(", "))
}

fn text_of(tree: &dyn SourceTree, path: &RepoPath) -> Option<String> {
    String::from_utf8(tree.read(path).ok()??).ok()
}

/// The folders with how many files each holds, and the files at the root.
fn shape(tree: &dyn SourceTree) -> String {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    let mut root = Vec::new();
    for entry in tree.entries() {
        match entry.path.as_str().rsplit_once('/') {
            None => root.push(entry.path.as_str()),
            Some((folder, _)) => {
                let two: Vec<&str> = folder.split('/').take(2).collect();
                *folders.entry(two.join("/")).or_default() += 1;
            }
        }
    }
    let mut text = format!("## Shape of the repository: {} files\n", tree.entries().len());
    root.truncate(MAX_FOLDERS);
    let _ = writeln!(text, "at the root: {}", root.join(", "));
    let mut largest: Vec<(&String, &usize)> = folders.iter().collect();
    largest.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    largest.truncate(MAX_FOLDERS);
    largest.sort();
    for (folder, count) in &largest {
        let _ = writeln!(text, "{folder}/ ({count})");
    }
    if folders.len() > largest.len() {
        let _ = writeln!(text, "… and {} more folders; use `list`", folders.len() - largest.len());
    }
    text
}

/// Lines with their numbers, the way models are shown files.
pub fn numbered<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> String {
    let mut text = String::new();
    for (at, line) in lines {
        let _ = writeln!(text, "{:>5}  {line}", at + 1);
    }
    text
}

fn head(text: &str, lines: usize) -> String {
    let mut shown: String = text.lines().take(lines).flat_map(|line| [line, "\n"]).collect();
    if text.lines().count() > lines {
        shown.push_str("… use `read` for the rest\n");
    }
    shown
}

/// A short file whole, the best regions of a long one; each a part of its own.
fn shown(file: &Ranked, text: &str, terms: &BTreeMap<String, f64>) -> Vec<String> {
    if text.lines().count() < WHOLE {
        return vec![format!("\n## File: {}\n{}", file.path, numbered(text.lines().enumerate()))];
    }
    let found = regions(text, &outline(file.path.as_str(), text), terms, REGIONS);
    let part = |region: &crate::region::Region| {
        let lines = text.lines().enumerate().skip(region.start - 1).take(region.end + 1 - region.start);
        format!("\n## Lines {} to {} of {}\n{}", region.start, region.end, file.path, numbered(lines))
    };
    found.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use domain::name::CommitSha;
    use domain::ticket::TicketText;
    use workspace::MemoryTree;

    use super::*;
    use crate::{Index, select};

    fn tree(files: &[(&str, &str)]) -> MemoryTree {
        let file = |(path, text): &(&str, &str)| (RepoPath::parse(path).unwrap(), text.as_bytes().to_vec());
        MemoryTree::new(CommitSha::parse(&"a".repeat(40)).unwrap(), files.iter().map(file).collect())
    }

    #[test]
    fn the_file_that_a_ticket_speaks_of_comes_first_and_its_test_is_listed() {
        let tree = tree(&[
            ("AGENTS.md", "Run `make test`.\n"),
            ("src/price.py", "def total(net):\n    return net * TAX_RATE\n"),
            ("src/cart.py", "items = []\n"),
            ("tests/test_price.py", "def test_total():\n    assert total(1) == TAX_RATE\n"),
            ("package-lock.json", "TAX_RATE TAX_RATE TAX_RATE total price"),
        ]);
        let text =
            TicketText { title: "Wrong total".to_owned(), body: "`TAX_RATE` is ignored in the price.".to_owned() };
        let selection = select(&Index::of(&tree), &text);
        let paths: Vec<&str> = selection.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["src/price.py", "tests/test_price.py"]);
        assert_eq!(selection, select(&Index::of(&tree), &text), "the same every time");
        insta::assert_snapshot!(pack(&tree, &selection, 2_000), @"
        ## Shape of the repository: 5 files
        at the root: AGENTS.md, package-lock.json
        src/ (2)
        tests/ (1)

        ## Conventions of the repository: AGENTS.md
        Run `make test`.

        ## Files most like the ticket, best first, with what they define
        1. src/price.py (text 3.6, lines 0.9, path 1.1, definitions 1.6)
            1  def total(net):

        ## Tests nearest to the ticket
        tests/test_price.py

        ## File: src/price.py
            1  def total(net):
            2      return net * TAX_RATE
        ");
        assert!(pack(&tree, &selection, 100).len() <= 300, "the budget holds");
    }
}
