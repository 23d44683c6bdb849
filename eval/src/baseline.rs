//! Plain BM25 over code tokens and the path, as a search engine would do it: what we have to be better than.

use std::collections::HashMap;

use context::terms;
use engine::port::SourceTree;

const K1: f64 = 1.2;
const B: f64 = 0.75;
const MAX_FILE: u64 = 1024 * 1024;

/// An index of whole files.
pub(crate) struct Bm25 {
    files: Vec<(String, HashMap<String, f64>, f64)>,
    having: HashMap<String, f64>,
    mean: f64,
}

impl Bm25 {
    /// Reads every text file of source code up to a megabyte.
    pub(crate) fn of(tree: &dyn SourceTree) -> Self {
        let mut files = Vec::new();
        let mut having: HashMap<String, f64> = HashMap::new();
        for entry in tree.entries().iter().filter(|entry| entry.size <= MAX_FILE && is_source(entry.path.as_str())) {
            let Some(text) = tree.read(&entry.path).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok())
            else {
                continue;
            };
            let mut counts: HashMap<String, f64> = HashMap::new();
            let mut length = 0.0;
            for term in terms(entry.path.as_str()).into_iter().chain(terms(&text)) {
                *counts.entry(term).or_default() += 1.0;
                length += 1.0;
            }
            for term in counts.keys() {
                *having.entry(term.clone()).or_default() += 1.0;
            }
            files.push((entry.path.as_str().to_owned(), counts, length));
        }
        let count = files.iter().fold(0.0, |count, _| count + 1.0_f64);
        let mean = files.iter().map(|(_, _, length)| length).sum::<f64>() / count.max(1.0);
        Self { files, having, mean: mean.max(1.0) }
    }

    /// The files in the order of their scores.
    pub(crate) fn rank(&self, query: &str) -> Vec<&str> {
        let count = self.files.iter().fold(0.0, |count, _| count + 1.0_f64);
        // A term that is repeated in the query counts as often.
        let asked = terms(query);
        let mut scores: Vec<(f64, &str)> = Vec::new();
        for (path, counts, length) in &self.files {
            let score: f64 = asked
                .iter()
                .filter_map(|term| {
                    let (tf, having) = (counts.get(term)?, self.having.get(term)?);
                    let idf = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
                    Some(idf * tf * (K1 + 1.0) / (tf + K1 * (1.0 - B + B * length / self.mean)))
                })
                .sum();
            scores.push((score, path));
        }
        scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        scores.into_iter().map(|(_, path)| path).collect()
    }
}

fn is_source(path: &str) -> bool {
    const CODE: &[&str] = &[
        "py", "rs", "go", "java", "js", "jsx", "mjs", "cjs", "ts", "tsx", "vue", "c", "h", "cs", "rb", "php", "kt",
        "scala",
    ];
    path.rsplit_once('.').is_some_and(|(_, extension)| CODE.contains(&extension)) && !path.contains(".min.")
}
