//! What a ticket asks for: weighted terms, and the paths and names it mentions outright.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use domain::ticket::TicketText;
use regex::Regex;

use crate::token::{is_stop, terms_of, words};

/// Words of the title say more than words of the body.
const TITLE: f64 = 3.0;
/// A term that is repeated more often than this in the body is not more important for it.
const CAP: f64 = 2.0;
/// Most mentions of one kind that are looked up.
const MAX_MENTIONS: usize = 100;

/// A ticket, read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Query {
    /// Terms with their weights.
    pub(crate) terms: BTreeMap<String, f64>,
    /// What looks like a path of a file.
    pub(crate) paths: BTreeSet<String>,
    /// Dotted names, as their parts.
    pub(crate) dotted: BTreeSet<Vec<String>>,
    /// What looks like the name of something in code, in lower case.
    pub(crate) names: BTreeSet<String>,
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($text).ok());
    };
}

pattern!(COMMENT, r"(?s)<!--.*?(?:-->|\z)");
pattern!(IMAGE, r"!\[[^\]]*\]\([^)]*\)|<img[^>]*>");
pattern!(TAG, r"</?[a-zA-Z][^>\n]*>");
pattern!(LINK, r"https?://[^\s)>\]]+");
pattern!(PATH, r"[\w@.+-]*(?:[/\\][\w@.+-]+)*\.[A-Za-z][A-Za-z0-9]{0,7}\b");
pattern!(FOLDERS, r"\b[\w@.-]+(?:/[\w@.-]+)+");
pattern!(DOTTED, r"\b[A-Za-z_]\w*(?:(?:\.|::|#)[A-Za-z_]\w*)+");
pattern!(TICKED, r"`([^`\n]{2,120})`");
pattern!(CALLED, r"\b([A-Za-z_]\w{2,})\(");

fn all<'a>(pattern: &'static LazyLock<Option<Regex>>, text: &'a str) -> impl Iterator<Item = &'a str> {
    pattern.iter().flat_map(move |regex| regex.find_iter(text)).map(|found| found.as_str())
}

fn without(pattern: &'static LazyLock<Option<Regex>>, text: &str) -> String {
    pattern.as_ref().map_or_else(|| text.to_owned(), |regex| regex.replace_all(text, " ").into_owned())
}

impl Query {
    /// Reads a ticket.
    pub(crate) fn of(ticket: &TicketText) -> Self {
        let body = without(&IMAGE, &without(&COMMENT, &ticket.body));
        let whole = format!("{}\n{body}", ticket.title);
        let mut query = Self::default();
        query.mention(&whole);
        let plain = without(&TAG, &without(&LINK, &without_boilerplate(&body)));
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        count(&plain, &mut |term| *counts.entry(term).or_default() += 1.0);
        for sum in counts.values_mut() {
            *sum = sum.min(CAP);
        }
        count(&ticket.title, &mut |term| *counts.entry(term).or_default() += TITLE);
        query.terms = counts;
        query
    }

    fn mention(&mut self, text: &str) {
        for path in all(&PATH, text).chain(all(&FOLDERS, text)).take(MAX_MENTIONS) {
            let path = path.replace('\\', "/");
            let path = path.trim_start_matches(['.', '/']);
            if path.len() > 3 {
                self.paths.insert(path.to_owned());
            }
        }
        for name in all(&DOTTED, text).take(MAX_MENTIONS) {
            let parts: Vec<String> =
                name.split(['.', ':', '#']).filter(|part| !part.is_empty()).map(str::to_lowercase).collect();
            self.dotted.insert(parts);
        }
        let ticked = TICKED.iter().flat_map(|regex| regex.captures_iter(text)).filter_map(|found| found.get(1));
        for span in ticked.take(MAX_MENTIONS) {
            words(span.as_str(), |word| self.name(word));
        }
        let called = CALLED.iter().flat_map(|regex| regex.captures_iter(text)).filter_map(|found| found.get(1));
        for name in called.take(MAX_MENTIONS) {
            self.name(name.as_str());
        }
        words(text, |word| {
            if is_identifier(word) {
                self.name(word);
            }
        });
    }

    fn name(&mut self, word: &str) {
        if word.len() > 2
            && self.names.len() < MAX_MENTIONS
            && word.starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            self.names.insert(word.to_lowercase());
        }
    }
}

/// `CamelCase`, `mixedCase`, `snake_case` and codes such as `E0308`: nobody writes prose like that.
fn is_identifier(word: &str) -> bool {
    let inner = word.trim_matches('_');
    let snake = inner.contains('_');
    let camel = inner.chars().skip(1).zip(inner.chars()).any(|(c, before)| c.is_uppercase() && before.is_lowercase());
    let code = inner.len() >= 4
        && inner.starts_with(|c: char| c.is_ascii_uppercase())
        && inner.chars().skip(1).filter(char::is_ascii_digit).count() + 2 >= inner.len();
    snake || camel || code
}

fn count(text: &str, each: &mut dyn FnMut(String)) {
    words(text, |word| {
        terms_of(word, |term| {
            if !is_stop(term) {
                each(term.to_owned());
            }
        });
    });
}

/// Headings that templates of tickets have, in lower case, without decoration.
const HEADINGS: &[&str] = &[
    "actual",
    "additional",
    "checklist",
    "code of conduct",
    "context",
    "current behavior",
    "describe",
    "description",
    "environment",
    "expected",
    "feature request",
    "information",
    "is your feature request",
    "is there an existing issue",
    "os",
    "platform",
    "prerequisites",
    "problem",
    "reproduc",
    "minimal repro",
    "screenshots",
    "steps to reproduce",
    "summary",
    "system info",
    "to reproduce",
    "version",
    "versions",
    "what did you",
    "what happened",
    "what is",
    "what version",
    "what operating system",
    "what was",
    "what does",
    "possible solution",
    "proposal",
    "motivation",
    "alternatives",
    "link to minimal",
    "issue",
    "bug report",
    "i tried this code",
    "instead, this happened",
    "you can",
];

/// Leaves out what a ticket's template wrote: known headings, check boxes, rules.
fn without_boilerplate(body: &str) -> String {
    let mut kept = String::with_capacity(body.len());
    for line in body.lines() {
        let bare = line.trim();
        let decorated =
            bare.starts_with('#') || (bare.starts_with("**") && bare.trim_end_matches([':', '?']).ends_with("**"));
        let text = bare.trim_matches(['#', '*', ':', ' ', '?', '_']).to_lowercase();
        let heading = decorated && text.len() < 80 && HEADINGS.iter().any(|known| text.starts_with(known));
        let box_ = bare.strip_prefix(['-', '*']).is_some_and(|rest| {
            rest.trim_start().starts_with("[ ]") || rest.trim_start().to_lowercase().starts_with("[x]")
        });
        if !heading && !box_ {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_for_what_it_says_and_mentions() {
        let ticket = TicketText {
            title: "Wrong total in `Cart`".to_owned(),
            body: "<!-- Thanks for filing! -->\n**Describe the bug**\nThe total is wrong. See src/cart.py:12 and\n\
                   `shop.cart.total_of`; `sum()` fails with E0308.\n- [x] I searched\n![shot](https://x.test/a.png)"
                .to_owned(),
        };
        let query = Query::of(&ticket);
        assert_eq!(query.terms.get("total"), Some(&5.0), "three in the title, two in the body: {:?}", query.terms);
        assert!(!query.terms.contains_key("describe") && !query.terms.contains_key("searched"));
        assert!(!query.terms.contains_key("thanks") && !query.terms.contains_key("shot"));
        assert!(query.paths.contains("src/cart.py"), "{:?}", query.paths);
        assert!(query.dotted.contains(&vec!["shop".to_owned(), "cart".to_owned(), "total_of".to_owned()]));
        assert!(
            ["cart", "total_of", "sum", "e0308"].iter().all(|name| query.names.contains(*name)),
            "{:?}",
            query.names
        );
    }
}
