//! An answer as it streams in: server-sent events, put together into the content that is sent back unchanged.

use std::fmt::Write as _;

use domain::error::{Failure, Fault};
use engine::port::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The content as JSON text, an array of blocks.
    pub(super) content: String,
    pub(super) model: String,
    pub(super) stop_reason: Option<String>,
    pub(super) usage: Usage,
}

/// Puts an answer together.
#[derive(Default)]
pub(super) struct Stream {
    /// Bytes of an event that is not whole yet.
    rest: Vec<u8>,
    blocks: Vec<Building>,
    model: String,
    stop_reason: Option<String>,
    usage: WireUsage,
    done: bool,
}

/// A block under way: its fields, and the input of a tool as the text it came in.
struct Building {
    fields: Map<String, Value>,
    input: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: usize,
        content_block: Map<String, Value>,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    ContentBlockStop {},
    MessageDelta {
        delta: End,
        usage: WireUsage,
    },
    MessageStop {},
    Ping {},
    Error {
        error: WireError,
    },
    /// New kinds of events may come; they change no content.
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Start {
    model: String,
    usage: WireUsage,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "citations_delta")]
    Citations { citation: Value },
    #[serde(other)]
    Unknown,
}

/// What the API says went wrong.
#[derive(Deserialize)]
pub(super) struct WireError {
    #[serde(rename = "type", default)]
    kind: String,
    pub(super) message: String,
}

/// Each report is cumulative; what it leaves out stays as it was.
#[derive(Default, Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<WireCreation>,
}

#[derive(Default, Deserialize)]
struct WireCreation {
    #[serde(default)]
    ephemeral_1h_input_tokens: u64,
}

impl WireUsage {
    fn update(&mut self, newer: Self) {
        self.input_tokens = newer.input_tokens.or(self.input_tokens);
        self.output_tokens = newer.output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens = newer.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens = newer.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_creation = newer.cache_creation.or(self.cache_creation.take());
    }

    fn neutral(&self) -> Usage {
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        let long = self.cache_creation.as_ref().map_or(0, |creation| creation.ephemeral_1h_input_tokens).min(written);
        Usage {
            input: self.input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write: written - long,
            cache_write_long: long,
        }
    }
}

fn strange(what: &str) -> Failure {
    Failure::new(Fault::Transient, format!("the model provider sent an answer that is none: {what}"))
}

impl Stream {
    /// Takes more bytes, in whatever pieces they come.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.rest.extend_from_slice(bytes);
        while let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=at).collect();
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // An event's name is in its data, too, and its data is one line.
            if let Some(data) = line.strip_prefix(b"data:") {
                let event = serde_json::from_slice(data).map_err(|_| strange("an event cannot be read"))?;
                self.event(event)?;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::MessageStart { message } => {
                self.model = message.model;
                self.usage.update(message.usage);
            }
            Event::ContentBlockStart { index, content_block } => {
                if index != self.blocks.len() {
                    return Err(strange("its blocks are out of order"));
                }
                self.blocks.push(Building { fields: content_block, input: None });
            }
            Event::ContentBlockDelta { index, delta } => {
                let block = self.blocks.get_mut(index).ok_or_else(|| strange("a part of a block that never began"))?;
                block.add(delta)?;
            }
            Event::MessageDelta { delta, usage } => {
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
                self.usage.update(usage);
            }
            Event::MessageStop {} => self.done = true,
            Event::Error { error } => return Err(error.failure()),
            Event::ContentBlockStop {} | Event::Ping {} | Event::Unknown => {}
        }
        Ok(())
    }

    /// Ends the answer; one that broke off may have cost something, and nobody knows what.
    pub(super) fn end(self) -> Result<Answer, Failure> {
        if !self.done {
            return Err(Failure::new(Fault::Unknown, "the model provider's answer broke off"));
        }
        // Blank text is sent now and then, and never taken back.
        let blocks: Result<Vec<String>, Failure> =
            self.blocks.into_iter().filter(|block| !block.is_blank()).map(Building::text).collect();
        let content = format!("[{}]", blocks?.join(","));
        Ok(Answer { content, model: self.model, stop_reason: self.stop_reason, usage: self.usage.neutral() })
    }
}

impl Building {
    fn add(&mut self, delta: Delta) -> Result<(), Failure> {
        match delta {
            Delta::Unknown => {
                let say = "the model provider sends a part of an answer that this version does not know";
                return Err(Failure::new(Fault::Invalid, say));
            }
            Delta::Text { text } => self.append("text", &text),
            Delta::Thinking { thinking } => self.append("thinking", &thinking),
            Delta::Signature { signature } => self.append("signature", &signature),
            Delta::InputJson { partial_json } => {
                self.input.get_or_insert_default().push_str(&partial_json);
            }
            Delta::Citations { citation } => {
                let citations = self.fields.entry("citations").or_insert_with(|| Value::Array(Vec::new()));
                if !citations.is_array() {
                    *citations = Value::Array(Vec::new());
                }
                if let Some(list) = citations.as_array_mut() {
                    list.push(citation);
                }
            }
        }
        Ok(())
    }

    fn is_blank(&self) -> bool {
        let field = |name: &str| self.fields.get(name).and_then(Value::as_str);
        field("type") == Some("text") && field("text").is_none_or(|text| text.trim().is_empty())
    }

    fn append(&mut self, field: &str, text: &str) {
        match self.fields.get_mut(field) {
            Some(Value::String(so_far)) => so_far.push_str(text),
            _ => {
                self.fields.insert(field.to_owned(), Value::String(text.to_owned()));
            }
        }
    }

    /// The block as JSON text. A tool's input stays byte for byte as it came; one that was cut off becomes empty.
    fn text(mut self) -> Result<String, Failure> {
        let whole =
            |input: String| RawValue::from_string(input).map_or_else(|_| "{}".to_owned(), |raw| raw.get().to_owned());
        let input = self.input.take().filter(|input| !input.trim().is_empty()).map(whole);
        if input.is_some() {
            self.fields.remove("input");
        }
        let mut text = serde_json::to_string(&self.fields).map_err(|error| strange(&error.to_string()))?;
        if let Some(input) = input {
            text.pop();
            let _ = write!(text, "{}\"input\":{input}}}", if self.fields.is_empty() { "" } else { "," });
        }
        Ok(text)
    }
}

impl WireError {
    /// An error that came after the answer had begun.
    fn failure(&self) -> Failure {
        let message: String = self.message.chars().filter(|c| !c.is_control()).take(200).collect();
        match self.kind.as_str() {
            "rate_limit_error" => {
                Failure::new(Fault::RateLimited { retry_at: None }, "the model provider asks to wait")
            }
            "invalid_request_error" => {
                Failure::new(Fault::Invalid, format!("the model provider refused the request: {message}"))
            }
            _ => Failure::new(Fault::Transient, "the model provider failed in the middle of its answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":7,\"cache_creation_input_tokens\":9,\"cache_creation\":{\"ephemeral_5m_input_tokens\":4,\"ephemeral_1h_input_tokens\":5},\"output_tokens\":1}}}\n\n",
        "event: content_block_start\r\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\r\n\r\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"sig\"}}\n",
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n: a comment\nevent: ping\ndata: {\"type\":\"ping\"}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n",
        "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"gr\\u00fc\"}}\n",
        "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"n\"}}\n",
        "data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"read\",\"input\":{}}}\n",
        "data: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"z\\\": 1, \"}}\n",
        "data: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\\\"a\\\": 1.50}\"}}\n",
        "data: {\"type\":\"something_new\",\"x\":1}\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":42}}\n",
        "data: {\"type\":\"message_stop\"}\n\n",
    );

    fn read(text: &str, piece: usize) -> Result<Answer, Failure> {
        let mut stream = Stream::default();
        for bytes in text.as_bytes().chunks(piece) {
            stream.take(bytes)?;
        }
        stream.end()
    }

    #[test]
    fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
        for piece in [1, 2, 3, 7, 64, 10_000] {
            let answer = read(ANSWER, piece).unwrap();
            insta::allow_duplicates! {
                insta::assert_snapshot!(answer.content, @r#"[{"signature":"sig","thinking":"hm","type":"thinking"},{"text":"grün","type":"text"},{"id":"t1","name":"read","type":"tool_use","input":{"z": 1, "a": 1.50}}]"#);
            }
            assert_eq!(answer.stop_reason.as_deref(), Some("tool_use"));
            let usage = Usage { input: 5, output: 42, cache_read: 7, cache_write: 4, cache_write_long: 5 };
            assert_eq!((answer.usage, answer.model.as_str()), (usage, "m"));
        }
    }

    #[test]
    fn what_breaks_off_or_fails_in_the_middle_is_no_answer() {
        let fault = |text: &str| read(text, 50).map(|answer| answer.content).map_err(|failure| failure.fault);
        let cut = ANSWER.split("data: {\"type\":\"message_stop\"").next().unwrap();
        assert_eq!(fault(cut), Err(Fault::Unknown));
        let error =
            |kind: &str| format!("data: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"x\"}}}}\n");
        assert_eq!(fault(&error("overloaded_error")), Err(Fault::Transient));
        assert_eq!(fault(&error("rate_limit_error")), Err(Fault::RateLimited { retry_at: None }));
        assert_eq!(fault(&error("invalid_request_error")), Err(Fault::Invalid));
        assert_eq!(fault("data: nonsense\n"), Err(Fault::Transient));
        let halved = ANSWER.replace("\\\"a\\\": 1.50}", "\\\"a");
        assert!(read(&halved, 50).unwrap().content.ends_with("\"input\":{}}]"), "an input that was cut off is empty");
    }
}
