//! A prefix cache as the API documents it: what a request may read is what an earlier one wrote at a breakpoint.

use std::collections::BTreeSet;

use domain::hash::ContentHash;
use serde_json::{Value, json};

use crate::model::wire::unmarked;

/// How many blocks before a breakpoint are looked at for something that was written earlier.
const LOOK_BACK: usize = 20;
/// Bytes of a token, about.
const BYTES: usize = 4;

/// What was written so far, whatever its time to live.
#[derive(Default)]
pub(crate) struct Cache {
    written: BTreeSet<ContentHash>,
}

/// One block with everything before it.
struct Prefix {
    hash: ContentHash,
    tokens: usize,
    /// The time to live at its end, if a breakpoint is there.
    mark: Option<String>,
}

impl Cache {
    /// Serves a request and gives its usage: what was read, what was written for how long, and the rest.
    pub(crate) fn serve(&mut self, request: &Value, output: usize) -> Value {
        let prefixes = prefixes(request);
        let marks: Vec<usize> =
            prefixes.iter().enumerate().filter(|(_, prefix)| prefix.mark.is_some()).map(|(at, _)| at).collect();
        let tokens = |at: Option<usize>| at.and_then(|at| prefixes.get(at)).map_or(0, |prefix| prefix.tokens);
        let known = |at: &usize| prefixes.get(*at).is_some_and(|prefix| self.written.contains(&prefix.hash));
        let read = marks.iter().filter_map(|mark| (mark.saturating_sub(LOOK_BACK)..=*mark).rev().find(known)).max();
        let long =
            marks.iter().copied().filter(|at| prefixes.get(*at).is_some_and(|p| p.mark.as_deref() == Some("1h")));
        let (read, long, last) = (tokens(read), tokens(long.max()), tokens(marks.last().copied()));
        let whole = prefixes.last().map_or(0, |prefix| prefix.tokens);
        let (long, last) = (long.max(read), last.max(read));
        self.written.extend(marks.iter().filter_map(|at| prefixes.get(*at)).map(|prefix| prefix.hash.clone()));
        json!({
            "input_tokens": whole - last.max(long), "output_tokens": output,
            "cache_read_input_tokens": read, "cache_creation_input_tokens": last.max(long) - read,
            "cache_creation": { "ephemeral_1h_input_tokens": long - read,
                                "ephemeral_5m_input_tokens": last.max(long) - long },
        })
    }
}

/// Tools, rules and messages, block by block, in the order in which they are rendered.
fn prefixes(request: &Value) -> Vec<Prefix> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut blocks = list(request.get("tools").unwrap_or(&Value::Null));
    blocks.extend(list(request.get("system").unwrap_or(&Value::Null)));
    for message in list(request.get("messages").unwrap_or(&Value::Null)) {
        blocks.extend(list(message.get("content").unwrap_or(&Value::Null)));
    }
    let mut so_far = String::new();
    let prefix = |mut block: Value| {
        let mark =
            block.get("cache_control").map(|mark| mark.get("ttl").and_then(Value::as_str).unwrap_or("5m").to_owned());
        unmarked(&mut block);
        so_far.push_str(&block.to_string());
        Prefix { hash: ContentHash::of(so_far.as_bytes()), tokens: so_far.len() / BYTES, mark }
    };
    blocks.into_iter().map(prefix).collect()
}
