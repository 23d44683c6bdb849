//! The repository's own template for pull requests, filled in where it asks for what we know.

use std::fmt::Write as _;

use domain::error::Failure;
use domain::path::RepoPath;
use engine::port::SourceTree;

/// Where GitHub looks for one, in its order.
const FOLDERS: [&str; 3] = [".github/", "", "docs/"];
/// Longest template that is taken.
const MAX: usize = 16 * 1024;

/// Finds the template of a base commit.
pub(crate) fn of(tree: &dyn SourceTree) -> Result<Option<String>, Failure> {
    let named = |path: &RepoPath, folder: &str| {
        let path = path.as_str().to_ascii_lowercase();
        [".md", ".txt", ""].iter().any(|end| path == format!("{folder}pull_request_template{end}"))
    };
    for folder in FOLDERS {
        let Some(entry) = tree.entries().iter().find(|entry| named(&entry.path, folder)) else {
            continue;
        };
        let bytes = tree.read(&entry.path)?.unwrap_or_default();
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() <= MAX && !text.trim().is_empty());
        return Ok(text);
    }
    Ok(None)
}

/// Headings under which a template asks what was done.
const WHAT: [&str; 5] = ["description", "summary", "what", "changes", "overview"];
/// Headings under which it asks how that was checked.
const CHECKED: [&str; 4] = ["test", "verif", "check", "qa"];

/// Puts what is said under the headings that ask for it; the rest follows the template, whose own words stay.
pub(crate) fn filled(template: Option<&str>, what: &str, checked: &str) -> String {
    let Some(template) = template else {
        return format!("{what}\n{checked}");
    };
    let (mut text, mut what, mut checked) = (String::new(), Some(what), Some(checked));
    for line in template.lines() {
        text.push_str(line);
        text.push('\n');
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        if !line.starts_with('#') {
            continue;
        }
        let asks = |words: &[&str]| words.iter().any(|word| heading.contains(word));
        let answer = if asks(&CHECKED) {
            checked.take()
        } else if asks(&WHAT) {
            what.take()
        } else {
            None
        };
        if let Some(answer) = answer {
            let _ = writeln!(text, "\n{}", answer.trim());
        }
    }
    let rest = [what, checked].into_iter().flatten().map(str::trim).collect::<Vec<_>>().join("\n\n");
    if rest.is_empty() { text } else { format!("{rest}\n\n---\n\n{text}") }
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn a_template_is_answered_where_it_asks() {
        let template = "## Description\n\nSay what.\n\n## How was it tested?\n\n- [ ] I added tests\n";
        assert_eq!(
            filled(Some(template), "It adds.", "Recorded."),
            "## Description\n\nIt adds.\n\nSay what.\n\n## How was it tested?\n\nRecorded.\n\n- [ ] I added tests\n"
        );
        assert_eq!(
            filled(Some("- [ ] I read the guide\n"), "It adds.", "Recorded."),
            "It adds.\n\nRecorded.\n\n---\n\n- [ ] I read the guide\n"
        );
    }
}
