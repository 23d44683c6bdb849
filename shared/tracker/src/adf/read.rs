//! ADF to Markdown. What Markdown has no word for becomes the words that are in it.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Node, PANELS, inline};

/// Writes a document as Markdown.
pub fn to_markdown(document: &Node) -> String {
    blocks(&document.content)
}

/// Blocks one after the other; lists that follow each other are told apart by their signs.
fn blocks(nodes: &[Node]) -> String {
    let mut out: Vec<String> = Vec::new();
    let (mut bullets, mut numbers) = (false, false);
    let mut before = "";
    for node in nodes {
        let is_bullet = |kind: &str| matches!(kind, "bulletList" | "taskList");
        bullets = is_bullet(&node.kind) && is_bullet(before) && !bullets;
        numbers = node.kind == "orderedList" && before == "orderedList" && !numbers;
        let text = block(node, if node.kind == "orderedList" { numbers } else { bullets });
        if !text.is_empty() || node.kind == "heading" {
            out.push(text);
        }
        before = &node.kind;
    }
    out.join("\n\n")
}

fn block(node: &Node, other: bool) -> String {
    match node.kind.as_str() {
        "paragraph" => inline::markdown(&node.content, false),
        "heading" => {
            let level = node.attrs.get("level").and_then(Value::as_u64).unwrap_or(1).clamp(1, 6);
            let text = inline::markdown(&node.content, false);
            let signs = "#".repeat(usize::try_from(level).unwrap_or(1));
            // Signs at the end would close the heading.
            let words = text.trim_end_matches('#');
            let closes = words.len() < text.len() && (words.is_empty() || words.ends_with(' '));
            let text = if closes { format!("{words}\\{}", text.get(words.len()..).unwrap_or("")) } else { text };
            format!("{signs} {text}").trim_end().to_owned()
        }
        "bulletList" => list(node, &|_| if other { "* ".to_owned() } else { "- ".to_owned() }),
        "orderedList" => {
            let first = node.attrs.get("order").and_then(Value::as_u64).unwrap_or(1);
            let sign = if other { ')' } else { '.' };
            list(node, &|number| format!("{}{sign} ", first + number))
        }
        "taskList" => tasks(node, other, ""),
        "codeBlock" => code(node),
        "blockquote" => prefixed("> ", &blocks(&node.content)),
        "panel" => {
            let kind = node.attr("panelType").unwrap_or("info");
            let word = PANELS.iter().find(|(panel, _)| *panel == kind).map_or("NOTE", |(_, word)| word);
            prefixed("> ", &format!("[!{word}]\n\n{}", blocks(&node.content)))
        }
        "expand" | "nestedExpand" => {
            let title = node.attr("title").unwrap_or_default().replace('<', "‹").replace('\n', " ");
            format!("<details><summary>{title}</summary>\n\n{}\n\n</details>", blocks(&node.content))
        }
        "rule" => "---".to_owned(),
        "table" => table(node),
        "mediaSingle" | "mediaGroup" => {
            let named = node.content.iter().map(|media| media.attr("alt").or(media.attr("id")).unwrap_or("file"));
            named.map(|name| format!("(attached: {})", name.replace(['[', ']', '<'], ""))).collect::<Vec<_>>().join(" ")
        }
        // Whatever it is, it may have blocks in it, or only words.
        _ if node.content.iter().any(|inner| inner.kind != "text" && !is_inline(&inner.kind)) => blocks(&node.content),
        _ if node.content.is_empty() => inline::markdown(std::slice::from_ref(node), false),
        _ => inline::markdown(&node.content, false),
    }
}

fn is_inline(kind: &str) -> bool {
    matches!(kind, "text" | "hardBreak" | "mention" | "emoji" | "inlineCard" | "date" | "status" | "placeholder")
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() {
        return prefix.trim_end().to_owned();
    }
    let line = |line: &str| if line.is_empty() { prefix.trim_end().to_owned() } else { format!("{prefix}{line}") };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn indented(text: &str, first: &str, width: usize) -> String {
    let pad = " ".repeat(width);
    let mut out = String::new();
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let before = if number == 0 { first } else { pad.as_str() };
        let line = if line.is_empty() { String::new() } else { format!("{before}{line}") };
        out.push_str(&line);
    }
    out
}

fn list(node: &Node, sign: &dyn Fn(u64) -> String) -> String {
    let mut items = Vec::new();
    for (number, item) in (0u64..).zip(&node.content) {
        let sign = sign(number);
        let text = blocks(&item.content);
        items.push(if text.is_empty() { sign.trim_end().to_owned() } else { indented(&text, &sign, sign.len()) });
    }
    items.join("\n")
}

fn tasks(node: &Node, other: bool, pad: &str) -> String {
    let mut out = String::new();
    for item in &node.content {
        if !out.is_empty() {
            out.push('\n');
        }
        if item.kind == "taskList" {
            out.push_str(&tasks(item, other, &format!("{pad}  ")));
            continue;
        }
        let done = if item.attr("state") == Some("DONE") { 'x' } else { ' ' };
        let sign = if other { '*' } else { '-' };
        let text = inline::markdown(&item.content, false).replace('\n', &format!("\n{pad}  "));
        let _ = write!(out, "{pad}{sign} [{done}] {text}");
    }
    out
}

fn code(node: &Node) -> String {
    let text: String = node.content.iter().filter_map(|inner| inner.text.as_deref()).collect();
    let language = node.attr("language").unwrap_or_default().replace('\n', " ");
    let (sign, run) = if language.contains('`') { ('~', longest(&text, '~')) } else { ('`', longest(&text, '`')) };
    let fence = sign.to_string().repeat(run.max(2) + 1);
    let language = language.replace('\\', "\\\\").replace('&', "&amp;");
    let end = if text.is_empty() { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}")
}

fn longest(text: &str, sign: char) -> usize {
    text.split(|c| c != sign).map(str::len).max().unwrap_or(0)
}

fn table(node: &Node) -> String {
    let rows: Vec<Vec<String>> = node.content.iter().map(|row| row.content.iter().map(cell).collect()).collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let line = |cells: &[String]| {
        let cells = (0..width).map(|at| cells.get(at).map_or("", String::as_str));
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut out = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        out.push(line(row));
        if number == 0 {
            out.push(format!("|{}", "---|".repeat(width)));
        }
    }
    out.join("\n")
}

fn cell(node: &Node) -> String {
    let parts = node.content.iter().map(|inner| {
        if inner.kind == "paragraph" {
            inline::markdown(&inner.content, true)
        } else {
            inline::markdown(&[Node::text(&inner.words(), Vec::new())], true)
        }
    });
    parts.collect::<Vec<_>>().join(" ")
}
