//! Files that a ticket points at: paths, dotted names, and identifiers that few files define.

use std::collections::BTreeMap;

use crate::field::float;
use crate::index::Index;
use crate::query::Query;

/// More files than this of one name, and the name points nowhere.
const MAX_FILES: usize = 8;
/// What a path is worth that leads to one file.
const PATH: f64 = 60.0;
/// What a dotted name is worth that leads to one file.
const DOTTED: f64 = 30.0;
/// What an identifier is worth that one file defines.
const NAME: f64 = 15.0;

/// What each file gains from what the ticket spells out.
pub(crate) fn mentioned(index: &Index, query: &Query) -> BTreeMap<u32, f64> {
    let places = &index.places;
    let mut gains: BTreeMap<u32, f64> = BTreeMap::new();
    let mut gain = |files: &[u32], worth: f64| {
        for file in files.iter().take(if files.len() > MAX_FILES { 0 } else { MAX_FILES }) {
            *gains.entry(*file).or_default() += worth / float(files.len() as u64).sqrt();
        }
    };
    for path in &query.paths {
        gain(&places.path(path), PATH);
    }
    for parts in &query.dotted {
        gain(&places.dotted(parts), DOTTED);
    }
    for name in &query.names {
        if let Some(files) = index.term(name).and_then(|term| index.defined.get(&term)) {
            gain(files, NAME);
        }
    }
    gains
}

/// Files by the last part of their path, all in lower case.
#[derive(Debug, Default)]
pub(crate) struct Places {
    by_name: BTreeMap<String, Vec<(u32, Vec<String>)>>,
    by_stem: BTreeMap<String, Vec<(u32, Vec<String>)>>,
}

/// File names that stand for their folder.
const INDEX_NAMES: &[&str] = &["__init__", "index", "mod", "lib", "main"];

/// How many parts two paths have in common, from their ends.
fn common<'a>(path: &[String], wanted: impl Iterator<Item = &'a str>) -> usize {
    path.iter().rev().zip(wanted).take_while(|(a, b)| a == b).count()
}

impl Places {
    /// Notes where a file is.
    pub(crate) fn add(&mut self, file: u32, path: &str) {
        let mut parts: Vec<String> = path.split('/').map(str::to_lowercase).collect();
        let name = parts.last().cloned().unwrap_or_default();
        self.by_name.entry(name).or_default().push((file, parts.clone()));
        if let Some(last) = parts.last_mut() {
            last.truncate(last.find('.').filter(|at| *at > 0).unwrap_or(last.len()));
        }
        if parts.len() > 1 && parts.last().is_some_and(|last| INDEX_NAMES.contains(&last.as_str())) {
            parts.pop();
        }
        if let Some(stem) = parts.last().cloned() {
            self.by_stem.entry(stem).or_default().push((file, parts));
        }
    }

    /// The files whose path ends like a mentioned one; its first folders need not be known here.
    fn path(&self, mentioned: &str) -> Vec<u32> {
        let lower = mentioned.to_lowercase();
        let wanted = || lower.rsplit('/');
        let files = wanted().next().and_then(|name| self.by_name.get(name)).map(Vec::as_slice).unwrap_or_default();
        let most = files.iter().map(|(_, path)| common(path, wanted())).max().unwrap_or(0);
        files.iter().filter(|(_, path)| common(path, wanted()) == most).map(|(file, _)| *file).collect()
    }

    /// The files that the first parts of a dotted name lead to: at least two parts must agree with the path.
    fn dotted(&self, parts: &[String]) -> Vec<u32> {
        for end in (2..=parts.len()).rev() {
            let Some(files) = parts.get(end - 1).and_then(|stem| self.by_stem.get(stem)) else { continue };
            let wanted = || parts.iter().take(end).rev().map(String::as_str);
            let most = files.iter().map(|(_, path)| common(path, wanted())).max().unwrap_or(0);
            if most >= 2 {
                return files
                    .iter()
                    .filter(|(_, path)| common(path, wanted()) == most)
                    .map(|(file, _)| *file)
                    .collect();
            }
        }
        Vec::new()
    }
}
