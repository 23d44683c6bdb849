//! Jira's older notation, as deliveries still carry it, read as Markdown. What is not known stays as it is written.

use std::sync::LazyLock;

use regex::{Captures, Regex};

static HEADING: LazyLock<Regex> = LazyLock::new(|| pattern(r"^h([1-6])\.\s+(.*)$"));
static LIST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([*#-]+)\s+(.*)$"));
static LINK: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\[([^\]|\n]+)\|((?:https?://|mailto:)[^\]|\s]+)(?:\|[^\]]*)?\]"));
static BARE_LINK: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[((?:https?://|mailto:)[^\]|\s]+)\]"));
static MENTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[~accountid:([^\]\s]+)\]"));
static STRONG: LazyLock<Regex> = LazyLock::new(|| pattern(r"(^|[\s(])\*([^\s*](?:[^*\n]*[^\s*])?)\*($|[\s.,;:!?)])"));
static EMPHASIS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(^|[\s(])_([^\s_](?:[^_\n]*[^\s_])?)_($|[\s.,;:!?)])"));
static MONO: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{\{([^}\n]+)\}\}"));
static COLOUR: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{color(?::[^}]*)?\}"));
static CODE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\{(code|noformat)(?::([^}]*))?\}(.*)$"));
static IMAGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"!([^!\s|][^!\n|]*)(?:\|[^!\n]*)?!"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|_| Regex::new("$^").unwrap_or_else(|_| std::process::abort()))
}

/// Reads wiki markup and writes Markdown.
pub fn to_markdown(wiki: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut block: Option<String> = None;
    let mut table = false;
    for line in wiki.replace("\r\n", "\n").lines() {
        if let Some(end) = &block {
            match line.split_once(end.as_str()) {
                Some((last, rest)) => {
                    if !last.is_empty() {
                        out.push(last.to_owned());
                    }
                    out.push("```".to_owned());
                    if !rest.trim().is_empty() {
                        out.push(inline(rest.trim()));
                    }
                    block = None;
                }
                None => out.push(line.to_owned()),
            }
            continue;
        }
        if let Some(found) = CODE.captures(line.trim()) {
            let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
            let end = format!("{{{}}}", part(1));
            let language = part(2).split('|').find(|word| !word.contains('=')).unwrap_or("");
            out.push(format!("```{language}"));
            if let Some((code, _)) = part(3).split_once(end.as_str()) {
                out.extend([code.to_owned(), "```".to_owned()]);
            } else {
                if !part(3).is_empty() {
                    out.push(part(3).to_owned());
                }
                block = Some(end);
            }
            continue;
        }
        let row = row(line);
        if let Some((cells, head)) = &row {
            if !table && !out.is_empty() {
                out.push(String::new());
            }
            let shown: Vec<String> = cells.iter().map(|cell| inline(cell.trim())).collect();
            if !table && !head {
                out.push(format!("|{}", " |".repeat(cells.len())));
                out.push(format!("|{}", "---|".repeat(cells.len())));
            }
            out.push(format!("| {} |", shown.join(" | ")));
            if !table && *head {
                out.push(format!("|{}", "---|".repeat(cells.len())));
            }
        } else {
            out.push(plain(line));
        }
        table = row.is_some();
    }
    if block.is_some() {
        out.push("```".to_owned());
    }
    out.join("\n")
}

/// A line that is no code and no table.
fn plain(line: &str) -> String {
    let trimmed = line.trim();
    if let Some(found) = HEADING.captures(trimmed) {
        let level: usize = found.get(1).and_then(|level| level.as_str().parse().ok()).unwrap_or(1);
        return format!("{} {}", "#".repeat(level), inline(found.get(2).map_or("", |text| text.as_str())));
    }
    if trimmed == "----" {
        return "---".to_owned();
    }
    if let Some(text) = trimmed.strip_prefix("bq. ") {
        return format!("> {}", inline(text));
    }
    if trimmed == "{quote}" {
        return String::new();
    }
    if let Some(found) = LIST.captures(trimmed) {
        let signs = found.get(1).map_or("", |signs| signs.as_str());
        let text = inline(found.get(2).map_or("", |text| text.as_str()));
        let sign = if signs.ends_with('#') { "1." } else { "-" };
        return format!("{}{sign} {text}", "   ".repeat(signs.len() - 1));
    }
    inline(line)
}

fn row(line: &str) -> Option<(Vec<&str>, bool)> {
    let line = line.trim();
    if let Some(inner) = line.strip_prefix("||") {
        return Some((inner.trim_end_matches('|').split("||").collect(), true));
    }
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some((inner.split('|').collect(), false))
}

fn inline(text: &str) -> String {
    let text = COLOUR.replace_all(text, "");
    let text = MONO.replace_all(&text, "`$1`");
    let text = LINK.replace_all(&text, "[$1]($2)");
    let text = BARE_LINK.replace_all(&text, "<$1>");
    let text = MENTION.replace_all(&text, "[@someone](accountid:$1)");
    let text = IMAGE.replace_all(&text, |found: &Captures<'_>| {
        let name = found.get(1).map_or("", |name| name.as_str());
        // A sentence may have two exclamation marks; a file has an ending.
        if name.contains('.') && !name.contains(' ') { format!("(attached: {name})") } else { found[0].to_owned() }
    });
    let text = STRONG.replace_all(&text, "$1**$2**$3");
    EMPHASIS.replace_all(&text, "$1*$2*$3").into_owned()
}
