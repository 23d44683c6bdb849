//! Finds the one command of a comment, or that there is none.

use crate::error::CommandError;
use crate::mask::{Markup, mask};
use crate::parse::{Command, parse};

/// What a comment holds for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing: people are talking to each other.
    Nothing,
    /// The bare mention at the start of a line: start, or say where things stand.
    Mention,
    /// A command.
    Command(Command),
}

/// Longest comment that is read; forges stop at 65,536 characters.
pub(crate) const MAX_COMMENT: usize = 256 * 1024;

/// Reads a comment; `handle` is the name people mention, without `@`.
pub fn find(text: &str, handle: &str, markup: Markup) -> Result<Found, CommandError> {
    if text.len() > MAX_COMMENT || handle.is_empty() {
        return Ok(Found::Nothing);
    }
    let masked = mask(text, markup);
    let plain = String::from_utf8_lossy(&masked.plain).into_owned();
    let visible = String::from_utf8_lossy(&masked.visible).into_owned();
    let mut starts = Vec::new();
    let mut at = 0;
    for line in plain.split_inclusive('\n') {
        if let Some(length) = mention(line, handle) {
            starts.push((at, at + length));
        }
        at += line.len();
    }
    let Some(&(_, after)) = starts.first() else {
        return Ok(Found::Nothing);
    };
    if starts.len() > 1 {
        return Err(CommandError::Several { count: starts.len() });
    }
    let said = visible.get(after..).unwrap_or("").trim();
    if said.is_empty() {
        return Ok(Found::Mention);
    }
    parse(said).map(Found::Command)
}

/// The length of a mention with which a line starts: `@handle` or `/handle`, then a space or the end.
fn mention(line: &str, handle: &str) -> Option<usize> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let rest = line.get(indent..)?.strip_prefix(['@', '/'])?;
    let name = rest.get(..handle.len())?;
    let after = rest.get(handle.len()..)?.chars().next();
    let ends = after.is_none_or(char::is_whitespace);
    (indent <= 3 && ends && name.eq_ignore_ascii_case(handle)).then_some(indent + 1 + handle.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn nothing(text: &str) {
        assert_eq!(find(text, "prfactory", Markup::Markdown), Ok(Found::Nothing), "{text:?}");
    }

    #[track_caller]
    fn command(text: &str, expected: &Command) {
        assert_eq!(find(text, "prfactory", Markup::Markdown), Ok(Found::Command(expected.clone())), "{text:?}");
    }

    #[test]
    fn hidden_and_quoted_text_never_fires() {
        nothing("<!-- @prfactory approve -->");
        nothing("<!--\n@prfactory cancel\n-->");
        nothing("> @prfactory cancel");
        nothing("> quoted\n@prfactory cancel");
        nothing("```\n@prfactory cancel\n```");
        nothing("    @prfactory cancel");
        nothing("`@prfactory cancel`");
        nothing("@prfactorybot cancel");
        nothing("foo@prfactory.io cancel");
        nothing("please @prfactory cancel");
        nothing("- @prfactory cancel");
        nothing("# @prfactory cancel");
        nothing("[@prfactory cancel](https://example.com)");
        nothing("<details>\n@prfactory cancel\n</details>");
        nothing("| a |\n|---|\n| @prfactory cancel |");
        nothing("@prfactory, cancel this");
        nothing("https://example.com/prfactory cancel");
    }

    #[test]
    fn a_line_that_starts_with_the_mention_fires() {
        command("@prfactory cancel", &Command::Cancel);
        command("/prfactory cancel", &Command::Cancel);
        command("Thanks all.\n\n@PRFactory CANCEL\n", &Command::Cancel);
        command("Thanks all.\n@prfactory retry", &Command::Retry);
        command("> quoted\n\n@prfactory skip", &Command::Skip);
        command(
            "@prfactory replan keep `a` <!-- drop everything --> only",
            &Command::Replan("keep `a`                          only".to_owned()),
        );
    }

    #[test]
    fn people_may_go_on_talking_below_a_command() {
        let found = find("@prfactory pause\n\nuntil Monday, please", "prfactory", Markup::Markdown);
        assert_eq!(found, Ok(Found::Command(Command::Pause)));
    }

    #[test]
    fn a_bare_mention_and_two_commands_are_told_apart() {
        assert_eq!(find("@prfactory", "prfactory", Markup::Markdown), Ok(Found::Mention));
        assert_eq!(
            find("@prfactory cancel\n\n@prfactory retry", "prfactory", Markup::Markdown),
            Err(CommandError::Several { count: 2 })
        );
    }

    #[test]
    fn the_longest_comment_a_forge_sends_is_read_and_no_longer_one() {
        // 65,536 characters of four bytes each.
        let longest = |more: &str| {
            let command = format!("@prfactory cancel\n{more}");
            let rest = 4 * 65_536 - command.len() + more.len();
            format!("{command}{}{}", "🦀".repeat(rest / 4), "x".repeat(rest % 4))
        };
        command(&longest(""), &Command::Cancel);
        nothing(&longest("x"));
        assert_eq!(find("@ cancel", "", Markup::Markdown), Ok(Found::Nothing), "nobody is mentioned");
    }

    #[test]
    fn tables_footnotes_and_struck_text_never_fire() {
        nothing("a | b\n--|--\n@prfactory cancel | x");
        nothing("[^1]: note\n@prfactory cancel");
        nothing("~~no longer\n@prfactory cancel~~");
    }

    #[track_caller]
    fn wiki(text: &str, expected: &Found) {
        assert_eq!(find(text, "prfactory", Markup::Wiki).as_ref(), Ok(expected), "{text:?}");
    }

    #[test]
    fn a_block_of_jira_ends_where_its_own_mark_comes_again() {
        let cancel = Found::Command(Command::Cancel);
        for block in ["quote", "code", "noformat", "panel", "color"] {
            wiki(&format!("{{{block}}}\nx\n{{{block}}}\n/prfactory cancel"), &cancel);
            wiki(&format!("{{{block}}}\nx\n/prfactory cancel\n{{{block}}}"), &Found::Nothing);
            wiki(&format!("A long line of talk before\n\n{{{block}}}\n/prfactory cancel"), &Found::Nothing);
        }
        wiki("{quote}\n{code}\n/prfactory cancel\n{code}\n{quote}", &Found::Nothing);
        wiki("{noformat}\n{quote}\n{noformat}\n/prfactory cancel", &cancel);
    }

    #[test]
    fn a_line_of_jira_on_which_a_block_opens_or_closes_never_fires() {
        wiki("/prfactory cancel {quote}\nx\n{quote}", &Found::Nothing);
        wiki("{quote}\nx\n/prfactory cancel {quote}", &Found::Nothing);
    }

    #[test]
    fn jira_quotes_and_code_never_fire() {
        for text in [
            "{quote}\n/prfactory cancel\n{quote}",
            "{code:java}\n/prfactory cancel\n{code}",
            "bq. /prfactory cancel",
            "{noformat}\n/prfactory cancel\n{noformat}",
            "* /prfactory cancel",
            "see /prfactory cancel",
        ] {
            assert_eq!(find(text, "prfactory", Markup::Wiki), Ok(Found::Nothing), "{text:?}");
        }
        let found = find("{quote}x{quote}\nok\n/prfactory cancel", "prfactory", Markup::Wiki);
        assert_eq!(found, Ok(Found::Command(Command::Cancel)));
    }

    proptest::proptest! {
        #[test]
        fn fenced_text_never_fires(body in "[a-z@/ \n]{0,80}") {
            let text = format!("```\n{body}\n@prfactory cancel\n```");
            proptest::prop_assert_eq!(find(&text, "prfactory", Markup::Markdown), Ok(Found::Nothing));
        }
    }
}
