//! Turns the text a file should have into edits that each replace a text occurring exactly once.

use similar::{DiffOp, TextDiff};

/// One edit: what is there, and what will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) old: String,
    pub(crate) new: String,
}

/// The edits that lead from one text to another when made in order; `None` where that cannot be done.
pub(crate) fn edits(before: &str, after: &str) -> Option<Vec<Edit>> {
    let mut now = before.to_owned();
    let mut all = Vec::new();
    while now != after {
        let edit = first(&now, after)?;
        now = now.replacen(&edit.old, &edit.new, 1);
        all.push(edit);
        if all.len() > 500 {
            return None;
        }
    }
    Some(all)
}

/// The first difference, with as many lines around it as make it unique.
fn first(now: &str, after: &str) -> Option<Edit> {
    let old: Vec<&str> = now.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let diff = TextDiff::from_slices(&old, &new);
    let op = diff.ops().iter().find(|op| !matches!(op, DiffOp::Equal { .. }))?;
    let (from, to) = (op.old_range(), op.new_range());
    for context in 0..=old.len().max(1) {
        let start = from.start.saturating_sub(context);
        let end = (from.end + context).min(old.len());
        let lead = from.start - start;
        let tail = end - from.end;
        let text: String = old.get(start..end)?.concat();
        let before: String = old.get(from.start - lead..from.start)?.concat();
        let behind: String = old.get(from.end..from.end + tail)?.concat();
        let changed: String = new.get(to.clone())?.concat();
        let (text, result) = without_last_newline(text, format!("{before}{changed}{behind}"));
        if !text.is_empty() && now.matches(&text).count() == 1 {
            return Some(Edit { old: text, new: result });
        }
    }
    None
}

/// Leaves a newline that both end with to the file, which may not have one at its very end.
fn without_last_newline(old: String, new: String) -> (String, String) {
    match (old.strip_suffix('\n'), new.strip_suffix('\n')) {
        (Some(old), Some(new)) => (old.to_owned(), new.to_owned()),
        _ => (old, new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_lead_from_one_text_to_the_other() {
        let before = "a\nx = 1\nb\na\nx = 1\nc\n";
        let after = "a\nx = 2\nb\na\nx = 2\nc\nd\n";
        let mut now = before.to_owned();
        for edit in edits(before, after).unwrap() {
            assert_eq!(now.matches(&edit.old).count(), 1, "{edit:?}");
            now = now.replacen(&edit.old, &edit.new, 1);
        }
        assert_eq!(now, after);
    }
}
