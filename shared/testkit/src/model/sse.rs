//! An answer as a stream of server-sent events, in small pieces.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Characters of one piece.
const PIECE: usize = 40;

fn event(out: &mut String, data: &Value) {
    let name = data.get("type").and_then(Value::as_str).unwrap_or("");
    let _ = write!(out, "event: {name}\ndata: {data}\n\n");
}

fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}

fn fields(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Writes a message as events.
pub(crate) fn stream(message: &Value) -> String {
    let mut out = String::new();
    let mut usage = fields(message.get("usage"));
    usage.insert("output_tokens".to_owned(), json!(1));
    let mut start = fields(Some(message));
    start.insert("content".to_owned(), json!([]));
    start.insert("stop_reason".to_owned(), Value::Null);
    start.insert("usage".to_owned(), Value::Object(usage));
    event(&mut out, &json!({ "type": "message_start", "message": start }));
    for (index, block) in message.get("content").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let mut empty = fields(Some(block));
        let mut deltas = Vec::new();
        for field in ["text", "thinking", "signature"] {
            if let Some(text) = block.get(field).and_then(Value::as_str) {
                empty.insert(field.to_owned(), json!(""));
                let kind = format!("{field}_delta");
                deltas.extend(pieces(text).into_iter().map(|piece| json!({ "type": kind, field: piece })));
            }
        }
        if let Some(input) = block.get("input") {
            empty.insert("input".to_owned(), json!({}));
            let delta = |piece| json!({ "type": "input_json_delta", "partial_json": piece });
            deltas.extend(pieces(&input.to_string()).into_iter().map(delta));
        }
        event(&mut out, &json!({ "type": "content_block_start", "index": index, "content_block": empty }));
        for delta in deltas {
            event(&mut out, &json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        event(&mut out, &json!({ "type": "content_block_stop", "index": index }));
        event(&mut out, &json!({ "type": "ping" }));
    }
    let delta = json!({ "stop_reason": message.get("stop_reason"), "stop_sequence": null });
    event(&mut out, &json!({ "type": "message_delta", "delta": delta, "usage": message.get("usage") }));
    event(&mut out, &json!({ "type": "message_stop" }));
    out
}
