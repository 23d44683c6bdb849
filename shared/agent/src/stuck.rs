//! Notices a model that goes round in circles: it is told once, and then the run ends.

use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use engine::port::{Block, ToolCall};
use serde::{Deserialize, Serialize};

/// Turns that are remembered.
const KEPT: usize = 6;
/// The same call with the same result so often is a circle.
const SAME: usize = 4;
/// The same call with nothing but errors so often, too.
const FAILING: usize = 3;

const SAY: &str = "You repeat yourself, and it leads nowhere. Look at what the last results say, and try another way; \
                   if there is none, hand in what you have with `finish`.";

/// What one turn did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Did {
    calls: ContentHash,
    results: ContentHash,
    failed: bool,
}

/// What the last turns did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    last: Vec<Did>,
    told: bool,
}

impl Trail {
    /// Notes a turn; gives what the model is to be told when it repeats itself, and fails when it was told before.
    pub(crate) fn follow(&mut self, calls: &[ToolCall], blocks: &[Block]) -> Result<Option<&'static str>, Failure> {
        let asked: Vec<_> = calls.iter().map(|call| (&call.name, &call.input)).collect();
        let results = blocks.iter().filter_map(|block| match block {
            Block::Result(result) => Some((&result.text, result.is_error)),
            Block::Text { .. } | Block::Image(_) => None,
        });
        let results: Vec<_> = results.collect();
        let failed = !results.is_empty() && results.iter().all(|(_, is_error)| *is_error);
        let did = Did { calls: ContentHash::of_json(&asked), results: ContentHash::of_json(&results), failed };
        self.last.push(did);
        let from = self.last.len().saturating_sub(KEPT);
        self.last.drain(..from);
        if calls.is_empty() || !self.circles() {
            return Ok(None);
        }
        if self.told {
            return Err(Failure::new(Fault::Invalid, "the model went round in circles, also after it was told so"));
        }
        *self = Self { last: Vec::new(), told: true };
        Ok(Some(SAY))
    }

    fn circles(&self) -> bool {
        let tail = |count: usize| self.last.len().checked_sub(count).and_then(|from| self.last.get(from..));
        let same = |turns: &[Did]| turns.windows(2).all(|pair| pair.first() == pair.last());
        let failing = |turns: &[Did]| {
            let first = turns.first().map(|did| &did.calls);
            turns.iter().all(|did| did.failed && Some(&did.calls) == first)
        };
        let alternating = |turns: &[Did]| turns.iter().zip(turns.iter().skip(2)).all(|(a, b)| a == b);
        tail(SAME).is_some_and(same) || tail(FAILING).is_some_and(failing) || tail(KEPT).is_some_and(alternating)
    }
}

#[cfg(test)]
mod tests {
    use engine::port::ToolResult;
    use serde_json::json;

    use super::*;

    /// Follows turns of (call, result, whether it failed); gives the turn at which the model is told, and at which it ends.
    fn walk(turns: &[(&str, &str, bool)]) -> (Option<usize>, Option<usize>) {
        let (mut trail, mut told) = (Trail::default(), None);
        for (at, (name, text, is_error)) in turns.iter().enumerate() {
            let call = ToolCall { id: at.to_string(), name: (*name).to_owned(), input: json!({}) };
            let result = ToolResult { id: at.to_string(), text: (*text).to_owned(), is_error: *is_error };
            match trail.follow(&[call], &[Block::Result(result)]) {
                Ok(Some(_)) => told = Some(at + 1),
                Ok(None) => {}
                Err(_) => return (told, Some(at + 1)),
            }
        }
        (told, None)
    }

    #[test]
    fn circles_are_noticed_told_once_and_then_ended() {
        assert_eq!(walk(&[("a", "x", false); 8]), (Some(4), Some(8)));
        assert_eq!(walk(&[("a", "x", true), ("a", "y", true), ("a", "z", true)]), (Some(3), None));
        let ab = [("a", "x", false), ("b", "y", false)];
        assert_eq!(walk(&[ab, ab, ab].concat()), (Some(6), None));
        let progress: Vec<(&str, &str, bool)> =
            ["1", "2", "3", "4", "5", "6", "7", "8"].iter().map(|text| ("a", *text, false)).collect();
        assert_eq!(walk(&progress), (None, None));
    }
}
