//! Runs of text with their marks, as Markdown: every mark closes where it can, and nothing written is taken for a sign.

use std::fmt::Write as _;

use super::{Mark, Node};

/// Joins texts that are shown the same way, so that a run is one node.
pub(super) fn merge(nodes: &mut Vec<Node>) {
    let mut out: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes.drain(..) {
        match out.last_mut() {
            Some(last) if last.kind == "text" && node.kind == "text" && last.marks == node.marks => {
                let text = node.text.unwrap_or_default();
                last.text.get_or_insert_default().push_str(&text);
            }
            _ => out.push(node),
        }
    }
    *nodes = out;
}

/// A line of Markdown that is being written.
#[derive(Default)]
struct Line {
    text: String,
    open: Vec<Mark>,
    /// The last thing written closed a mark, so that the next character may not join it.
    closed: bool,
    cell: bool,
}

fn entity(c: char) -> String {
    format!("&#{};", u32::from(c))
}

/// Whether a character surely counts as a sign; what we escape begins with one.
fn is_sign(c: char) -> bool {
    c.is_ascii_punctuation()
}

impl Line {
    fn fence(kind: &str) -> &'static str {
        match kind {
            "strong" => "**",
            "em" => "_",
            "strike" => "~~",
            _ => "",
        }
    }

    /// Opens a mark before a character; a word before it is written so that it does not count as one.
    fn start(&mut self, mark: &Mark) {
        if mark.kind == "link" {
            self.bracket();
        } else {
            if let Some(last) = self.text.chars().last().filter(|c| !is_sign(*c) && !c.is_whitespace()) {
                self.text.pop();
                self.text.push_str(&entity(last));
            }
            self.text.push_str(Self::fence(&mark.kind));
        }
        self.open.push(mark.clone());
    }

    /// Begins a link, which an exclamation mark before it would make an image.
    fn bracket(&mut self) {
        if self.text.ends_with('!') {
            self.text.pop();
            self.text.push_str("\\!");
        }
        self.text.push('[');
        self.closed = false;
    }

    fn end(&mut self) {
        let Some(mark) = self.open.pop() else {
            return;
        };
        if mark.kind == "link" {
            let attr = |name: &str| mark.attrs.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            let href = attr("href").replace('\\', "\\\\").replace('<', "\\<").replace('>', "\\>");
            let href = href.replace('&', "&amp;").replace('\n', "%0A");
            let title = attr("title").replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;");
            let title = if title.is_empty() { title } else { format!(" \"{title}\"") };
            self.text.push_str(&self.piped(&format!("](<{href}>{title})")));
            self.closed = false;
        } else {
            if let Some(last) = self.text.chars().last().filter(|c| c.is_whitespace()) {
                self.text.pop();
                self.text.push_str(&entity(last));
            }
            self.text.push_str(Self::fence(&mark.kind));
            self.closed = true;
        }
    }

    fn piped(&self, text: &str) -> String {
        if self.cell { text.replace('|', "\\|") } else { text.to_owned() }
    }

    /// Writes words as words.
    fn words(&mut self, text: &str, starts: bool) {
        for (number, c) in text.chars().enumerate() {
            let first = number == 0 && starts;
            let joins = std::mem::take(&mut self.closed) && !is_sign(c) && !c.is_whitespace();
            if joins || c.is_control() || (c.is_whitespace() && (c != ' ' || self.at_edge() || first)) {
                self.text.push_str(&entity(c));
            } else if is_special(c) || (self.at_start() && is_leading(c)) || is_list_dot(&self.text, c) {
                self.text.push('\\');
                self.text.push(c);
            } else {
                self.text.push(c);
            }
        }
    }

    /// Whether a line begins here.
    fn at_start(&self) -> bool {
        self.text.is_empty() || self.text.ends_with('\n')
    }

    /// Whether nothing but the beginning of a line or a space is before.
    fn at_edge(&self) -> bool {
        self.text.is_empty() || self.text.ends_with(['\n', ' '])
    }

    fn code(&mut self, text: &str) {
        self.closed = false;
        let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest + 1);
        let blank = text.chars().all(|c| c == ' ');
        let padded =
            text.starts_with('`') || text.ends_with('`') || (text.starts_with(' ') && text.ends_with(' ') && !blank);
        let pad = if padded { " " } else { "" };
        let text = self.piped(text);
        let _ = write!(self.text, "{fence}{pad}{text}{pad}{fence}");
    }
}

/// Characters that mean something wherever they stand.
fn is_special(c: char) -> bool {
    matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '~' | '|' | '&')
}

/// Characters that mean something at the beginning of a line.
fn is_leading(c: char) -> bool {
    matches!(c, '#' | '+' | '-' | '=' | ':')
}

/// A dot or bracket that would make a number the beginning of a list.
fn is_list_dot(before: &str, c: char) -> bool {
    let line = before.rsplit('\n').next().unwrap_or("").trim_start();
    matches!(c, '.' | ')') && !line.is_empty() && line.len() <= 9 && line.bytes().all(|b| b.is_ascii_digit())
}

/// The words of a block as Markdown; in a cell of a table everything is one line.
pub(super) fn markdown(nodes: &[Node], cell: bool) -> String {
    let mut line = Line { cell, ..Line::default() };
    for (number, node) in nodes.iter().enumerate() {
        let known = |mark: &&Mark| mark.rank() < 5;
        let mut marks: Vec<Mark> = node.marks.iter().filter(known).cloned().collect();
        marks.sort_by_key(Mark::rank);
        let code = marks.iter().any(|mark| mark.kind == "code");
        marks.retain(|mark| mark.kind != "code");
        let same = line.open.iter().zip(&marks).take_while(|(a, b)| a == b).count();
        while line.open.len() > same {
            line.end();
        }
        let starts: Vec<Mark> = marks.split_off(same);
        let opens = starts.iter().any(|mark| mark.kind != "link");
        for mark in &starts {
            line.start(mark);
        }
        match (node.kind.as_str(), &node.text) {
            ("text", Some(text)) if code => line.code(text),
            ("text", Some(text)) => line.words(text, opens),
            ("hardBreak", _) if cell => line.text.push(' '),
            ("hardBreak", _) => line.text.push_str("\\\n"),
            ("mention", _) => {
                let name = node.attr("text").unwrap_or("@someone");
                let name = if name.starts_with('@') { name.to_owned() } else { format!("@{name}") };
                line.bracket();
                line.words(&name, false);
                let _ = write!(line.text, "](accountid:{})", node.attr("id").unwrap_or_default());
            }
            ("emoji", _) => line.words(node.attr("text").or(node.attr("shortName")).unwrap_or_default(), opens),
            ("inlineCard", _) => {
                let url = node.attr("url").unwrap_or_default();
                let _ = write!(line.text, "<{url}>");
            }
            ("date", _) => line.words(node.attr("timestamp").unwrap_or_default(), opens),
            _ => {
                let words = node.words();
                line.words(&words, opens || number == 0);
            }
        }
    }
    while !line.open.is_empty() {
        line.end();
    }
    if let Some(last) = line.text.chars().last().filter(|c| c.is_whitespace()) {
        line.text.pop();
        line.text.push_str(&entity(last));
    }
    line.text
}
