//! The model: one neutral conversation in, one neutral answer out, provider bytes kept opaque.

use std::time::Duration;

use async_trait::async_trait;
use domain::error::Failure;
use domain::hash::ContentHash;
use domain::money::Usd;
use domain::name::ModelName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// What it is called by.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its input.
    pub input: Value,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// Us: the task, or tool results.
    User,
    /// The model.
    Assistant,
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// What the result has to name.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its input, not yet checked.
    pub input: Value,
}

/// What a tool gave back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call it answers.
    pub id: String,
    /// What it gave.
    pub text: String,
    /// Whether the call failed.
    pub is_error: bool,
}

/// One part of what we say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Text.
    Text {
        /// It.
        text: String,
    },
    /// The result of a tool.
    Result(ToolResult),
    /// An image.
    Image(Image),
}

/// An image that people attached: named in a request, loaded right before the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its media type: `image/png` or `image/jpeg`.
    pub kind: String,
    /// The blob that it is.
    pub hash: ContentHash,
    /// Its bytes, once they are loaded.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// One message of the conversation. The model's own are kept as the provider sent them, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Utterance {
    /// What we said.
    User {
        /// Its parts.
        blocks: Vec<Block>,
    },
    /// What the model said: the provider's own content, opaque.
    Assistant {
        /// JSON text of the provider's content.
        opaque: String,
    },
}

/// A whole request; the same request has the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// The model; absent means the installation's default.
    pub model: Option<ModelName>,
    /// What the model is told first.
    pub system: String,
    /// What it may call.
    pub tools: Vec<ToolSpec>,
    /// Most tokens it may answer with.
    pub max_tokens: u32,
    /// The conversation so far, ours last.
    pub messages: Vec<Utterance>,
}

/// Tokens of one call by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Read at full price.
    pub input: u64,
    /// Written.
    pub output: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Written to the cache for minutes.
    pub cache_write: u64,
    /// Written to the cache for an hour or longer, at a price of its own.
    #[serde(default)]
    pub cache_write_long: u64,
}

impl Usage {
    /// Everything that was read, at whatever price.
    pub fn total_input(&self) -> u64 {
        self.input + self.cache_read + self.cache_write + self.cache_write_long
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It was done.
    EndTurn,
    /// It wants tools to be run.
    ToolUse,
    /// It ran into the limit of tokens.
    MaxTokens,
    /// The conversation fills the model's context.
    ContextFull,
    /// It will not do this.
    Refusal,
    /// Anything else, as the provider says it.
    Other(String),
}

/// What the model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelAnswer {
    /// The provider's content, to be sent back unchanged.
    pub opaque: String,
    /// The text in it, joined.
    pub text: String,
    /// The tool calls in it, in order.
    pub calls: Vec<ToolCall>,
    /// Why it stopped.
    pub stop: Stop,
    /// What it used.
    pub usage: Usage,
    /// What that cost.
    pub cost: Usd,
    /// The model that answered.
    pub model: String,
    /// The provider's name for the request, for its support.
    pub request_id: Option<String>,
}

/// A provider of models.
#[async_trait]
pub trait Model: Send + Sync {
    /// Makes one call; waits no longer than `deadline`.
    async fn call(&self, request: &ModelRequest, deadline: Duration) -> Result<ModelAnswer, Failure>;
}
