//! A neutral request as the Messages API wants it, with the places where its prefix is cached.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error::{Failure, Fault};
use engine::port::{Block, ModelRequest, Utterance};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Serialize)]
pub(super) struct WireRequest<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    system: [WireText<'a>; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    messages: Vec<WireMessage<'a>>,
}

#[derive(Serialize)]
struct WireText<'a> {
    r#type: &'static str,
    text: &'a str,
    cache_control: CacheControl,
}

/// Where a prefix ends that is worth keeping.
#[derive(Clone, Copy, Serialize)]
struct CacheControl {
    r#type: &'static str,
    ttl: &'static str,
}

/// For what is the same in every conversation of a stage, whoever's it is.
const HOUR: CacheControl = CacheControl { r#type: "ephemeral", ttl: "1h" };
/// For what the next turn begins with: turns follow each other within seconds, and each use begins the minutes anew.
/// An hour would cost twice the price of reading instead of five quarters, and most conversations have two or three turns.
const MINUTES: CacheControl = CacheControl { r#type: "ephemeral", ttl: "5m" };

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: WireContent<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireContent<'a> {
    Ours(Vec<WireBlock<'a>>),
    Theirs(Box<RawValue>),
}

#[derive(Serialize)]
struct WireBlock<'a> {
    #[serde(flatten)]
    what: WireWhat<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireWhat<'a> {
    Text { text: &'a str },
    ToolResult { tool_use_id: &'a str, content: &'a str, is_error: bool },
    Image { source: WireSource<'a> },
}

#[derive(Serialize)]
struct WireSource<'a> {
    r#type: &'static str,
    media_type: &'a str,
    data: String,
}

/// Writes a request. Four prefixes are kept: tools with rules, the task, and our last two messages, the one before last in
/// case that a slow turn lets the last one go.
pub(super) fn wire<'a>(request: &'a ModelRequest, model: &'a str) -> Result<WireRequest<'a>, Failure> {
    let ours = |message: &Utterance| matches!(message, Utterance::User { .. });
    let tail: Vec<usize> =
        (0..request.messages.len()).rev().filter(|at| request.messages.get(*at).is_some_and(ours)).take(2).collect();
    let mut messages = Vec::with_capacity(request.messages.len());
    for (at, message) in request.messages.iter().enumerate() {
        messages.push(match message {
            Utterance::User { blocks } => {
                let mark = (at == 0 || tail.contains(&at)).then_some(MINUTES);
                WireMessage { role: "user", content: WireContent::Ours(marked(blocks, mark)) }
            }
            Utterance::Assistant { opaque } => {
                let raw = RawValue::from_string(opaque.clone())
                    .map_err(|_| Failure::new(Fault::Bug, "a stored answer is damaged"))?;
                WireMessage { role: "assistant", content: WireContent::Theirs(raw) }
            }
        });
    }
    let tools = request
        .tools
        .iter()
        .map(|tool| WireTool { name: &tool.name, description: &tool.description, input_schema: &tool.input })
        .collect();
    let system = [WireText { r#type: "text", text: &request.system, cache_control: HOUR }];
    Ok(WireRequest { model, max_tokens: request.max_tokens, stream: true, system, tools, messages })
}

/// The blocks of a message, the last of them with the mark.
fn marked(blocks: &[Block], mark: Option<CacheControl>) -> Vec<WireBlock<'_>> {
    let last = blocks.len().saturating_sub(1);
    let block = |(at, block)| WireBlock { what: what(block), cache_control: mark.filter(|_| at == last) };
    blocks.iter().enumerate().map(block).collect()
}

fn what(block: &Block) -> WireWhat<'_> {
    match block {
        Block::Text { text } => WireWhat::Text { text },
        Block::Result(result) => {
            WireWhat::ToolResult { tool_use_id: &result.id, content: &result.text, is_error: result.is_error }
        }
        // Images are kept for a while only, and not every model takes them.
        Block::Image(image) if image.bytes.is_empty() => WireWhat::Text { text: "(An image that cannot be shown.)" },
        Block::Image(image) => {
            let source = WireSource { r#type: "base64", media_type: &image.kind, data: STANDARD.encode(&image.bytes) };
            WireWhat::Image { source }
        }
    }
}
