//! Blanks out everything of a comment that a reader would not take for the writer's own plain words.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// How a comment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// GitHub, the command line.
    Markdown,
    /// Jira's wiki markup, as its webhooks send it.
    Wiki,
}

/// What may act and what may be read, both as long as the original text, byte for byte.
pub(crate) struct Masked {
    /// Plain paragraphs; everything else is blank. A command must start a line here.
    pub(crate) plain: Vec<u8>,
    /// The text without hidden parts. Arguments are taken from here.
    pub(crate) visible: Vec<u8>,
}

/// Sorts a comment into what may act, what may be read, and what is hidden.
pub(crate) fn mask(text: &str, markup: Markup) -> Masked {
    match markup {
        Markup::Markdown => markdown(text),
        Markup::Wiki => wiki(text),
    }
}

fn blank_like(text: &str) -> Vec<u8> {
    text.bytes().map(|b| if b == b'\n' { b'\n' } else { b' ' }).collect()
}

fn copy(from: &str, range: std::ops::Range<usize>, to: &mut [u8]) {
    if let (Some(source), Some(target)) = (from.as_bytes().get(range.clone()), to.get_mut(range)) {
        target.copy_from_slice(source);
    }
}

fn blank(range: std::ops::Range<usize>, to: &mut [u8]) {
    for byte in to.get_mut(range).unwrap_or_default() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn markdown(text: &str) -> Masked {
    let mut plain = blank_like(text);
    let mut visible = text.as_bytes().to_vec();
    let mut stack: Vec<TagEnd> = Vec::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if matches!(tag, Tag::Image { .. }) {
                    blank(range, &mut visible);
                }
                stack.push(tag.to_end());
            }
            Event::End(_) => {
                stack.pop();
            }
            Event::Text(_) if stack == [TagEnd::Paragraph] => copy(text, range, &mut plain),
            Event::Html(_) | Event::InlineHtml(_) => blank(range, &mut visible),
            Event::Text(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }
    Masked { plain, visible }
}

/// Blocks of Jira's markup in which text is quoted or literal.
const WIKI_BLOCKS: &[&str] = &["quote", "code", "noformat", "panel", "color"];

fn wiki(text: &str) -> Masked {
    let mut plain = text.as_bytes().to_vec();
    let mut open: Option<&'static str> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at += line.len();
        let was_open = open.is_some();
        for block in WIKI_BLOCKS {
            let toggles = line.matches(&format!("{{{block}")).count();
            open = match open {
                Some(name) if name == *block && toggles % 2 == 1 => None,
                None if toggles % 2 == 1 => Some(block),
                other => other,
            };
        }
        let start = line.trim_start();
        let marked =
            start.starts_with("bq.") || start.starts_with(['*', '#', '-', '|', '{']) || start.starts_with("h1.");
        if was_open || open.is_some() || marked {
            blank(range, &mut plain);
        }
    }
    Masked { plain, visible: text.as_bytes().to_vec() }
}
