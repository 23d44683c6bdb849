//! The Messages API of Anthropic: neutral conversation to wire and back; content is kept as it came.

use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use engine::port::{Block, Clock, Model, ModelAnswer, ModelRequest, Secret, Stop, ToolCall, Usage, Utterance};
use jiff::SignedDuration;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

use crate::price::{self, DEFAULT_MODEL};

/// Calls the Messages API of one provider address with one key.
pub struct Messages {
    client: Client,
    base: String,
    key: Secret,
    default_model: String,
    clock: Arc<dyn Clock>,
}

/// Where the API is unless told otherwise.
pub const BASE: &str = "https://api.anthropic.com";
/// The version of the API this client speaks.
const VERSION: &str = "2023-06-01";
/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

impl Messages {
    /// Uses an address such as [`BASE`] and a key; `default_model` is used where a request names none.
    pub fn new(base: &str, key: Secret, default_model: Option<String>, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|_| Failure::new(Fault::Bug, "no HTTP client can be made"))?;
        let default_model = default_model.unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), key, default_model, clock })
    }
}

#[derive(Serialize)]
struct WireRequest<'a> {
    model: &'a str,
    max_tokens: u32,
    system: [WireText<'a>; 1],
    tools: Vec<WireTool<'a>>,
    messages: Vec<WireMessage<'a>>,
}

#[derive(Serialize)]
struct WireText<'a> {
    r#type: &'static str,
    text: &'a str,
    cache_control: CacheControl,
}

#[derive(Serialize)]
struct CacheControl {
    r#type: &'static str,
}

const EPHEMERAL: CacheControl = CacheControl { r#type: "ephemeral" };

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
#[serde(tag = "type", rename_all = "snake_case")]
enum WireBlock<'a> {
    Text { text: &'a str },
    ToolResult { tool_use_id: &'a str, content: &'a str, is_error: bool },
}

#[derive(Deserialize)]
struct WireAnswer {
    content: Box<RawValue>,
    model: String,
    stop_reason: Option<String>,
    usage: WireUsage,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "these are the API's names")]
struct WireUsage {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBlock {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct WireError {
    error: WireErrorBody,
}

#[derive(Deserialize)]
struct WireErrorBody {
    message: String,
}

#[async_trait]
impl Model for Messages {
    async fn call(&self, request: &ModelRequest, deadline: Duration) -> Result<ModelAnswer, Failure> {
        let model = request.model.as_ref().map_or(self.default_model.as_str(), |model| model.as_str());
        let body = serde_json::to_vec(&wire(request, model)?)
            .map_err(|error| Failure::new(Fault::Bug, format!("a request cannot be written: {error}")))?;
        let sent = self
            .client
            .post(format!("{}/v1/messages", self.base))
            .headers(self.headers()?)
            .timeout(deadline)
            .body(body)
            .send()
            .await;
        let answer = sent.map_err(|error| unreachable_provider(&error))?;
        let request_id = answer.headers().get("request-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
        if answer.status() != StatusCode::OK {
            return Err(self.refused(answer).await);
        }
        let bytes = read(answer).await?;
        understood(&bytes, request_id)
    }
}

/// How long the provider may take to say whether it knows us.
const GREETING: Duration = Duration::from_secs(10);

impl Messages {
    /// Asks whether the provider is there and knows the key; costs nothing.
    pub async fn greet(&self) -> Result<(), Failure> {
        let request = self.client.get(format!("{}/v1/models?limit=1", self.base)).headers(self.headers()?);
        let answer = request.timeout(GREETING).send().await.map_err(|error| unreachable_provider(&error))?;
        match answer.status() {
            // A gateway need not have a list of models.
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(self.refused(answer).await),
        }
    }

    fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let mut key = HeaderValue::from_bytes(self.key.expose())
            .map_err(|_| Failure::new(Fault::Auth, "the model key is not one"))?;
        key.set_sensitive(true);
        headers.insert("x-api-key", key);
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Ok(headers)
    }

    async fn refused(&self, answer: Response) -> Failure {
        let status = answer.status();
        let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()?.parse::<i64>().ok());
        let wait = header("retry-after-ms").map(SignedDuration::from_millis);
        let wait = wait.or_else(|| header("retry-after").map(SignedDuration::from_secs));
        let day = SignedDuration::from_hours(24);
        let retry_at = wait.map(|wait| self.clock.now() + wait.clamp(SignedDuration::ZERO, day));
        let said = read(answer).await.ok().and_then(|bytes| serde_json::from_slice::<WireError>(&bytes).ok());
        let said = said.map_or(String::new(), |wire| self.key.redact(&wire.error.message));
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        let (fault, say) = match status.as_u16() {
            401 => (Fault::Auth, "the model provider does not accept the key".to_owned()),
            402 => (Fault::Quota, "the model provider asks for payment".to_owned()),
            403 => (Fault::Permission, "the model provider does not allow this".to_owned()),
            429 => (Fault::RateLimited { retry_at }, "the model provider asks to wait".to_owned()),
            408 | 409 | 500..=599 => {
                (Fault::Transient, format!("the model provider failed (HTTP {})", status.as_u16()))
            }
            code => (Fault::Invalid, format!("the model provider refused the request (HTTP {code}): {said}")),
        };
        Failure::new(fault, say)
    }
}

fn wire<'a>(request: &'a ModelRequest, model: &'a str) -> Result<WireRequest<'a>, Failure> {
    let mut messages = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        messages.push(match message {
            Utterance::User { blocks } => {
                WireMessage { role: "user", content: WireContent::Ours(blocks.iter().map(block).collect()) }
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
    let system = [WireText { r#type: "text", text: &request.system, cache_control: EPHEMERAL }];
    Ok(WireRequest { model, max_tokens: request.max_tokens, system, tools, messages })
}

fn block(block: &Block) -> WireBlock<'_> {
    match block {
        Block::Text { text } => WireBlock::Text { text },
        Block::Result(result) => {
            WireBlock::ToolResult { tool_use_id: &result.id, content: &result.text, is_error: result.is_error }
        }
    }
}

fn understood(bytes: &[u8], request_id: Option<String>) -> Result<ModelAnswer, Failure> {
    let strange = || Failure::new(Fault::Transient, "the model provider sent an answer that is none");
    let wire: WireAnswer = serde_json::from_slice(bytes).map_err(|_| strange())?;
    let blocks: Vec<AnswerBlock> = serde_json::from_str(wire.content.get()).map_err(|_| strange())?;
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in blocks {
        match block {
            AnswerBlock::Text { text: part } => text.push_str(&part),
            AnswerBlock::ToolUse { id, name, input } => calls.push(ToolCall { id, name, input }),
            AnswerBlock::Other => {}
        }
    }
    let stop = match wire.stop_reason.as_deref() {
        Some("end_turn" | "stop_sequence") => Stop::EndTurn,
        Some("tool_use") => Stop::ToolUse,
        Some("max_tokens" | "model_context_window_exceeded") => Stop::MaxTokens,
        Some("refusal") => Stop::Refusal,
        other => Stop::Other(other.unwrap_or("none").chars().take(40).collect()),
    };
    let usage = Usage {
        input: wire.usage.input_tokens,
        output: wire.usage.output_tokens,
        cache_read: wire.usage.cache_read_input_tokens.unwrap_or(0),
        cache_write: wire.usage.cache_creation_input_tokens.unwrap_or(0),
    };
    let cost = price::cost(&wire.model, &usage);
    Ok(ModelAnswer {
        opaque: wire.content.get().to_owned(),
        text,
        calls,
        stop,
        usage,
        cost,
        model: wire.model,
        request_id,
    })
}

fn unreachable_provider(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        return Failure::new(Fault::Transient, "the model provider cannot be reached");
    }
    Failure::new(Fault::Unknown, "the model provider did not answer in time")
}

async fn read(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable_provider(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(Failure::new(Fault::Invalid, "the model's answer is larger than 32 MiB"));
        }
    }
    Ok(bytes)
}
