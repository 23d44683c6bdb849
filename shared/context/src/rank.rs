//! Which files a ticket is about: BM25 over four fields, what the ticket mentions outright, and why.

use std::collections::BTreeMap;

use domain::path::RepoPath;
use domain::ticket::TicketText;
use serde::Serialize;

use crate::field::{Field, float};
use crate::index::{File, Index};
use crate::kind::Kind;
use crate::mention::mentioned;
use crate::query::Query;

/// A file with why it is where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The file.
    pub path: RepoPath,
    /// What it is for.
    pub kind: Kind,
    /// The sum of the parts, weighed by kind; it orders the list.
    pub score: f64,
    /// What each part added.
    pub parts: Parts,
}

/// What adds up to a score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Parts {
    /// The whole text.
    pub body: f64,
    /// The best 60 lines.
    pub window: f64,
    /// The path.
    pub path: f64,
    /// The names it defines.
    pub names: f64,
    /// Paths and names that the ticket spells out.
    pub mentions: f64,
}

/// Most terms that are asked for.
const MAX_TERMS: usize = 60;
/// For how many files the best window is looked for.
const HEAD: usize = 40;
/// How soon repeating a term stops to count.
const K1: f64 = 1.0;
/// How much the length of a unit is held against it.
const B_BODY: f64 = 0.65;
const B_WINDOW: f64 = 0.6;
const B_PATH: f64 = 0.3;
const B_NAMES: f64 = 0.4;
/// What the parts are worth beside the body.
const WINDOW_WORTH: f64 = 0.25;
const PATH_WORTH: f64 = 1.5;
const NAMES_WORTH: f64 = 0.75;

/// How often a term occurs in a unit, saturated and set off against the unit's length.
fn saturated(count: u32, length: u32, mean: f64, b: f64) -> f64 {
    let count = float(count);
    count * (K1 + 1.0) / (count + K1 * (1.0 - b + b * float(length) / mean))
}

/// What of a snapshot a ticket is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// Every file that has anything to do with the ticket, best first; equal scores by path.
    pub files: Vec<Ranked>,
    /// The terms that were asked for, with what one of them is worth.
    pub terms: BTreeMap<String, f64>,
}

/// Ranks the files of an index for a ticket.
pub fn select(index: &Index, ticket: &TicketText) -> Selection {
    let query = Query::of(ticket);
    let terms = telling(index, &query);
    let mut parts = vec![Parts::default(); index.files.len()];
    let worths: Vec<(u32, f64)> =
        terms.iter().map(|(term, weight)| (*term, one_term(index, *term, *weight, &mut parts))).collect();
    for (file, mention) in mentioned(index, &query) {
        if let Some(part) = parts.get_mut(file as usize) {
            part.mentions = mention;
        }
    }
    let mut order: Vec<u32> = (0u32..).take(parts.len()).collect();
    let score = |parts: &[Parts], file: u32| {
        let at = file as usize;
        parts.get(at).zip(index.files.get(at)).map_or(0.0, |(part, file)| part.sum(file.kind))
    };
    order.retain(|file| score(&parts, *file) > 0.0);
    order.sort_by(|a, b| score(&parts, *b).total_cmp(&score(&parts, *a)).then(a.cmp(b)));
    let head: Vec<u32> = order.iter().take(HEAD).copied().collect();
    for number in head {
        if let Some((file, part)) = index.files.get(number as usize).zip(parts.get_mut(number as usize)) {
            part.window = WINDOW_WORTH * best_window(index, file, &worths);
        }
    }
    order.sort_by(|a, b| score(&parts, *b).total_cmp(&score(&parts, *a)).then(a.cmp(b)));
    let ranked = order.iter().filter_map(|file| {
        let (at, parts) = (index.files.get(*file as usize)?, parts.get(*file as usize)?);
        Some(Ranked { path: at.path.clone(), kind: at.kind, score: parts.sum(at.kind), parts: *parts })
    });
    let files = ranked.collect();
    let worths: BTreeMap<u32, f64> = worths.into_iter().collect();
    let worth = |term: &str| index.term(term).and_then(|number| worths.get(&number).copied());
    let terms = query.terms.keys().filter_map(|term| Some((term.clone(), worth(term)?))).collect();
    Selection { files, terms }
}

impl Parts {
    fn sum(&self, kind: Kind) -> f64 {
        let prior = match kind {
            Kind::Code => 1.0,
            Kind::Test | Kind::Example => 0.6,
            Kind::Prose | Kind::Other => 0.3,
        };
        (self.body + self.window + self.path + self.names + self.mentions) * prior
    }
}

/// The terms that tell most, so that a long log in a ticket does not drown the sentence above it.
fn telling(index: &Index, query: &Query) -> Vec<(u32, f64)> {
    let blocks = float(index.owner.len() as u64) + 1.0;
    let rarity = |term: u32| (blocks / (float(index.body.postings(term).len() as u64) + 1.0)).ln();
    let known = query.terms.iter().filter_map(|(term, weight)| Some((index.term(term)?, *weight)));
    let mut terms: Vec<(u32, f64)> = known.collect();
    terms.sort_by(|a, b| (b.1 * rarity(b.0)).total_cmp(&(a.1 * rarity(a.0))).then(a.0.cmp(&b.0)));
    terms.truncate(MAX_TERMS);
    terms
}

/// Adds what one term says about every file, and gives what an occurrence of it is worth.
fn one_term(index: &Index, term: u32, weight: f64, parts: &mut [Parts]) -> f64 {
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for posting in index.body.postings(term) {
        let Some(owner) = index.owner.get(posting.unit as usize) else { continue };
        match counts.last_mut() {
            Some((file, count)) if file == owner => *count += posting.count,
            _ => counts.push((*owner, posting.count)),
        }
    }
    let having = float(counts.len().max(index.path.postings(term).len()) as u64);
    let count = float(index.files.len() as u64);
    let worth = weight * (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
    for (file, count) in counts {
        let length = index.lengths.get(file as usize).copied().unwrap_or(0);
        if let Some(part) = parts.get_mut(file as usize) {
            part.body += worth * saturated(count, length, index.mean, B_BODY);
        }
    }
    let mut field = |field: &Field, worth: f64, b: f64, sum: fn(&mut Parts) -> &mut f64| {
        for posting in field.postings(term) {
            let length = field.lengths.get(posting.unit as usize).copied().unwrap_or(0);
            if let Some(part) = parts.get_mut(posting.unit as usize) {
                *sum(part) += worth * saturated(posting.count, length, field.mean, b);
            }
        }
    };
    field(&index.path, worth * PATH_WORTH, B_PATH, |part| &mut part.path);
    field(&index.names, worth * NAMES_WORTH, B_NAMES, |part| &mut part.names);
    worth
}

/// What the best window of a file is worth.
fn best_window(index: &Index, file: &File, worths: &[(u32, f64)]) -> f64 {
    let mut sums = vec![0.0; file.windows() as usize];
    let mut counts = vec![0u32; sums.len()];
    for (term, worth) in worths {
        let postings = index.body.postings(*term);
        let from = postings.partition_point(|posting| posting.unit < file.blocks.start);
        counts.fill(0);
        for posting in postings.iter().skip(from).take_while(|posting| posting.unit < file.blocks.end) {
            for window in file.windows_with(posting.unit) {
                if let Some(count) = counts.get_mut((window - file.first_window) as usize) {
                    *count += posting.count;
                }
            }
        }
        let lengths = index.window_lengths.iter().skip(file.first_window as usize);
        for ((sum, count), length) in sums.iter_mut().zip(&counts).zip(lengths).filter(|((_, count), _)| **count > 0) {
            *sum += worth * saturated(*count, *length, index.window_mean, B_WINDOW);
        }
    }
    sums.into_iter().fold(0.0, f64::max)
}
