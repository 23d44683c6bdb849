//! Text becomes terms: whole identifiers and their parts, in lower case.

/// Words so common in tickets and code that they tell nothing.
const STOP: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been", "but",
    "by", "can", "could", "do", "does", "doing", "don", "for", "from", "get", "had", "has", "have", "he", "how", "i",
    "if", "in", "into", "is", "it", "its", "just", "like", "may", "me", "more", "my", "no", "not", "now", "of", "on",
    "one", "only", "or", "other", "our", "out", "so", "some", "such", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "to", "too", "up", "us", "was", "we", "were", "what", "when", "where",
    "which", "while", "who", "why", "will", "with", "would", "you", "your",
];

/// Longest word that is a name of something; longer ones are data.
const MAX_WORD: usize = 64;
/// Longest number that people search for; longer ones are data.
const MAX_DIGITS: usize = 6;

/// Whether a term is too common to be asked for.
pub(crate) fn is_stop(term: &str) -> bool {
    STOP.binary_search(&term).is_ok()
}

/// Whether a character belongs to a word.
pub(crate) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Calls `each` with every word of a text, as it is written there.
pub(crate) fn words<'a>(text: &'a str, mut each: impl FnMut(&'a str)) {
    for word in text.split(|c: char| !is_word(c)) {
        let digits = || word.len() > MAX_DIGITS && word.bytes().all(|b| b.is_ascii_digit());
        if !word.is_empty() && word.len() <= MAX_WORD && !digits() {
            each(word);
        }
    }
}

/// Calls `each` with the terms of a word: `parseHTTPHeader2` gives the whole and `parse`, `http`, `header`.
pub(crate) fn terms_of(word: &str, mut each: impl FnMut(&str)) {
    let mut part = String::with_capacity(word.len());
    let (mut parts, mut before): (usize, Option<char>) = (0, None);
    let mut chars = word.chars().peekable();
    let mut out: Vec<String> = Vec::new();
    while let Some(c) = chars.next() {
        let next_lower = chars.peek().is_some_and(|n| n.is_lowercase());
        let starts = c == '_'
            || before.is_some_and(|b| {
                (c.is_uppercase() && (b.is_lowercase() || next_lower)) || c.is_numeric() != b.is_numeric()
            });
        if starts && !part.is_empty() {
            parts += 1;
            out.push(std::mem::take(&mut part));
        }
        if c == '_' {
            before = None;
        } else {
            part.extend(c.to_lowercase());
            before = Some(c);
        }
    }
    if !part.is_empty() {
        parts += 1;
        out.push(part);
    }
    if parts > 1 {
        each(&word.to_lowercase());
    }
    for part in out.iter().filter(|part| part.chars().nth(1).is_some()) {
        each(singular(part));
    }
}

/// A plural becomes its singular: people write of `locales` where the code has a `locale`.
fn singular(part: &str) -> &str {
    let plural = part.len() > 3 && part.ends_with('s') && !["ss", "us", "is"].iter().any(|end| part.ends_with(end));
    let ending = if part.ends_with("ies") { 2 } else { usize::from(plural) };
    if plural { part.get(..part.len() - ending).unwrap_or(part) } else { part }
}

/// The terms of a text, in order.
pub fn terms(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    words(text, |word| terms_of(word, |term| out.push(term.to_owned())));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_give_whole_and_parts() {
        assert_eq!(terms("parseHTTPHeader"), ["parsehttpheader", "parse", "http", "header"]);
        assert_eq!(
            terms("the max_retry_count of utf8"),
            ["the", "max_retry_count", "max", "retry", "count", "of", "utf8", "utf"]
        );
        assert_eq!(terms("_private __init__ ÄndereGröße"), ["private", "init", "änderegröße", "ändere", "größe"]);
        assert!(terms(&"9".repeat(40)).is_empty(), "data is not searched for");
    }

    #[test]
    fn the_common_words_are_in_order() {
        assert!(STOP.is_sorted() && is_stop("the") && !is_stop("parser"));
    }
}
