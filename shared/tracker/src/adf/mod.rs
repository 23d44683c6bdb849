//! The Atlassian Document Format, as far as Jira's comments and descriptions go, and Markdown both ways.

mod fit;
mod inline;
mod read;
mod write;

#[cfg(test)]
#[expect(
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "what came back is told; documents have many kinds of pieces"
)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use read::to_markdown;
pub use write::from_markdown;

/// One node of a document. What we do not know is kept as it came.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Node {
    /// What it is: `paragraph`, `text`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attrs: Map<String, Value>,
    /// What is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Node>,
    /// How a text is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// The words of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The format's version, on the document alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// How a text is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// `strong`, `em`, `strike`, `code`, `link`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attrs: Map<String, Value>,
}

impl Node {
    fn of(kind: &str, content: Vec<Self>) -> Self {
        Self { kind: kind.to_owned(), content, ..Self::default() }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.attrs.insert(name.to_owned(), value);
        self
    }

    fn text(text: &str, marks: Vec<Mark>) -> Self {
        Self { kind: "text".to_owned(), text: Some(text.to_owned()), marks, ..Self::default() }
    }

    fn attr(&self, name: &str) -> Option<&str> {
        self.attrs.get(name).and_then(Value::as_str)
    }

    /// Every word in it, a space between blocks.
    pub fn words(&self) -> String {
        let mut words = String::new();
        self.gather(&mut words);
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn gather(&self, out: &mut String) {
        if let Some(text) = &self.text {
            out.push_str(text);
        }
        for shown in ["text", "title", "shortName", "url"] {
            if let Some(text) = self.attr(shown) {
                out.push(' ');
                out.push_str(text);
                out.push(' ');
            }
        }
        for node in &self.content {
            node.gather(out);
        }
        if self.kind != "text" {
            out.push(' ');
        }
    }
}

impl Mark {
    fn plain(kind: &str) -> Self {
        Self { kind: kind.to_owned(), attrs: Map::new() }
    }

    fn link(href: &str, title: &str) -> Self {
        let mut attrs = Map::new();
        attrs.insert("href".to_owned(), json!(href));
        if !title.is_empty() {
            attrs.insert("title".to_owned(), json!(title));
        }
        Self { kind: "link".to_owned(), attrs }
    }

    /// In which order marks are opened, so that the same marks read the same.
    fn rank(&self) -> usize {
        ["link", "strong", "em", "strike", "code"].iter().position(|kind| *kind == self.kind).unwrap_or(5)
    }
}

/// The panels that Markdown has a word for, with that word.
const PANELS: [(&str, &str); 5] =
    [("info", "NOTE"), ("success", "TIP"), ("note", "IMPORTANT"), ("warning", "WARNING"), ("error", "CAUTION")];
