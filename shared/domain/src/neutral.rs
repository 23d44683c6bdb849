//! Makes text that a model or a stranger wrote harmless where it is shown.

use crate::gate::is_hidden;

/// Most characters of one piece; forges stop at 65,536 a comment.
const MAX: usize = 20_000;

/// Removes hidden characters, and defuses images, links, mentions, references and lines that look like commands.
///
/// An address is shown and leads nowhere: nobody is lured by other words, and no address of an issue closes it.
pub fn neutral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().filter(|c| !is_hidden(*c)).take(MAX).peekable();
    let mut line_start = true;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match c {
            '[' if out.ends_with('!') => out.push_str("&#91;"),
            '(' if out.ends_with(']') => out.push_str("&#40;"),
            ':' if out.ends_with(']') || (next == Some('/') && ends_with(&out, "http", "https")) => {
                out.push_str("&#58;");
            }
            '.' if ends_with(&out, "www", "www") => out.push_str("&#46;"),
            '<' => out.push_str("&lt;"),
            '-' if ends_with(&out, "gh", "gh") && next.is_some_and(|n| n.is_ascii_digit()) => out.push_str("&#45;"),
            '@' if next.is_some_and(char::is_alphanumeric) => out.push_str("&#64;"),
            '#' if next.is_some_and(|n| n.is_ascii_digit()) => out.push_str("&#35;"),
            '/' if line_start => out.push_str("&#47;"),
            _ => out.push(c),
        }
        line_start = c == '\n' || (line_start && c == ' ');
    }
    out
}

/// Whether a text ends in one of two words, however they are written.
fn ends_with(text: &str, one: &str, other: &str) -> bool {
    let ends = |word: &str| {
        let tail = text.len().checked_sub(word.len()).and_then(|at| text.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(word))
    };
    ends(one) || ends(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn nothing_acts_where_it_is_shown(text in "([ a/@#1!<\\[\\](:\n\u{202e}]|https://a|www\\.){0,40}") {
            let shown = neutral(&text);
            proptest::prop_assert!(["](", "]:", "http://", "https://", "www."].iter().all(|sign| !shown.contains(sign)));
            proptest::prop_assert!(!shown.contains("![") && !shown.contains("@a") && !shown.contains("#1"));
            proptest::prop_assert!(!shown.contains(['<', '\u{202e}']), "shown: {}", shown);
            proptest::prop_assert!(!shown.lines().any(|line| line.trim_start().starts_with('/')));
        }
    }

    #[test]
    fn what_does_not_act_is_shown_as_it_was_written() {
        for text in [
            "see the page (or not) [sic] at 10:30, a/b.c!",
            "a @ b, and an @",
            "# Heading",
            "either/or, or ask /prfactory later",
            "C# and #anchor",
            "two\n\nparagraphs",
        ] {
            assert_eq!(neutral(text), text);
        }
    }

    #[test]
    fn what_would_act_is_shown_and_acts_no_more() {
        for (text, shown) in [
            ("![spy](https://example.com)", "!&#91;spy]&#40;https&#58;//example.com)"),
            ("see [the page](HTTP://example.com/a).", "see [the page]&#40;HTTP&#58;//example.com/a)."),
            ("fixes https://github.com/a/b/issues/7", "fixes https&#58;//github.com/a/b/issues/7"),
            ("[x]: www.example.com", "[x]&#58; www&#46;example.com"),
            ("<!-- x -->", "&lt;!-- x -->"),
            ("thanks @ada, see #7", "thanks &#64;ada, see &#35;7"),
            ("/prfactory cancel\n  /prfactory cancel", "&#47;prfactory cancel\n  &#47;prfactory cancel"),
            ("a\u{200b}b", "ab"),
        ] {
            assert_eq!(neutral(text), shown);
        }
        assert_eq!(neutral(&"x".repeat(MAX + 1)), "x".repeat(MAX), "one piece leaves room for the others");
    }
}
