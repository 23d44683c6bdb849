//! What the model may return: one typed shape a stage, checked before it becomes a domain value.

mod change;
mod ticket;

use domain::path::RepoPath;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use change::*;
pub use ticket::*;

/// Longest text of one field.
const MAX_TEXT: usize = 16 * 1024;
/// Most entries of one list.
const MAX_LIST: usize = 100;

/// A shape the model may return.
pub trait Output: DeserializeOwned + JsonSchema {
    /// Reads and bounds what the model sent; the error is written for the model.
    fn parse(value: &Value) -> Result<Self, String> {
        bounded(value)?;
        serde_json::from_value(value.clone()).map_err(|error| format!("The input does not fit the schema: {error}"))
    }

    /// The JSON Schema of the tool's input.
    fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        if let Some(object) = schema.as_object_mut() {
            object.remove("$schema");
            object.remove("title");
        }
        schema
    }
}

fn bounded(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => Err(format!("A text is longer than {MAX_TEXT} bytes.")),
        Value::Array(list) if list.len() > MAX_LIST => Err(format!("A list has more than {MAX_LIST} entries.")),
        Value::Array(list) => list.iter().try_for_each(bounded),
        Value::Object(map) => map.values().try_for_each(bounded),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn path(text: &str) -> Result<RepoPath, String> {
    RepoPath::parse(text).map_err(|error| error.to_string())
}

fn filled(name: &str, text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err(format!("`{name}` is empty.")) } else { Ok(text.trim().to_owned()) }
}
