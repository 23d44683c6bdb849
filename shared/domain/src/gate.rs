//! The gates a change must pass before it is published; none depends on a model.

use std::collections::BTreeSet;
use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use crate::change_set::{ChangeSet, FileChange};
use crate::path::RepoPath;
use crate::policy::Policy;
use crate::principal::Role;

/// Most files one change may touch before a person must look.
pub const MAX_FILES: usize = 50;
/// Most bytes one change may write before a person must look.
pub const MAX_BYTES: usize = 400_000;

/// Why a person has to look at a diff before it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum GateReason {
    /// It touches files the approved plan does not name.
    OutOfScope {
        /// The files.
        paths: Vec<RepoPath>,
    },
    /// It touches files that decide how code is built, run, owned or instructed.
    Sensitive {
        /// The files.
        paths: Vec<RepoPath>,
    },
    /// It adds characters that make text look different from what it is.
    HiddenCharacters {
        /// The files.
        paths: Vec<RepoPath>,
    },
    /// It adds what looks like a credential.
    Secret {
        /// The files.
        paths: Vec<RepoPath>,
    },
    /// It is bigger than anybody reads with care.
    Size {
        /// How many files it touches.
        files: usize,
        /// How many bytes it writes.
        bytes: usize,
    },
    /// The review still has critical findings and no round is left.
    UnresolvedFindings {
        /// How many.
        count: usize,
    },
    /// Somebody whose approval it needs may no longer approve.
    ApprovalLapsed {
        /// Who, by the names people know.
        names: Vec<String>,
        /// The least role of those approvals.
        least: Role,
    },
}

impl GateReason {
    /// The least role that may let such a change through.
    pub fn least_role(&self) -> Role {
        match self {
            Self::Sensitive { .. } | Self::HiddenCharacters { .. } | Self::Secret { .. } => Role::Admin,
            Self::OutOfScope { .. } | Self::Size { .. } | Self::UnresolvedFindings { .. } => Role::Approver,
            Self::ApprovalLapsed { least, .. } => *least,
        }
    }
}

impl fmt::Display for GateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |paths: &[RepoPath]| paths.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::OutOfScope { paths } => write!(f, "touches files the approved plan does not name: {}", list(paths)),
            Self::Sensitive { paths } => write!(f, "touches sensitive files: {}", list(paths)),
            Self::HiddenCharacters { paths } => {
                write!(f, "adds invisible or bidirectional characters in {}", list(paths))
            }
            Self::Secret { paths } => {
                write!(f, "adds what looks like a credential in {}", list(paths))
            }
            Self::Size { files, bytes } => write!(f, "is large: {files} files, {bytes} bytes"),
            Self::UnresolvedFindings { count } => {
                write!(f, "still has {count} critical review finding(s)")
            }
            Self::ApprovalLapsed { names, .. } => {
                write!(f, "was approved by {}, who may no longer approve", names.join(", "))
            }
        }
    }
}

/// Patterns that are sensitive in every repository; a tenant can only add to them.
pub const SENSITIVE: &[&str] = &[
    ".github/**",
    ".gitlab-ci.yml",
    ".gitlab/**",
    ".circleci/**",
    "azure-pipelines.yml",
    "**/Jenkinsfile",
    "bitbucket-pipelines.yml",
    ".travis.yml",
    "**/CODEOWNERS",
    "**/.gitmodules",
    "**/.gitattributes",
    "**/.npmrc",
    "**/.mcp.json",
    "**/AGENTS.md",
    "**/CLAUDE.md",
    "**/.cursor*",
    "**/.cursor*/**",
    "**/Cargo.lock",
    "**/package-lock.json",
    "**/npm-shrinkwrap.json",
    "**/yarn.lock",
    "**/pnpm-lock.yaml",
    "**/bun.lock*",
    "**/poetry.lock",
    "**/uv.lock",
    "**/Pipfile.lock",
    "**/go.sum",
    "**/Gemfile.lock",
    "**/composer.lock",
    "**/packages.lock.json",
    "**/gradle.lockfile",
    "**/flake.lock",
    "**/bunfig.toml",
    "**/.*/**",
    ".prfactory.toml",
];

/// Runs every gate over a change; an empty result lets it through.
pub fn check(
    change_set: &ChangeSet,
    before: &dyn Fn(&RepoPath) -> String,
    scope: &[RepoPath],
    policy: &Policy,
) -> Vec<GateReason> {
    let mut reasons = Vec::new();
    let outside = pick(change_set, |path, _| !scope.contains(path));
    if !outside.is_empty() {
        reasons.push(GateReason::OutOfScope { paths: outside });
    }
    let patterns = patterns(&policy.sensitive_paths);
    let sensitive = pick(change_set, |path, _| patterns.is_match(path.case_folded()));
    if !sensitive.is_empty() {
        reasons.push(GateReason::Sensitive { paths: sensitive });
    }
    let hidden = pick(change_set, |path, change| match change {
        FileChange::Write { text, .. } => adds_hidden(text, &before(path)),
        FileChange::Delete => false,
    });
    if !hidden.is_empty() {
        reasons.push(GateReason::HiddenCharacters { paths: hidden });
    }
    let secrets = pick(change_set, |path, change| match change {
        FileChange::Write { text, .. } => adds_secret(text, &before(path)),
        FileChange::Delete => false,
    });
    if !secrets.is_empty() {
        reasons.push(GateReason::Secret { paths: secrets });
    }
    let (files, bytes) = (change_set.files.len(), change_set.written_bytes());
    if files > MAX_FILES || bytes > MAX_BYTES {
        reasons.push(GateReason::Size { files, bytes });
    }
    reasons
}

fn pick(change_set: &ChangeSet, hit: impl Fn(&RepoPath, &FileChange) -> bool) -> Vec<RepoPath> {
    change_set.files.iter().filter(|(path, change)| hit(path, change)).map(|(path, _)| path.clone()).collect()
}

fn patterns(extra: &[String]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for pattern in SENSITIVE.iter().copied().chain(extra.iter().map(String::as_str)) {
        if let Ok(glob) = GlobBuilder::new(pattern).case_insensitive(true).literal_separator(true).build() {
            builder.add(glob);
        }
    }
    builder.build().unwrap_or_else(|_| GlobSet::empty())
}

/// Bidirectional controls, zero-width characters, soft hyphens and tag characters.
pub fn is_hidden(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}'
        | '\u{ad}' | '\u{2060}'..='\u{2064}' | '\u{e0000}'..='\u{e007f}')
}

fn adds_hidden(after: &str, before: &str) -> bool {
    let count = |text: &str| text.chars().filter(|c| is_hidden(*c)).count();
    count(after) > count(before)
}

/// Starts of well-known credentials, with the fewest characters that follow in a real one.
const SECRET_PREFIXES: &[(&str, usize)] = &[
    ("ghp_", 36),
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 22),
    ("glpat-", 20),
    ("sk-ant-", 20),
    ("AKIA", 16),
    ("ASIA", 16),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("AIza", 35),
    ("npm_", 36),
    ("ATATT3x", 20),
    ("prf_pat_", 30),
];

fn adds_secret(after: &str, before: &str) -> bool {
    let known: BTreeSet<&str> = secrets_in(before).collect();
    secrets_in(after).any(|found| !known.contains(found))
}

/// Finds what looks like a credential in a text.
pub fn secrets_in(text: &str) -> impl Iterator<Item = &str> {
    let tokens = text.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    let known = tokens.filter(|token| {
        SECRET_PREFIXES
            .iter()
            .any(|(prefix, rest)| token.find(prefix).is_some_and(|at| token.len() - at >= prefix.len() + rest))
    });
    known.chain(text.lines().filter(|line| line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change_set::FileMode;
    use crate::name::CommitSha;

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn change<'a>(files: impl IntoIterator<Item = (&'a str, Option<String>)>) -> ChangeSet {
        let write = |text| FileChange::Write { mode: FileMode::Regular, text };
        let files = files.into_iter().map(|(name, text)| (path(name), text.map_or(FileChange::Delete, write)));
        let base = CommitSha::parse(&"a".repeat(40)).unwrap_or_else(|error| panic!("{error}"));
        ChangeSet { base, files: files.collect() }
    }

    /// What the gates say to a change of one file in scope that read `before`.
    fn said(name: &str, before: &str, after: &str) -> Vec<GateReason> {
        let set = change([(name, Some(after.to_owned()))]);
        check(&set, &|_| before.to_owned(), &[path(name)], &Policy::standard())
    }

    #[test]
    fn what_is_out_of_scope_or_sensitive_is_named() {
        let set = change([("a.txt", Some("x".to_owned())), ("b.txt", None), ("ops/x.tf", None), (".GITHUB/x", None)]);
        let mut policy = Policy::standard();
        policy.sensitive_paths = vec!["ops/**".to_owned()];
        let scope = [path("a.txt"), path("ops/x.tf"), path(".GITHUB/x")];
        let reasons = check(&set, &|_| String::new(), &scope, &policy);
        let sensitive = GateReason::Sensitive { paths: vec![path(".GITHUB/x"), path("ops/x.tf")] };
        assert_eq!(reasons, [GateReason::OutOfScope { paths: vec![path("b.txt")] }, sensitive]);
        assert_eq!(said("a.txt", "old", "new"), []);
    }

    #[test]
    fn hidden_characters_may_stay_and_not_be_added() {
        let hidden = [GateReason::HiddenCharacters { paths: vec![path("a.txt")] }];
        assert_eq!(said("a.txt", "x", "x\u{202e}"), hidden);
        assert_eq!(said("a.txt", "\u{feff}x", "\u{feff}y"), []);
        assert_eq!(said("a.txt", "\u{feff}x", "x"), []);
        assert_eq!(said("a.txt", "\u{feff}x", "\u{feff}\u{200b}x"), hidden);
        for shown in ['a', '-', ' ', 'é', '\u{200a}', '\u{2065}', '\u{e0080}'] {
            assert!(!is_hidden(shown), "{shown:?}");
        }
    }

    #[test]
    fn a_credential_has_its_start_and_its_length() {
        let secret = [GateReason::Secret { paths: vec![path("a.txt")] }];
        for (prefix, rest) in SECRET_PREFIXES {
            let whole = format!("{prefix}{}", "Z".repeat(*rest));
            let short = format!("{prefix}{}", "Z".repeat(rest - 1));
            assert_eq!(secrets_in(&format!("key = \"{whole}\"")).collect::<Vec<_>>(), [whole.as_str()]);
            assert_eq!(secrets_in(&format!("of-{whole}")).count(), 1, "within a word");
            assert_eq!(secrets_in(&format!("of-{short}")).count(), 0, "{short} is too short");
            assert_eq!(said("a.txt", "", &whole), secret);
            assert_eq!(said("a.txt", &whole, &format!("{whole}\n")), [], "it was there before");
        }
        let key = ["-----BEGIN RSA ", "PRIVATE KEY-----"].concat();
        assert_eq!(said("a.txt", "", &key), secret);
        assert_eq!(said("a.txt", "", "-----BEGIN CERTIFICATE-----"), []);
        assert_eq!(said("a.txt", "", "a PRIVATE KEY----- is no key"), []);
    }

    #[test]
    fn a_change_is_large_from_one_file_or_one_byte_more_than_allowed() {
        let names: Vec<String> = (0..=MAX_FILES).map(|number| format!("f{number:04}")).collect();
        let sized = |files: usize, bytes: usize| {
            let text = |at: usize| Some(if at == 0 { "x".repeat(bytes) } else { String::new() });
            let set = change(names.iter().take(files).enumerate().map(|(at, name)| (name.as_str(), text(at))));
            let scope: Vec<RepoPath> = set.files.keys().cloned().collect();
            check(&set, &|_| String::new(), &scope, &Policy::standard())
        };
        assert_eq!(sized(MAX_FILES, MAX_BYTES), []);
        assert_eq!(sized(1, MAX_BYTES + 1), [GateReason::Size { files: 1, bytes: MAX_BYTES + 1 }]);
        assert_eq!(sized(MAX_FILES + 1, 5), [GateReason::Size { files: MAX_FILES + 1, bytes: 5 }]);
    }
}
