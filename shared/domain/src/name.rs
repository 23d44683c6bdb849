//! Names that come from trackers and forges, checked where they enter.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A name that a tracker or forge may not have, with the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} {text:?} is not allowed: {rule}")]
pub struct NameError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads and checks the name.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { what: $what, text: text.chars().take(80).collect(), rule: $rule })
                }
            }

            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

checked_name!(
    /// The key people know a ticket by: `KAN-22`, `acme/widgets#7`.
    TrackerKey, "ticket key", "1 to 120 letters, digits or any of . _ - / #, starting with a letter or digit", |text| {
        text.len() <= 120
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/#".contains(&b))
    }
);
checked_name!(
    /// `owner/name` of a repository.
    RepoName, "repository name", "owner/name of letters, digits or any of . _ -", |text| {
        let part = |p: &str| {
            (1..=100).contains(&p.len())
                && !p.starts_with('.')
                && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
    }
);
checked_name!(
    /// A branch without `refs/heads/`, by the rules of `git check-ref-format`.
    BranchName, "branch name", "1 to 200 characters that git accepts in a branch", |text| {
        let part = |p: &str| !p.is_empty() && !p.starts_with('.') && !p.ends_with('.')
            && !std::path::Path::new(p).extension().is_some_and(|e| e.eq_ignore_ascii_case("lock"));
        (1..=200).contains(&text.len())
            && !text.starts_with('-')
            && !text.contains("..")
            && !text.contains("@{")
            && text != "@"
            && text.split('/').all(part)
            && text.bytes().all(|b| b > b' ' && b != 0x7f && !b"~^:?*[\\".contains(&b))
    }
);
checked_name!(
    /// A git commit: 40 lower-case hex digits.
    CommitSha, "commit", "40 lower-case hex digits", |text| {
        text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
);
checked_name!(
    /// A model as its provider names it.
    ModelName, "model name", "1 to 80 letters, digits or any of . _ - : /", |text| {
        (1..=80).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:/".contains(&b))
    }
);

impl CommitSha {
    /// The first 12 digits.
    pub fn short(&self) -> &str {
        self.as_str().get(..12).unwrap_or(self.as_str())
    }
}

impl BranchName {
    /// What most repositories call the branch that people merge into.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The branch of a ticket: `prfactory/KEY-123-short-slug`, the only branch that is ever written.
    pub fn for_ticket(key: &TrackerKey, title: &str) -> Result<Self, NameError> {
        let clean = |text: &str| -> String {
            let mapped: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            mapped.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
        };
        let mut slug = String::new();
        for word in clean(title).to_ascii_lowercase().split('-') {
            if slug.len() + word.len() > 40 {
                break;
            }
            if !slug.is_empty() {
                slug.push('-');
            }
            slug.push_str(word);
        }
        let key = clean(key.as_str());
        let name = if slug.is_empty() { format!("prfactory/{key}") } else { format!("prfactory/{key}-{slug}") };
        Self::parse(&name)
    }

    /// Says whether this is a branch of ours.
    pub fn is_ours(&self) -> bool {
        self.as_str().starts_with("prfactory/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_named_after_its_ticket() -> Result<(), NameError> {
        let cases = [
            ("KAN-22", "Add a back button!", "prfactory/KAN-22-add-a-back-button"),
            ("acme/widgets#7", "../../etc/passwd", "prfactory/acme-widgets-7-etc-passwd"),
            ("K-1", "🦀", "prfactory/K-1"),
        ];
        for (key, title, branch) in cases {
            assert_eq!(BranchName::for_ticket(&TrackerKey::parse(key)?, title)?.as_str(), branch);
        }
        Ok(())
    }

    #[test]
    fn names_that_git_or_a_shell_would_trip_over_are_refused() {
        for bad in ["", "a..b", "-x", "a b", "a/", "/a", "x.lock", "a@{1}", "a\\b", ".hidden/x", "a\nb"] {
            assert!(BranchName::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["a", "a/b/c", "../x", "a/..", "a/b c"] {
            assert!(RepoName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(CommitSha::parse("ABCDEF").is_err());
    }

    #[test]
    fn a_branch_takes_whole_words_of_the_title_up_to_40_letters() -> Result<(), NameError> {
        let branch = |title: &str| BranchName::for_ticket(&TrackerKey::parse("K-1")?, title);
        let (most, more) = ("x".repeat(40), "x".repeat(41));
        assert_eq!(branch(&most)?.as_str(), format!("prfactory/K-1-{most}"));
        assert_eq!(branch(&more)?.as_str(), "prfactory/K-1");
        assert_eq!(branch(&format!("Fix {more} now"))?.as_str(), "prfactory/K-1-fix", "what follows is left out too");
        Ok(())
    }

    #[test]
    fn only_branches_below_prfactory_are_ours() -> Result<(), NameError> {
        for (name, ours) in
            [("prfactory/K-1", true), ("main", false), ("prfactory-2/x", false), ("x/prfactory/y", false)]
        {
            assert_eq!(BranchName::parse(name)?.is_ours(), ours, "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_commit_is_shown_by_its_first_12_digits() -> Result<(), NameError> {
        let commit = CommitSha::parse(&format!("0123456789ab{}", "c".repeat(28)))?;
        assert_eq!(commit.short(), "0123456789ab");
        Ok(())
    }
}
