//! BM25 over path and body, with tests and documentation a little behind the code they belong to.

use std::collections::BTreeMap;

use domain::path::RepoPath;
use domain::ticket::TicketText;
use engine::port::{EntryKind, SourceTree};

use crate::token::terms;

/// A file with why it is where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The file.
    pub path: RepoPath,
    /// The sum that orders the list.
    pub score: f64,
    /// What its text added.
    pub body: f64,
    /// What its path added.
    pub location: f64,
}

const K1: f64 = 1.2;
const BODY_B: f64 = 0.75;
const PATH_B: f64 = 0.3;
/// A match in the path says more than one in the text.
const PATH_WEIGHT: f64 = 2.0;
/// Words of the title say more than words of the body.
const TITLE_WEIGHT: f64 = 3.0;
/// A term that is repeated more often than this in a ticket is not more important for it.
const TERM_CAP: f64 = 3.0;
/// Tests, examples and documentation are seldom where a change belongs.
const BESIDE: f64 = 0.6;
/// Larger files are data or generated.
const MAX_FILE: u64 = 512 * 1024;

struct Document {
    path: RepoPath,
    body: BTreeMap<String, f64>,
    body_length: f64,
    location: BTreeMap<String, f64>,
    location_length: f64,
}

/// Ranks the readable text files of a snapshot for a ticket, best first; equal scores by path.
pub fn rank(tree: &dyn SourceTree, text: &TicketText) -> Vec<Ranked> {
    let mut query: BTreeMap<String, f64> = BTreeMap::new();
    for (words, weight) in [(&text.title, TITLE_WEIGHT), (&text.body, 1.0)] {
        for term in terms(words) {
            let sum = query.entry(term).or_default();
            *sum = (*sum + weight).min(TERM_CAP.max(weight));
        }
    }
    let documents: Vec<Document> = tree
        .entries()
        .iter()
        .filter_map(|entry| {
            let wanted = matches!(entry.kind, EntryKind::Regular | EntryKind::Executable) && entry.size <= MAX_FILE;
            wanted.then(|| document(tree, &entry.path)).flatten()
        })
        .collect();
    let count = float(documents.len().max(1));
    let mean = |length: fn(&Document) -> f64| documents.iter().map(length).sum::<f64>() / count;
    let (mean_body, mean_location) = (mean(|d| d.body_length).max(1.0), mean(|d| d.location_length).max(1.0));
    let mut ranked: Vec<Ranked> =
        documents.iter().map(|d| Ranked { path: d.path.clone(), score: 0.0, body: 0.0, location: 0.0 }).collect();
    for (term, weight) in &query {
        let having =
            float(documents.iter().filter(|d| d.body.contains_key(term) || d.location.contains_key(term)).count());
        let idf = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
        for (document, entry) in documents.iter().zip(&mut ranked) {
            let tf = |found: Option<&f64>, b: f64, length: f64, mean: f64| {
                found.map_or(0.0, |n| n * (K1 + 1.0) / (n + K1 * (1.0 - b + b * length / mean)))
            };
            entry.body += weight * idf * tf(document.body.get(term), BODY_B, document.body_length, mean_body);
            entry.location += PATH_WEIGHT
                * weight
                * idf
                * tf(document.location.get(term), PATH_B, document.location_length, mean_location);
        }
    }
    for entry in &mut ranked {
        let beside = if is_beside(&entry.path) { BESIDE } else { 1.0 };
        entry.score = (entry.body + entry.location) * beside;
    }
    ranked.retain(|entry| entry.score > 0.0);
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)));
    ranked
}

#[expect(clippy::cast_precision_loss, reason = "counts of files and words stay far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

fn document(tree: &dyn SourceTree, path: &RepoPath) -> Option<Document> {
    let text = String::from_utf8(tree.read(path).ok()??).ok()?;
    if is_generated(path, &text) {
        return None;
    }
    let count = |words: Vec<String>| {
        let length = float(words.len());
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        for word in words {
            *counts.entry(word).or_default() += 1.0;
        }
        (counts, length)
    };
    let (body, body_length) = count(terms(&text));
    let (location, location_length) = count(terms(path.as_str()));
    Some(Document { path: path.clone(), body, body_length, location, location_length })
}

fn is_generated(path: &RepoPath, text: &str) -> bool {
    let name = path.file_name();
    let lock = name.rsplit('.').next() == Some("lock")
        || name.ends_with("-lock.json")
        || name.contains(".min.")
        || name == "go.sum";
    let vendored = path.as_str().split('/').any(|part| matches!(part, "vendor" | "node_modules" | "third_party"));
    let long_line = text.lines().take(20).any(|line| line.len() > 5_000);
    lock || vendored || long_line
}

fn is_beside(path: &RepoPath) -> bool {
    let lower = path.as_str().to_lowercase();
    let inside = lower
        .split('/')
        .any(|part| matches!(part, "test" | "tests" | "spec" | "docs" | "doc" | "examples" | "example"));
    let named = ["_test.", "test_", ".test.", ".spec.", "_spec."].iter().any(|mark| lower.contains(mark));
    inside || named
}

#[cfg(test)]
mod tests {
    use domain::name::CommitSha;
    use workspace::MemoryTree;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> MemoryTree {
        let file = |(path, text): &(&str, &str)| (RepoPath::parse(path).unwrap(), text.as_bytes().to_vec());
        MemoryTree::new(CommitSha::parse(&"a".repeat(40)).unwrap(), files.iter().map(file).collect())
    }

    #[test]
    fn the_file_that_a_ticket_speaks_of_comes_first_and_its_test_is_listed() {
        let tree = tree(&[
            ("src/price.py", "def total(net):\n    return net * TAX_RATE\n"),
            ("src/cart.py", "items = []\n"),
            ("tests/test_price.py", "def test_total():\n    assert total(1) == TAX_RATE\n"),
            ("package-lock.json", "TAX_RATE TAX_RATE TAX_RATE total price"),
        ]);
        let text =
            TicketText { title: "Wrong total".to_owned(), body: "`TAX_RATE` is ignored in the price.".to_owned() };
        let ranked = rank(&tree, &text);
        let paths: Vec<&str> = ranked.iter().map(|r| r.path.as_str()).collect();
        assert_eq!(paths, ["src/price.py", "tests/test_price.py"]);
        assert_eq!(ranked, rank(&tree, &text), "the same every time");
        let packed = crate::pack(&tree, &ranked, 2_000);
        assert!(packed.contains("    2      return net * TAX_RATE"), "{packed}");
        assert!(crate::pack(&tree, &ranked, 200).len() < 500, "the budget holds");
    }
}
