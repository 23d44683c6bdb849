//! Markdown to ADF and back: what comes back says the same, and no word is lost on the way.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// There and back and there again; the second document must be the first.
fn round(markdown: &str) -> (Node, String, Node) {
    let first = from_markdown(markdown);
    let back = to_markdown(&first);
    let second = from_markdown(&back);
    (first, back, second)
}

#[track_caller]
fn holds(markdown: &str) {
    let (first, back, second) = round(markdown);
    assert_eq!(
        serde_json::to_string_pretty(&first).unwrap(),
        serde_json::to_string_pretty(&second).unwrap(),
        "\n{markdown}\n--- came back as\n{back}"
    );
    fits(&first, "");
}

/// What Jira refuses: empty texts, nodes where they may not stand, code with other marks.
#[track_caller]
fn fits(node: &Node, around: &str) {
    let allowed: &[&str] = match around {
        "" => &["doc"],
        "doc" | "expand" => &[
            "paragraph",
            "heading",
            "bulletList",
            "orderedList",
            "codeBlock",
            "blockquote",
            "rule",
            "panel",
            "table",
            "taskList",
            "expand",
        ],
        "listItem" | "blockquote" => &["paragraph", "bulletList", "orderedList", "codeBlock"],
        "panel" => &["paragraph", "heading", "bulletList", "orderedList", "codeBlock", "rule"],
        "bulletList" | "orderedList" => &["listItem"],
        "taskList" => &["taskItem", "taskList"],
        "table" => &["tableRow"],
        "tableRow" => &["tableCell", "tableHeader"],
        "tableCell" | "tableHeader" => &["paragraph"],
        "codeBlock" => &["text"],
        _ => &["text", "hardBreak", "mention"],
    };
    assert!(allowed.contains(&node.kind.as_str()), "{} in {around}", node.kind);
    assert_ne!(node.text.as_deref(), Some(""), "an empty text");
    if node.marks.iter().any(|mark| mark.kind == "code") {
        assert!(node.marks.iter().all(|mark| ["code", "link"].contains(&mark.kind.as_str())), "{:?}", node.marks);
    }
    for link in node.marks.iter().filter(|mark| mark.kind == "link") {
        let href = link.attrs["href"].as_str().unwrap().to_lowercase();
        assert!(["http://", "https://", "mailto:"].iter().any(|scheme| href.starts_with(scheme)), "{href}");
    }
    if ["listItem", "panel", "blockquote"].contains(&node.kind.as_str()) {
        assert!(!node.content.is_empty(), "an empty {}", node.kind);
    }
    for inner in &node.content {
        fits(inner, &node.kind);
    }
}

#[test]
fn everything_that_tickets_are_written_with_has_a_node() {
    let markdown = "\
# Title

Some *emphasis*, **strong**, ~~gone~~, `code` and [a link](https://example.com/a?b=c \"why\").
Two lines\\
of one paragraph.

- one
  - nested
- two

3. three
4. four

- [ ] open
- [x] done

| a | b |
|---|---|
| 1 | `x|y` |

```rust
fn main() {}
```

> quoted

> [!WARNING]
> Mind this.

<details><summary>More</summary>

Folded.

</details>

[@Ada](accountid:712020:ada) should look.

---
";
    let document = from_markdown(markdown);
    let kinds: Vec<&str> = document.content.iter().map(|node| node.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "heading",
            "paragraph",
            "bulletList",
            "orderedList",
            "taskList",
            "table",
            "codeBlock",
            "blockquote",
            "panel",
            "expand",
            "paragraph",
            "rule"
        ]
    );
    let found = |pointer: &str| serde_json::to_value(&document).unwrap().pointer(pointer).cloned();
    assert_eq!(found("/version"), Some(json!(1)));
    assert_eq!(found("/content/3/attrs/order"), Some(json!(3)));
    assert_eq!(found("/content/4/content/1/attrs/state"), Some(json!("DONE")));
    assert_eq!(found("/content/6/attrs/language"), Some(json!("rust")));
    assert_eq!(found("/content/8/attrs/panelType"), Some(json!("warning")));
    assert_eq!(found("/content/10/content/0/attrs/id"), Some(json!("712020:ada")));
    holds(markdown);
}

#[test]
fn what_may_not_be_followed_says_where_it_would_have_gone() {
    let text = |markdown: &str| from_markdown(markdown).words();
    assert_eq!(text("[click](javascript:alert(1))"), "click (javascript:alert(1))");
    assert_eq!(text("[the file](src/price.py)"), "the file (src/price.py)");
    assert_eq!(text("![a chart](data:image/png;base64,AAAA)"), "a chart (data:image/png;base64,AAAA)");
    assert_eq!(text("<script>alert(1)</script>"), "<script>alert(1)</script>");
}

#[test]
fn unknown_nodes_become_their_words() {
    let document: Node = serde_json::from_value(json!({
        "type": "doc", "version": 1, "content": [
            { "type": "layoutSection", "content": [
                { "type": "layoutColumn", "attrs": { "width": 50 }, "content": [
                    { "type": "paragraph", "content": [
                        { "type": "text", "text": "left " },
                        { "type": "status", "attrs": { "text": "IN PROGRESS", "color": "blue" } },
                        { "type": "emoji", "attrs": { "shortName": ":wave:", "text": "👋" } },
                        { "type": "inlineCard", "attrs": { "url": "https://example.com/x" } },
                        { "type": "text", "text": "red", "marks": [{ "type": "textColor", "attrs": { "color": "#f00" } }] },
                    ] },
                ] },
            ] },
            { "type": "decisionList", "attrs": { "localId": "1" }, "content": [
                { "type": "decisionItem", "attrs": { "localId": "2", "state": "DECIDED" }, "content": [
                    { "type": "text", "text": "We do it." },
                ] },
            ] },
            { "type": "mediaSingle", "content": [{ "type": "media", "attrs": { "id": "m1", "alt": "shot.png", "type": "file" } }] },
            { "type": "somethingNew", "attrs": { "text": "brand new" } },
        ],
    }))
    .unwrap();
    let markdown = to_markdown(&document);
    for word in ["left", "IN PROGRESS", "👋", "https://example.com/x", "red", "We do it.", "shot.png", "brand new"] {
        assert!(markdown.contains(word), "{word} is lost in {markdown}");
    }
}

#[test]
fn the_examples_of_common_mark_come_back_as_they_went() {
    let examples: Vec<Value> = serde_json::from_str(include_str!("../../examples/commonmark-0.31.2.json")).unwrap();
    assert_eq!(examples.len(), 652);
    let (mut same, mut lost, mut changed) = (0, Vec::new(), Vec::new());
    for example in &examples {
        let markdown = example["markdown"].as_str().unwrap();
        let (first, back, second) = round(markdown);
        fits(&first, "");
        if first == second {
            same += 1;
        } else {
            lost.push((example["example"].clone(), back));
        }
        if first.words() != second.words() {
            changed.push((example["example"].clone(), first.words(), second.words()));
        }
        words_of_html(example["html"].as_str().unwrap(), &first, &example["example"]);
    }
    assert!(changed.is_empty(), "{changed:#?}");
    println!(
        "{same} of {} examples come back as the same document; the others keep their words: {lost:?}",
        examples.len()
    );
    assert!(same >= 652, "{same}: {lost:#?}");
}

/// Every word that `CommonMark`'s own rendering shows is in the document.
fn words_of_html(html: &str, document: &Node, name: &Value) {
    let mut shown = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        shown.push_str(before);
        shown.push(' ');
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    let shown = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    let has = document.words().split_whitespace().collect::<String>();
    for word in shown.split_whitespace().filter(|word| word.chars().all(char::is_alphanumeric)) {
        assert!(has.contains(word), "example {name}: {word:?} is not in {}", document.words());
    }
}

/// Pieces that documents are made of, the awkward ones among them.
fn block() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "plain",
        "*em*",
        "**strong**",
        "~~gone~~",
        "`co|de`",
        "``a`b``",
        "a_b_c",
        "2 * 3 * 4",
        "<b>",
        "#tag",
        "1.",
        "- x",
        "[l](https://e.x/a_b \"t\")",
        "![i](https://e.x)",
        "[r](x.md)",
        "a|b",
        "\\*",
        "&amp;",
        "&#32;",
        "***both***",
        "**a*b*c**",
        "_x_y",
        "*a*b",
        "a**b**c",
        "~~*x*~~",
        "é*à*",
        "[@Ada](accountid:1)",
        "!",
        "\\",
        "`",
        "~",
        "==",
        "**“q”**x",
        "a*“q”*b",
        "$x$",
        "http://e.x",
        "<https://e.x>",
        "[*l*](https://e.x)",
        "[`c`](https://e.x)",
    ]);
    let line = prop::collection::vec(word, 1..7).prop_map(|words| words.join(" "));
    let tight = line.clone().prop_map(|line| line.replace(' ', ""));
    let text = prop_oneof![3 => line, 1 => tight];
    let leaf = prop_oneof![
        4 => text.clone(),
        1 => (text.clone(), text.clone()).prop_map(|(a, b)| format!("{a}\\\n{b}")),
        1 => (text.clone(), text.clone()).prop_map(|(a, b)| format!("{a}\n{b}")),
        1 => (1usize..7, text.clone()).prop_map(|(level, text)| format!("{} {text}", "#".repeat(level))),
        1 => text.clone().prop_map(|text| format!("```rs\n{text}\n\n  {text}\n```")),
        1 => Just("---".to_owned()),
        1 => (text.clone(), text.clone()).prop_map(|(a, b)| format!("| {} | b |\n|---|---|\n| {} | |", a.replace('|', "\\|"), b.replace('|', "\\|"))),
        1 => prop::collection::vec((any::<bool>(), text.clone()), 1..4).prop_map(|items| {
            items.iter().map(|(done, text)| format!("- [{}] {text}", if *done { 'x' } else { ' ' })).collect::<Vec<_>>().join("\n")
        }),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let blocks = prop::collection::vec(inner, 1..4).prop_map(|blocks| blocks.join("\n\n"));
        let within = |prefix: &'static str, pad: &'static str, text: &str| {
            text.lines()
                .enumerate()
                .map(|(n, line)| format!("{}{line}", if n == 0 { prefix } else { pad }))
                .collect::<Vec<_>>()
                .join("\n")
        };
        prop_oneof![
            blocks.clone().prop_map(move |text| within("- ", "  ", &text)),
            (blocks.clone(), blocks.clone()).prop_map(move |(a, b)| format!(
                "{}\n{}",
                within("2. ", "   ", &a),
                within("3. ", "   ", &b)
            )),
            blocks.clone().prop_map(move |text| within("> ", "> ", &text)),
            blocks.clone().prop_map(move |text| format!("> [!NOTE]\n{}", within("> ", "> ", &text))),
            blocks.prop_map(|text| format!("<details><summary>More</summary>\n\n{text}\n\n</details>")),
        ]
    })
}

#[test]
fn folded_text_that_nobody_closed_ends_with_what_it_is_in() {
    for markdown in [
        "1. one\n2. <details><summary>More</summary>\n\n   ~~~\n   </details>\n\nafter",
        "> <details><summary>More</summary>\n>\n> folded\n\nafter",
        "- - <details><summary>More</summary>\n\n    folded\n- next\n\nafter",
    ] {
        holds(markdown);
        let document = from_markdown(markdown);
        assert_eq!(document.content.last().unwrap().kind, "paragraph", "{markdown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_thousand_documents_come_back_as_they_went(blocks in prop::collection::vec(block(), 1..6)) {
        holds(&blocks.join("\n\n"));
    }

    #[test]
    fn any_text_at_all_makes_a_document_that_jira_takes(text in "\\PC{0,200}") {
        let document = from_markdown(&text);
        fits(&document, "");
        let second = from_markdown(&to_markdown(&document));
        prop_assert_eq!(document.words(), second.words());
    }
}
