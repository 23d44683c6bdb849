//! The Messages API of Anthropic: neutral conversation to wire and back; content is kept as it came.

mod stream;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::money::Usd;
use engine::port::{Block, Clock, Model, ModelAnswer, ModelRequest, Secret, Stop, ToolCall, Usage, Utterance};
use jiff::SignedDuration;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

use crate::anthropic::stream::{Answer, Stream, WireError};
use crate::anthropic::wire::wire;
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
/// Most bytes of a refusal that are read.
const MAX_REFUSAL: usize = 64 * 1024;
/// How long a stream may be silent; the API pings it well before.
const SILENCE: Duration = Duration::from_mins(1);

impl Messages {
    /// Uses an address such as [`BASE`] and a key; `default_model` is used where a request names none.
    pub fn new(base: &str, key: Secret, default_model: Option<String>, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(SILENCE)
            .build()
            .map_err(|_| Failure::new(Fault::Bug, "no HTTP client can be made"))?;
        let default_model = default_model.unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), key, default_model, clock })
    }
}

/// What we look at in a block; the block itself stays as it is.
#[derive(Deserialize)]
struct AnswerBlock<'a> {
    r#type: String,
    text: Option<String>,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refused {
    error: WireError,
}

#[async_trait]
impl Model for Messages {
    async fn call(&self, request: &ModelRequest, deadline: Duration) -> Result<ModelAnswer, Failure> {
        match self.once(request, deadline).await {
            // A model or a gateway that takes no images, or not this one: the words are there all the same.
            Err(failure) if failure.fault == Fault::Invalid && failure.message.to_lowercase().contains("image") => {
                match without_images(request) {
                    Some(request) => self.once(&request, deadline).await,
                    None => Err(failure),
                }
            }
            answer => answer,
        }
    }
}

/// A request whose images are left out; nothing where it has none.
fn without_images(request: &ModelRequest) -> Option<ModelRequest> {
    let mut request = request.clone();
    let mut left_out = false;
    for message in &mut request.messages {
        if let Utterance::User { blocks } = message {
            for block in blocks {
                if let Block::Image(image) = block {
                    left_out |= !image.bytes.is_empty();
                    image.bytes.clear();
                }
            }
        }
    }
    left_out.then_some(request)
}

impl Messages {
    async fn once(&self, request: &ModelRequest, deadline: Duration) -> Result<ModelAnswer, Failure> {
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
            let failure = self.refused(answer).await;
            if is_too_long(&failure) {
                return Ok(full(model, request_id));
            }
            // What the provider's support will ask for.
            let id = request_id.map(|id| format!(" (request {})", id.chars().take(80).collect::<String>()));
            let message = format!("{}{}", failure.message, id.unwrap_or_default());
            return Err(Failure::new(failure.fault, message));
        }
        understood(streamed(answer).await?, request_id)
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
        let again = answer.headers().get("x-should-retry").and_then(|v| v.to_str().ok()).map(|v| v == "true");
        let said = said(answer).await.map_or(String::new(), |refused| self.key.redact(&refused.error.message));
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        let code = status.as_u16();
        let (fault, say) = match (code, again) {
            (401, _) => (Fault::Auth, "the model provider does not accept the key".to_owned()),
            (402, _) => (Fault::Quota, "the model provider asks for payment".to_owned()),
            (403, _) => (Fault::Permission, "the model provider does not allow this".to_owned()),
            (429, _) => (Fault::RateLimited { retry_at }, "the model provider asks to wait".to_owned()),
            (408 | 409 | 500..=599, None | Some(true)) | (_, Some(true)) if retry_at.is_some() => {
                (Fault::RateLimited { retry_at }, format!("the model provider asks to wait (HTTP {code})"))
            }
            (408 | 409 | 500..=599, None | Some(true)) | (_, Some(true)) => {
                (Fault::Transient, format!("the model provider failed (HTTP {code})"))
            }
            (413, _) => (Fault::Invalid, "the request is larger than the model provider takes (32 MB)".to_owned()),
            _ => (Fault::Invalid, format!("the model provider refused the request (HTTP {code}): {said}")),
        };
        Failure::new(fault, say)
    }
}

/// Whether the request was refused because the conversation no longer fits; nothing was paid for it then.
fn is_too_long(failure: &Failure) -> bool {
    failure.fault == Fault::Invalid && failure.message.contains("prompt is too long")
}

/// An answer that says nothing but that the context is full.
fn full(model: &str, request_id: Option<String>) -> ModelAnswer {
    ModelAnswer {
        opaque: "[]".to_owned(),
        text: String::new(),
        calls: Vec::new(),
        stop: Stop::ContextFull,
        usage: Usage::default(),
        cost: Usd::ZERO,
        model: model.to_owned(),
        request_id,
    }
}

fn understood(answer: Answer, request_id: Option<String>) -> Result<ModelAnswer, Failure> {
    let blocks: Vec<AnswerBlock<'_>> = serde_json::from_str(&answer.content)
        .map_err(|_| Failure::new(Fault::Transient, "the model provider sent an answer that is none"))?;
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in blocks {
        match (block.r#type.as_str(), block.id, block.name) {
            ("text", ..) => text.push_str(&block.text.unwrap_or_default()),
            ("tool_use", Some(id), Some(name)) => {
                // An input that no value can hold, such as `1e999`, is none; the tool says so to the model.
                let input = block.input.and_then(|input| serde_json::from_str(input.get()).ok());
                calls.push(ToolCall { id, name, input: input.unwrap_or_default() });
            }
            _ => {}
        }
    }
    let stop = match answer.stop_reason.as_deref() {
        Some("end_turn" | "stop_sequence") => Stop::EndTurn,
        Some("tool_use") => Stop::ToolUse,
        Some("max_tokens") => Stop::MaxTokens,
        Some("model_context_window_exceeded") => Stop::ContextFull,
        Some("refusal") => Stop::Refusal,
        other => Stop::Other(other.unwrap_or("none").chars().filter(|c| !c.is_control()).take(40).collect()),
    };
    let cost = price::cost(&answer.model, &answer.usage);
    Ok(ModelAnswer {
        opaque: answer.content,
        text,
        calls,
        stop,
        usage: answer.usage,
        cost,
        model: answer.model,
        request_id,
    })
}

fn unreachable_provider(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        return Failure::new(Fault::Transient, "the model provider cannot be reached");
    }
    Failure::new(Fault::Unknown, "the model provider did not answer in time")
}

/// Reads an answer as it streams in.
async fn streamed(mut answer: Response) -> Result<Answer, Failure> {
    let (mut stream, mut length) = (Stream::default(), 0);
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable_provider(&error))? {
        length += chunk.len();
        if length > MAX_ANSWER {
            return Err(Failure::new(Fault::Invalid, "the model's answer is larger than 32 MiB"));
        }
        stream.take(&chunk)?;
    }
    stream.end()
}

/// Reads what is said of a refusal; more than that is not worth waiting for.
async fn said(mut answer: Response) -> Option<Refused> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_REFUSAL {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
}
