//! Markdown to ADF. What ADF has no room for where it stands becomes text there; no word is lost.

use pulldown_cmark::{BlockQuoteKind, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use serde_json::json;

use super::fit::fitting;
use super::{Mark, Node};

/// Reads Markdown and makes a document of it.
pub fn from_markdown(markdown: &str) -> Node {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_GFM;
    let mut writer = Writer::default();
    writer.stack.push(Node::of("doc", Vec::new()));
    for event in Parser::new_ext(markdown, options) {
        writer.event(event);
    }
    while writer.stack.len() > 1 {
        writer.close();
    }
    let content = writer.stack.pop().unwrap_or_default().content;
    Node { version: Some(1), ..Node::of("doc", fitting(content, "doc")) }
}

#[derive(Default)]
struct Writer {
    stack: Vec<Node>,
    marks: Vec<Mark>,
    /// The text of an HTML block that is being read.
    html: Option<String>,
    /// Where links and images go that are open: address, title, and whether anything was said in it.
    links: Vec<(String, String)>,
}

/// Schemes of links that may be followed from Jira.
fn is_link(address: &str) -> bool {
    let lower = address.trim().to_ascii_lowercase();
    ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme) && lower.len() > scheme.len())
}

impl Writer {
    fn open(&mut self, node: Node) {
        self.stack.push(node);
    }

    /// Puts the innermost open node into the one around it.
    fn close(&mut self) {
        if let (Some(node), true) = (self.stack.pop(), !self.stack.is_empty()) {
            self.put(node);
        }
    }

    fn put(&mut self, node: Node) {
        if let Some(around) = self.stack.last_mut() {
            around.content.push(node);
        }
    }

    fn top(&self) -> &str {
        self.stack.last().map_or("", |node| node.kind.as_str())
    }

    /// Whether words can stand where we are; tight lists have no paragraphs in Markdown and must have them in ADF.
    fn say(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if !matches!(self.top(), "paragraph" | "heading" | "codeBlock") {
            self.open(Node { attrs: json_map("tight"), ..Node::of("paragraph", Vec::new()) });
        }
        let mut marks: Vec<Mark> = if self.top() == "codeBlock" { Vec::new() } else { self.marks.clone() };
        marks.retain(|mark| mark.kind != "none");
        if marks.iter().any(|mark| mark.kind == "code") {
            marks.retain(|mark| matches!(mark.kind.as_str(), "code" | "link"));
        }
        marks.sort_by_key(Mark::rank);
        marks.dedup_by(|a, b| a.kind == b.kind);
        let last = self.stack.last_mut().and_then(|node| node.content.last_mut());
        match last {
            Some(last) if last.kind == "text" && last.marks == marks => {
                if let Some(before) = &mut last.text {
                    before.push_str(text);
                }
            }
            _ => self.put(Node::text(text, marks)),
        }
    }

    /// Ends a paragraph that was only opened because words had to stand somewhere.
    fn settle(&mut self) {
        if self.stack.last().is_some_and(|node| node.attrs.contains_key("tight")) {
            if let Some(node) = self.stack.last_mut() {
                node.attrs.remove("tight");
            }
            self.close();
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.html {
                Some(html) => html.push_str(&text),
                None => self.say(&text),
            },
            Event::Code(text) => {
                self.marks.push(Mark::plain("code"));
                self.say(&text);
                self.marks.pop();
            }
            Event::Html(text) => match &mut self.html {
                Some(html) => html.push_str(&text),
                None => self.html_block(&text),
            },
            Event::SoftBreak | Event::HardBreak if self.top() == "heading" || self.in_cell() => self.say(" "),
            // In a comment a new line is one, on GitHub as here.
            Event::SoftBreak | Event::HardBreak => self.put(Node::of("hardBreak", Vec::new())),
            Event::Rule => {
                self.settle();
                self.put(Node::of("rule", Vec::new()));
            }
            Event::TaskListMarker(done) => {
                if let Some(item) = self.stack.iter_mut().rev().find(|node| node.kind == "listItem") {
                    item.attrs.insert("state".to_owned(), json!(if done { "DONE" } else { "TODO" }));
                }
            }
            Event::InlineHtml(text)
            | Event::FootnoteReference(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => self.say(&text),
        }
    }

    fn in_cell(&self) -> bool {
        self.stack.iter().any(|node| matches!(node.kind.as_str(), "tableCell" | "tableHeader"))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "tags of options that are not set never come")]
    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.open(Node::of("paragraph", Vec::new())),
            Tag::Heading { level, .. } => {
                self.settle();
                self.open(Node::of("heading", Vec::new()).with("level", json!(level as u8)));
            }
            Tag::BlockQuote(kind) => {
                self.settle();
                self.open(quote(kind));
            }
            Tag::CodeBlock(kind) => {
                self.settle();
                let node = Node::of("codeBlock", Vec::new());
                self.open(match kind {
                    CodeBlockKind::Fenced(info) if !info.trim().is_empty() => node.with("language", json!(info.trim())),
                    CodeBlockKind::Fenced(_) | CodeBlockKind::Indented => node,
                });
            }
            Tag::List(first) => {
                self.settle();
                self.open(match first {
                    None => Node::of("bulletList", Vec::new()),
                    Some(first) => Node::of("orderedList", Vec::new()).with("order", json!(first)),
                });
            }
            Tag::Item => self.open(Node::of("listItem", Vec::new())),
            Tag::Table(_) => {
                self.settle();
                self.open(Node::of("table", Vec::new()));
            }
            Tag::TableHead => {
                self.open(Node::of("tableRow", Vec::new()).with("head", json!(true)));
            }
            Tag::TableRow => self.open(Node::of("tableRow", Vec::new())),
            Tag::TableCell => {
                let head = self.stack.last().is_some_and(|row| row.attrs.contains_key("head"));
                self.open(Node::of(if head { "tableHeader" } else { "tableCell" }, Vec::new()));
            }
            Tag::Emphasis => self.marks.push(Mark::plain("em")),
            Tag::Strong => self.marks.push(Mark::plain("strong")),
            Tag::Strikethrough => self.marks.push(Mark::plain("strike")),
            Tag::Link { dest_url, title, .. } | Tag::Image { dest_url, title, .. } => self.link(&dest_url, &title),
            Tag::HtmlBlock => {
                self.settle();
                self.html = Some(String::new());
            }
            // What Markdown here is not read with.
            _ => {}
        }
    }

    /// Begins a link; one that may not be followed says where it would have gone.
    fn link(&mut self, address: &str, title: &str) {
        if is_link(address) && !self.marks.iter().any(|mark| mark.kind == "link") {
            self.marks.push(Mark::link(address, title));
        } else {
            // Keeps its place among the marks, and shows nothing.
            self.marks.push(Mark::plain("none"));
        }
        self.links.push((address.to_owned(), title.to_owned()));
    }

    fn end_link(&mut self) {
        let Some((address, title)) = self.links.pop() else {
            return;
        };
        let mark = self.marks.last().cloned();
        let followed = mark.as_ref().is_some_and(|mark| mark.kind == "link");
        let said = self.stack.last().and_then(|node| node.content.last()).is_some_and(|node| match &mark {
            Some(mark) if followed => node.marks.contains(mark),
            Some(_) | None => true,
        });
        if followed && !said {
            self.say(&address);
        }
        self.marks.pop();
        if let Some(id) = address.strip_prefix("accountid:") {
            return self.mention(id);
        }
        if !followed && !address.is_empty() {
            let title = if title.is_empty() { String::new() } else { format!(" {title}") };
            self.say(&format!(" ({address}{title})"));
        }
    }

    /// The words of a link to an account become a mention of it.
    fn mention(&mut self, id: &str) {
        let Some(last) = self.stack.last_mut().and_then(|node| node.content.last_mut()) else {
            return;
        };
        let text = last.text.clone().unwrap_or_default();
        let Some(at) = text.rfind('@').filter(|_| last.kind == "text") else {
            return;
        };
        let (before, name) = text.split_at(at);
        let mention = Node::of("mention", Vec::new()).with("id", json!(id)).with("text", json!(name));
        if before.is_empty() {
            *last = mention;
        } else {
            last.text = Some(before.to_owned());
            self.put(mention);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "tags of options that are not set never come")]
    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.marks.pop();
            }
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::HtmlBlock => {
                let html = self.html.take().unwrap_or_default();
                self.html_block(&html);
            }
            TagEnd::CodeBlock => {
                if let Some(text) = self.stack.last_mut().and_then(|node| node.content.last_mut()?.text.as_mut()) {
                    *text = text.strip_suffix('\n').unwrap_or(text).to_owned();
                }
                if let Some(block) = self.stack.last_mut() {
                    block.content.retain(|node| node.text.as_deref() != Some(""));
                }
                self.close();
            }
            TagEnd::TableCell => {
                self.settle();
                if self.stack.last().is_some_and(|cell| cell.content.is_empty()) {
                    self.put(Node::of("paragraph", Vec::new()));
                }
                self.close();
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                if let Some(row) = self.stack.last_mut() {
                    row.attrs.clear();
                }
                self.close();
            }
            TagEnd::Item | TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Table => {
                self.settle();
                // Folded text that nobody closed ends with what it is in.
                while self.top() == "expand" {
                    self.close();
                }
                self.close();
            }
            TagEnd::Paragraph | TagEnd::Heading(_) => self.close(),
            _ => {}
        }
    }

    /// Folded text is an expand; every other HTML is shown as it is written.
    fn html_block(&mut self, html: &str) {
        self.settle();
        let html = html.trim();
        let title = html.strip_prefix("<details><summary>").and_then(|rest| rest.strip_suffix("</summary>"));
        if let Some(title) = title.filter(|title| !title.contains('<')) {
            return self.open(Node::of("expand", Vec::new()).with("title", json!(title)));
        }
        if html == "</details>" && self.top() == "expand" {
            return self.close();
        }
        if !html.is_empty() {
            let lines = html.lines().map(|line| Node::text(line, Vec::new()));
            let mut content = Vec::new();
            for (number, line) in lines.filter(|line| line.text.as_deref() != Some("")).enumerate() {
                if number > 0 {
                    content.push(Node::of("hardBreak", Vec::new()));
                }
                content.push(line);
            }
            self.put(Node::of("paragraph", content));
        }
    }
}

fn json_map(name: &str) -> serde_json::Map<String, serde_json::Value> {
    std::iter::once((name.to_owned(), json!(true))).collect()
}

fn quote(kind: Option<BlockQuoteKind>) -> Node {
    let panel = match kind {
        None => return Node::of("blockquote", Vec::new()),
        Some(BlockQuoteKind::Note) => "info",
        Some(BlockQuoteKind::Tip) => "success",
        Some(BlockQuoteKind::Important) => "note",
        Some(BlockQuoteKind::Warning) => "warning",
        Some(BlockQuoteKind::Caution) => "error",
    };
    Node::of("panel", Vec::new()).with("panelType", json!(panel))
}
