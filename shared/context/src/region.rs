//! The lines of a file that a ticket is about: whole definitions where they are short enough, else windows.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::outline::Symbol;
use crate::token::{terms_of, words};

/// Some lines of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// The first line, counted from 1.
    pub start: usize,
    /// The last line.
    pub end: usize,
    /// What its terms are worth together.
    pub score: f64,
    /// What is defined there, if it is one definition.
    pub symbol: Option<String>,
    /// Its terms that tell most, best first.
    pub terms: Vec<String>,
}

/// Most lines of one region.
const MAX_LINES: usize = 80;
/// Lines of a window where there is no definition of a fitting size.
const WINDOW: usize = 60;
/// Lines from one window to the next.
const STRIDE: usize = 20;
/// Terms of one line that count; a line of data may have thousands.
const MAX_TELLING: usize = 40;
/// Terms that are named as the reason.
const REASONS: usize = 6;

/// The best regions of a text, at most so many, in the order of their lines and without overlap.
pub fn regions(text: &str, symbols: &[Symbol], worths: &BTreeMap<String, f64>, most: usize) -> Vec<Region> {
    let lines: Vec<Vec<(String, f64)>> = text.lines().map(|line| telling(line, worths)).collect();
    let mut candidates: Vec<(usize, usize, Option<&str>)> = symbols
        .iter()
        .filter(|symbol| symbol.end - symbol.line < MAX_LINES)
        .map(|symbol| (symbol.line, symbol.end, Some(symbol.name.as_str())))
        .collect();
    candidates.dedup_by_key(|(start, end, _)| (*start, *end));
    let windows = (0..lines.len()).step_by(STRIDE).map(|at| (at + 1, (at + WINDOW).min(lines.len()), None));
    candidates.extend(windows);
    let mut scored: Vec<Region> = candidates.into_iter().filter_map(|candidate| scored(&lines, candidate)).collect();
    scored.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.start.cmp(&b.start)).then(a.end.cmp(&b.end)));
    let mut chosen: Vec<Region> = Vec::new();
    for region in scored {
        if chosen.len() == most {
            break;
        }
        if chosen.iter().all(|other| region.end < other.start || other.end < region.start) {
            chosen.push(region);
        }
    }
    chosen.sort_by_key(|region| region.start);
    chosen
}

fn telling(line: &str, worths: &BTreeMap<String, f64>) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    words(line, |word| {
        terms_of(word, |term| {
            if let Some(worth) = worths.get(term).filter(|_| found.len() < MAX_TELLING) {
                found.push((term.to_owned(), *worth));
            }
        });
    });
    found
}

/// Each term counts once in full and a little for every repetition; long regions pay for their length.
fn scored(lines: &[Vec<(String, f64)>], (start, end, symbol): (usize, usize, Option<&str>)) -> Option<Region> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (term, worth) in lines.get(start - 1..end)?.iter().flatten() {
        let (count, _) = sums.entry(term).or_insert((0.0, *worth));
        *count += 1.0;
    }
    let mut terms: Vec<(&str, f64)> =
        sums.into_iter().map(|(term, (count, worth))| (term, worth * 2.0 * count / (count + 1.0))).collect();
    terms.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let sum: f64 = terms.iter().map(|(_, worth)| worth).sum();
    let length = crate::field::float((end - start + 1) as u64);
    let score = sum / (1.0 + length / 100.0);
    let terms = terms.into_iter().take(REASONS).map(|(term, _)| term.to_owned()).collect();
    (score > 0.0).then(|| Region { start, end, score, symbol: symbol.map(str::to_owned), terms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outline::outline;

    #[test]
    fn the_definition_that_the_ticket_speaks_of_is_the_region() {
        let others: Vec<String> =
            (0..40).map(|n| format!("def other_{n}(x):\n    y = x + {n}\n    return y\n\n\n")).collect();
        let mut text = others.concat();
        text.push_str("def total(cart):\n    tax = cart.tax\n    return cart.sum + tax\n");
        let worths = [("tax", 4.0), ("cart", 3.0), ("total", 2.0)].map(|(term, worth)| (term.to_owned(), worth)).into();
        let found = regions(&text, &outline("a.py", &text), &worths, 1);
        let [region] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((region.start, region.end, region.symbol.as_deref()), (201, 203, Some("total")));
        assert_eq!(region.terms, ["tax", "cart", "total"]);
        assert!(regions("nothing here\n", &[], &worths, 3).is_empty());
    }
}
