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
