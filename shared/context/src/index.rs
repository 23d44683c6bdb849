//! A snapshot made searchable in memory: paths, bodies in blocks of lines, and the names that files define.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Range, RangeInclusive};

use domain::path::RepoPath;
use engine::port::{EntryKind, SourceTree};

use crate::definition::{defined, family};
use crate::field::{Field, FieldBuilder, mean};
use crate::kind::{Kind, MAX_FILE, is_foreign, is_generated, kind_of};
use crate::mention::Places;
use crate::token::{terms_of, words};

/// Lines of one block; a window is three of them, 60 lines.
const BLOCK: usize = 20;
/// Blocks from one window to the next: 40 lines, so that each shares a block with the one before.
const STRIDE: u32 = 2;
/// Bytes of a file that are looked at to tell text from anything else.
const SNIFF: usize = 8 * 1024;

/// One indexed file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: RepoPath,
    pub(crate) kind: Kind,
    pub(crate) blocks: Range<u32>,
    pub(crate) first_window: u32,
}

impl File {
    /// How many windows it has.
    pub(crate) fn windows(&self) -> u32 {
        (self.blocks.end - self.blocks.start).div_ceil(STRIDE)
    }

    /// The one or two windows that a block of this file is in.
    pub(crate) fn windows_with(&self, block: u32) -> RangeInclusive<u32> {
        let local = block - self.blocks.start;
        let last = local / STRIDE;
        let first = if local.is_multiple_of(STRIDE) && last > 0 { last - 1 } else { last };
        self.first_window + first..=self.first_window + last
    }
}

/// What can be asked of a snapshot; made anew for each task and never stored.
#[derive(Debug)]
pub struct Index {
    pub(crate) files: Vec<File>,
    /// The file of each block.
    pub(crate) owner: Vec<u32>,
    vocabulary: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    pub(crate) body: Field,
    pub(crate) path: Field,
    pub(crate) names: Field,
    /// The files that define a whole name, by its term.
    pub(crate) defined: BTreeMap<u32, Vec<u32>>,
    /// The length of each file in terms, and their mean.
    pub(crate) lengths: Vec<u32>,
    pub(crate) mean: f64,
    /// The length of each window in terms, and their mean.
    pub(crate) window_lengths: Vec<u32>,
    pub(crate) window_mean: f64,
    pub(crate) places: Places,
}

impl Index {
    /// Reads every text file of a snapshot that people may have written.
    pub fn of(tree: &dyn SourceTree) -> Self {
        let mut builder = Builder::default();
        for entry in tree.entries() {
            let wanted = matches!(entry.kind, EntryKind::Regular | EntryKind::Executable)
                && entry.size <= MAX_FILE
                && !is_foreign(&entry.path);
            if !wanted {
                continue;
            }
            let Ok(Some(bytes)) = tree.read(&entry.path) else { continue };
            if bytes.iter().take(SNIFF).any(|byte| *byte == 0) {
                continue;
            }
            let text = String::from_utf8_lossy(&bytes);
            if !is_generated(&text) {
                builder.add(&entry.path, &text);
            }
        }
        builder.build()
    }

    /// How many files are indexed.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing is indexed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The number of a term, if any file has it.
    pub(crate) fn term(&self, term: &str) -> Option<u32> {
        self.vocabulary.get(term).copied()
    }
}

#[derive(Default)]
struct Builder {
    files: Vec<File>,
    owner: Vec<u32>,
    words: Words,
    body: FieldBuilder,
    path: FieldBuilder,
    names: FieldBuilder,
    defined: BTreeMap<u32, Vec<u32>>,
    places: Places,
}

impl Builder {
    fn add(&mut self, path: &RepoPath, text: &str) {
        let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        let first = self.body.units();
        let family = family(path.as_str());
        for (at, line) in text.lines().enumerate() {
            if at > 0 && at % BLOCK == 0 {
                self.body.close();
            }
            words(line, |word| self.words.each(word, |term| self.body.add(term)));
            if let Some(name) = defined(family, line) {
                self.words.each(name, |term| self.names.add(term));
                let whole = self.words.number(&name.to_lowercase());
                let files = self.defined.entry(whole).or_default();
                if files.last() != Some(&file) {
                    files.push(file);
                }
            }
        }
        self.body.close();
        self.names.close();
        words(path.as_str(), |word| self.words.each(word, |term| self.path.add(term)));
        self.path.close();
        self.places.add(file, path.as_str());
        let blocks = first..self.body.units();
        self.owner.extend(blocks.clone().map(|_| file));
        let first_window = self.files.last().map_or(0, |before| before.first_window + before.windows());
        self.files.push(File { path: path.clone(), kind: kind_of(path), blocks, first_window });
    }

    fn build(self) -> Index {
        // What words split into is not needed any more, and goes before the large tables are made.
        let vocabulary = self.words.vocabulary;
        drop((self.words.split, self.words.terms));
        let terms = vocabulary.len();
        let body = self.body.build(terms);
        let mut lengths = vec![0; self.files.len()];
        let mut window_lengths =
            vec![0; self.files.last().map_or(0, |last| last.first_window + last.windows()) as usize];
        for ((block, length), owner) in (0u32..).zip(&body.lengths).zip(&self.owner) {
            let at = *owner as usize;
            if let Some(sum) = lengths.get_mut(at) {
                *sum += *length;
            }
            for window in self.files.get(at).into_iter().flat_map(|file| file.windows_with(block)) {
                if let Some(sum) = window_lengths.get_mut(window as usize) {
                    *sum += *length;
                }
            }
        }
        Index {
            mean: mean(&lengths),
            window_mean: mean(&window_lengths),
            lengths,
            window_lengths,
            files: self.files,
            owner: self.owner,
            vocabulary,
            body,
            path: self.path.build(terms),
            names: self.names.build(terms),
            defined: self.defined,
            places: self.places,
        }
    }
}

/// Numbers terms, and remembers how each word splits into them.
#[derive(Default)]
struct Words {
    vocabulary: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    split: HashMap<Box<str>, Range<u32>, foldhash::fast::RandomState>,
    terms: Vec<u32>,
}

impl Words {
    fn number(&mut self, term: &str) -> u32 {
        if let Some(number) = self.vocabulary.get(term) {
            return *number;
        }
        let number = u32::try_from(self.vocabulary.len()).unwrap_or(u32::MAX);
        self.vocabulary.insert(term.into(), number);
        number
    }

    fn each(&mut self, word: &str, mut each: impl FnMut(u32)) {
        let range = if let Some(range) = self.split.get(word) {
            range.clone()
        } else {
            let mut numbers = Vec::new();
            terms_of(word, |term| numbers.push(self.number(term)));
            let start = u32::try_from(self.terms.len()).unwrap_or(u32::MAX);
            self.terms.extend(numbers);
            let range = start..u32::try_from(self.terms.len()).unwrap_or(u32::MAX);
            self.split.insert(word.into(), range.clone());
            range
        };
        for number in self.terms.get(range.start as usize..range.end as usize).unwrap_or_default() {
            each(*number);
        }
    }
}
