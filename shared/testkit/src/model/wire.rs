//! Reads a request as strictly as the API documents it.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// A whole request; fields we do not send are not accepted, so that they are noticed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) model: String,
    pub(crate) max_tokens: u32,
    pub(crate) stream: bool,
    pub(crate) system: Vec<SystemText>,
    #[serde(default)]
    pub(crate) tools: Vec<Tool>,
    pub(crate) messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SystemText {
    pub(crate) r#type: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) cache_control: Option<CacheControl>,
}

/// A place where a prefix is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CacheControl {
    pub(crate) r#type: String,
    #[serde(default)]
    pub(crate) ttl: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) input_schema: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    pub(crate) role: String,
    pub(crate) content: Vec<Block>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Block {
    Text {
        text: String,
        #[serde(default)]
        cache_control: Option<CacheControl>,
    },
    Thinking {
        #[expect(dead_code, reason = "it must be there, whatever it says")]
        thinking: String,
        signature: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Value,
    },
    ToolResult {
        tool_use_id: String,
        content: String,
        is_error: bool,
        #[serde(default)]
        cache_control: Option<CacheControl>,
    },
    Image {
        source: Source,
        #[serde(default)]
        cache_control: Option<CacheControl>,
    },
}

/// Where an image is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) r#type: String,
    pub(crate) media_type: String,
    pub(crate) data: String,
}

impl Source {
    /// Whether it is an image of the type it says it is.
    fn is_sound(&self) -> bool {
        let bytes = STANDARD.decode(&self.data).unwrap_or_default();
        let head: &[u8] = match self.media_type.as_str() {
            "image/png" => b"\x89PNG\r\n\x1a\n",
            "image/jpeg" => b"\xff\xd8\xff",
            _ => return false,
        };
        self.r#type == "base64" && bytes.starts_with(head) && bytes.len() <= 5 * 1024 * 1024
    }
}

impl Block {
    fn cache_control(&self) -> Option<&CacheControl> {
        match self {
            Self::Text { cache_control, .. }
            | Self::ToolResult { cache_control, .. }
            | Self::Image { cache_control, .. } => cache_control.as_ref(),
            Self::Thinking { .. } | Self::ToolUse { .. } => None,
        }
    }
}

impl Request {
    /// The first thing we were told: the task.
    pub(crate) fn task(&self) -> &str {
        match self.messages.first().and_then(|message| message.content.first()) {
            Some(Block::Text { text, .. }) => text,
            _ => "",
        }
    }

    /// Every tool call so far with its result, in order.
    pub(crate) fn calls(&self) -> Vec<Call<'_>> {
        let mut calls = Vec::new();
        for block in self.messages.iter().flat_map(|message| &message.content) {
            if let Block::ToolUse { id, name, input } = block {
                let result = self.messages.iter().flat_map(|message| &message.content).find_map(|block| match block {
                    Block::ToolResult { tool_use_id, content, is_error, .. } if tool_use_id == id => {
                        Some((content.as_str(), *is_error))
                    }
                    Block::Text { .. }
                    | Block::Thinking { .. }
                    | Block::ToolUse { .. }
                    | Block::ToolResult { .. }
                    | Block::Image { .. } => None,
                });
                if let Some((result, is_error)) = result {
                    calls.push(Call { name, input, result, is_error });
                }
            }
        }
        calls
    }
}

/// A tool call that was answered.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) input: &'a Value,
    pub(crate) result: &'a str,
    pub(crate) is_error: bool,
}

/// Reads and checks a request; the problem is told to whoever sent it.
pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Request, String> {
    for (name, value) in
        [("anthropic-version", Some("2023-06-01")), ("x-api-key", None), ("content-type", Some("application/json"))]
    {
        let found = headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
        if found.is_empty() || value.is_some_and(|value| value != found) {
            return Err(format!("header {name} is missing or wrong"));
        }
    }
    let request: Request =
        serde_json::from_slice(body).map_err(|error| format!("the body is not as documented: {error}"))?;
    check(&request)?;
    marks(&request)?;
    bound(&request, body)?;
    Ok(request)
}

fn check(request: &Request) -> Result<(), String> {
    if request.model.is_empty() || request.max_tokens == 0 || request.max_tokens > 128_000 {
        return Err("model and max_tokens are required, and 128,000 tokens are the most".to_owned());
    }
    if !request.stream {
        return Err("an answer of this length is to be streamed".to_owned());
    }
    for text in &request.system {
        if text.r#type != "text" || text.text.is_empty() {
            return Err("a system block is not as documented".to_owned());
        }
    }
    for tool in &request.tools {
        let object = tool.input_schema.get("type").and_then(Value::as_str) == Some("object");
        let named = (1..=64).contains(&tool.name.len())
            && tool.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !named || tool.description.is_empty() || !object {
            return Err(format!("tool {} is not as documented", tool.name));
        }
    }
    let mut expected = "user";
    let mut open: Vec<&str> = Vec::new();
    for message in &request.messages {
        if message.role != expected || message.content.is_empty() {
            return Err(format!("a message of role {} where {expected} was due, or an empty one", message.role));
        }
        if expected == "user" {
            results(message, &mut open)?;
        } else {
            open = message
                .content
                .iter()
                .filter_map(|block| match block {
                    Block::ToolUse { id, .. } => Some(id.as_str()),
                    Block::Text { .. } | Block::Thinking { .. } | Block::ToolResult { .. } | Block::Image { .. } => {
                        None
                    }
                })
                .collect();
        }
        expected = if expected == "user" { "assistant" } else { "user" };
    }
    if expected == "user" {
        return Err("the last message must be the user's: no prefill".to_owned());
    }
    Ok(())
}

/// Every tool call must be answered once, in the message that follows, before any text.
fn results(message: &Message, open: &mut Vec<&str>) -> Result<(), String> {
    let mut text_seen = false;
    for block in &message.content {
        match block {
            Block::ToolResult { tool_use_id, .. } => {
                let at = open.iter().position(|id| id == tool_use_id);
                let at = at.ok_or_else(|| format!("a result for {tool_use_id}, which was not called"))?;
                if text_seen {
                    return Err("tool results come before text".to_owned());
                }
                open.remove(at);
            }
            Block::Text { text, .. } if text.trim().is_empty() => return Err("a text block is empty".to_owned()),
            Block::Image { source, .. } if !source.is_sound() => return Err("Could not process image".to_owned()),
            Block::Text { .. } | Block::Image { .. } => text_seen = true,
            Block::ToolUse { .. } | Block::Thinking { .. } => {
                return Err("only the assistant thinks and calls tools".to_owned());
            }
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("tool calls without a result: {open:?}")) }
}

/// At most four prefixes are kept, those for an hour before those for minutes.
fn marks(request: &Request) -> Result<(), String> {
    let system = request.system.iter().filter_map(|text| text.cache_control.as_ref());
    let blocks = request.messages.iter().flat_map(|message| &message.content).filter_map(Block::cache_control);
    let marks: Vec<&CacheControl> = system.chain(blocks).collect();
    let ttls: Vec<&str> = marks.iter().map(|mark| mark.ttl.as_deref().unwrap_or("5m")).collect();
    if marks.iter().any(|mark| mark.r#type != "ephemeral") || ttls.iter().any(|ttl| !["5m", "1h"].contains(ttl)) {
        return Err("cache_control is not as documented".to_owned());
    }
    if marks.len() > 4 || ttls.windows(2).any(|pair| pair == ["5m", "1h"]) {
        return Err(format!("at most four cache breakpoints, 1h before 5m: {ttls:?}"));
    }
    Ok(())
}

/// A thinking block belongs to the very prefix it was made after: tools, rules and every message before it.
fn bound(request: &Request, body: &[u8]) -> Result<(), String> {
    let prefixes = prefixes(body);
    for (at, message) in request.messages.iter().enumerate() {
        for block in &message.content {
            if let Block::Thinking { signature, .. } = block
                && prefixes.get(at) != Some(signature)
            {
                return Err(format!("message {at}: what was said before its thinking is not what it was then"));
            }
        }
    }
    Ok(())
}

/// The signature of everything before each message, and of the whole; cache marks are no part of it.
pub(crate) fn prefixes(body: &[u8]) -> Vec<String> {
    let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
    unmarked(&mut request);
    let messages = request.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
    let part = |name: &str| request.get(name).map(ToString::to_string).unwrap_or_default();
    let mut so_far = format!("{}\n{}\n", part("tools"), part("system"));
    let mut signatures = vec![signature(&so_far)];
    for message in messages {
        so_far.push_str(&message.to_string());
        signatures.push(signature(&so_far));
    }
    signatures
}

fn signature(text: &str) -> String {
    domain::hash::ContentHash::of(text.as_bytes()).as_str().to_owned()
}

/// Takes the cache marks out.
pub fn unmarked(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("cache_control");
            map.values_mut().for_each(unmarked);
        }
        Value::Array(list) => list.iter_mut().for_each(unmarked),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
