//! Text becomes search terms: whole identifiers and their parts, in lower case.

/// Words so common in tickets and code that they tell nothing.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "for", "from", "has", "have", "i", "if", "in",
    "is", "it", "its", "not", "of", "on", "or", "should", "so", "that", "the", "this", "to", "was", "we", "when",
    "with", "you",
];

/// Splits text into terms; `camelCase`, `snake_case` and `Dotted.names` give the whole and the parts.
pub(crate) fn terms(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
        if word.is_empty() || word.len() > 80 {
            continue;
        }
        let parts = parts(word);
        if parts.len() > 1 {
            push(&mut out, &word.to_lowercase());
        }
        for part in parts {
            push(&mut out, &part);
        }
    }
    out
}

fn push(out: &mut Vec<String>, term: &str) {
    if term.chars().count() > 1 && !STOP.contains(&term) {
        out.push(term.to_owned());
    }
}

fn parts(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before: Option<char> = None;
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let next_lower = chars.peek().is_some_and(|n| n.is_lowercase());
        let starts = c == '_'
            || before.is_some_and(|b| {
                (c.is_uppercase() && (b.is_lowercase() || next_lower)) || c.is_numeric() != b.is_numeric()
            });
        if starts {
            parts.push(String::new());
        }
        if c != '_'
            && let Some(last) = parts.last_mut()
        {
            last.extend(c.to_lowercase());
        }
        before = (c != '_').then_some(c);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_give_whole_and_parts() {
        assert_eq!(terms("parseHTTPHeader"), ["parsehttpheader", "parse", "http", "header"]);
        assert_eq!(terms("the max_retry_count of utf8"), ["max_retry_count", "max", "retry", "count", "utf8", "utf"]);
    }
}
