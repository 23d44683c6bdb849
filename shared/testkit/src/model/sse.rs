//! An answer as a stream of server-sent events, in small pieces.

use serde_json::{Value, json};

/// Characters of one piece.
const PIECE: usize = 40;

fn event(out: &mut String, data: &Value) {
    let name = data.get("type").and_then(Value::as_str).unwrap_or("");
    out.push_str(&format!("event: {name}\ndata: {data}\n\n"));
}

fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}

/// Writes a message as events.
pub(crate) fn stream(message: &Value) -> String {
    let mut out = String::new();
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"]["output_tokens"] = json!(1);
    event(&mut out, &json!({ "type": "message_start", "message": start }));
    for (index, block) in message["content"].as_array().into_iter().flatten().enumerate() {
        let mut empty = block.clone();
        let mut deltas = Vec::new();
        for field in ["text", "thinking", "signature"] {
            if let Some(text) = block.get(field).and_then(Value::as_str) {
                empty[field] = json!("");
                let kind = format!("{field}_delta");
                deltas.extend(pieces(text).into_iter().map(|piece| json!({ "type": kind, field: piece })));
            }
        }
        if let Some(input) = block.get("input") {
            empty["input"] = json!({});
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
    let delta = json!({ "stop_reason": message["stop_reason"], "stop_sequence": null });
    event(&mut out, &json!({ "type": "message_delta", "delta": delta, "usage": message["usage"] }));
    event(&mut out, &json!({ "type": "message_stop" }));
    out
}
