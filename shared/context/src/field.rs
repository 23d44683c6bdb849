//! One searchable field: which term occurs how often in which unit, grouped by term.

/// How often a term occurs in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) unit: u32,
    pub(crate) count: u32,
}

/// The postings of one field, grouped by term, and the length of each unit in terms.
#[derive(Debug, Default)]
pub(crate) struct Field {
    starts: Vec<u32>,
    postings: Vec<Posting>,
    pub(crate) lengths: Vec<u32>,
    /// The mean length of a unit, at least 1.
    pub(crate) mean: f64,
}

impl Field {
    /// The units that have a term, ascending.
    pub(crate) fn postings(&self, term: u32) -> &[Posting] {
        let term = term as usize;
        let range = self.starts.get(term).zip(self.starts.get(term + 1));
        range.and_then(|(start, end)| self.postings.get(*start as usize..*end as usize)).unwrap_or_default()
    }
}

/// The mean of lengths, at least 1.
pub(crate) fn mean(lengths: &[u32]) -> f64 {
    let sum: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    (float(sum) / float(lengths.len().max(1) as u64)).max(1.0)
}

/// Collects a field unit by unit.
#[derive(Default)]
pub(crate) struct FieldBuilder {
    seen: Vec<(u32, Posting)>,
    lengths: Vec<u32>,
    counts: Vec<u32>,
    touched: Vec<u32>,
}

impl FieldBuilder {
    /// Counts a term in the unit under way.
    pub(crate) fn add(&mut self, term: u32) {
        let at = term as usize;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(at) {
            if *count == 0 {
                self.touched.push(term);
            }
            *count += 1;
        }
    }

    /// Ends the unit under way and gives its number.
    pub(crate) fn close(&mut self) -> u32 {
        let unit = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        let mut length = 0;
        for term in self.touched.drain(..) {
            if let Some(count) = self.counts.get_mut(term as usize) {
                self.seen.push((term, Posting { unit, count: *count }));
                length += *count;
                *count = 0;
            }
        }
        self.lengths.push(length);
        unit
    }

    /// How many units there are so far.
    pub(crate) fn units(&self) -> u32 {
        u32::try_from(self.lengths.len()).unwrap_or(u32::MAX)
    }

    /// Groups what was collected by term.
    pub(crate) fn build(self, terms: usize) -> Field {
        let mut starts = vec![0u32; terms + 1];
        for (term, _) in &self.seen {
            if let Some(start) = starts.get_mut(*term as usize + 1) {
                *start += 1;
            }
        }
        for at in 1..starts.len() {
            let before = starts.get(at - 1).copied().unwrap_or(0);
            if let Some(start) = starts.get_mut(at) {
                *start += before;
            }
        }
        let mut next = starts.clone();
        let mut postings = vec![Posting { unit: 0, count: 0 }; self.seen.len()];
        for (term, posting) in self.seen {
            if let Some(place) = next.get_mut(term as usize) {
                if let Some(slot) = postings.get_mut(*place as usize) {
                    *slot = posting;
                }
                *place += 1;
            }
        }
        Field { starts, postings, mean: mean(&self.lengths), lengths: self.lengths }
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of files and words stay far below 2^53")]
pub(crate) fn float(count: impl Into<u64>) -> f64 {
    count.into() as f64
}
