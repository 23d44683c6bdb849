//! What may stand in what: ADF is stricter than Markdown, and what does not fit keeps its words.

use serde_json::json;

use super::{Mark, Node, inline};

/// What may stand in what; a document takes everything.
fn fits(kind: &str, around: &str) -> bool {
    let common = matches!(kind, "paragraph" | "bulletList" | "orderedList" | "codeBlock");
    match around {
        "listItem" | "blockquote" => common,
        "panel" => common || kind == "heading" || kind == "rule",
        "expand" => kind != "expand",
        _ => true,
    }
}

/// Makes every block fit where it stands.
pub(super) fn fitting(blocks: Vec<Node>, around: &str) -> Vec<Node> {
    let mut out = Vec::new();
    for mut block in blocks {
        if block.kind == "paragraph" && block.content.is_empty() {
            continue;
        }
        let inner = std::mem::take(&mut block.content);
        block.content = match block.kind.as_str() {
            "bulletList" | "orderedList" | "listItem" | "blockquote" | "panel" | "expand" => {
                fitting(inner, &block.kind)
            }
            _ => inner,
        };
        if block.kind == "bulletList"
            && fits("taskList", around)
            && let Some(tasks) = tasks(&block)
        {
            out.push(tasks);
            continue;
        }
        for item in &mut block.content {
            if item.kind == "listItem" {
                plain_item(item);
            }
        }
        if matches!(block.kind.as_str(), "blockquote" | "panel" | "expand") && block.content.is_empty() {
            block.content.push(Node::of("paragraph", Vec::new()));
        }
        if fits(&block.kind, around) { out.push(block) } else { degrade(block, around, &mut out) }
    }
    out
}

/// A list of nothing but tasks with one line each.
fn tasks(list: &Node) -> Option<Node> {
    let mut items = Vec::new();
    for (number, item) in list.content.iter().enumerate() {
        let state = item.attr("state")?;
        let [line] = item.content.as_slice() else {
            return None;
        };
        if line.kind != "paragraph" {
            return None;
        }
        let node = Node::of("taskItem", line.content.clone());
        items.push(node.with("localId", json!((number + 1).to_string())).with("state", json!(state)));
    }
    (!items.is_empty()).then(|| Node::of("taskList", items).with("localId", json!("tasks")))
}

/// An item of an ordinary list begins with a paragraph, and says in words whether it is done.
fn plain_item(item: &mut Node) {
    let state = item.attrs.remove("state");
    if item.content.first().is_none_or(|first| first.kind != "paragraph" && first.kind != "codeBlock") {
        item.content.insert(0, Node::of("paragraph", Vec::new()));
    }
    let Some(state) = state else {
        return;
    };
    let mark = if state == "DONE" { "[x] " } else { "[ ] " };
    if item.content.first().is_some_and(|first| first.kind != "paragraph") {
        item.content.insert(0, Node::of("paragraph", Vec::new()));
    }
    if let Some(first) = item.content.first_mut() {
        first.content.insert(0, Node::text(mark, Vec::new()));
        inline::merge(&mut first.content);
    }
}

/// A block where it may not stand: its words do.
fn degrade(block: Node, around: &str, out: &mut Vec<Node>) {
    match block.kind.as_str() {
        "heading" => {
            let mut content = block.content;
            for text in content.iter_mut().filter(|node| node.kind == "text") {
                let code = text.marks.iter().any(|mark| mark.kind == "code");
                if !code && text.marks.iter().all(|mark| mark.kind != "strong") {
                    text.marks.push(Mark::plain("strong"));
                    text.marks.sort_by_key(Mark::rank);
                }
            }
            inline::merge(&mut content);
            out.push(Node::of("paragraph", content));
        }
        "rule" => out.push(Node::of("paragraph", vec![Node::text("———", Vec::new())])),
        "expand" => {
            let title = block.attr("title").unwrap_or_default().to_owned();
            out.push(Node::of("paragraph", vec![Node::text(&title, vec![Mark::plain("strong")])]));
            out.extend(fitting(block.content, around));
        }
        "table" => {
            for row in block.content {
                let mut line = Vec::new();
                for (number, cell) in row.content.into_iter().enumerate() {
                    if number > 0 {
                        line.push(Node::text(" | ", Vec::new()));
                    }
                    line.extend(cell.content.into_iter().flat_map(|paragraph| paragraph.content));
                }
                inline::merge(&mut line);
                out.push(Node::of("paragraph", line));
            }
        }
        _ => out.extend(fitting(block.content, around)),
    }
}
