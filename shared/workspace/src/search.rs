//! Searching the overlay: plain text or a regular expression, capped, in path order.

use domain::path::RepoPath;
use globset::{GlobBuilder, GlobMatcher};
use regex::RegexBuilder;
use thiserror::Error;

use crate::jail::Jail;

/// One line that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The file.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// Its text, at most 200 characters.
    pub text: String,
}

/// Why a search cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SearchError {
    /// The pattern is no regular expression, or too large a one.
    #[error("the pattern cannot be used: {0}")]
    Pattern(String),
    /// The glob is none.
    #[error("the glob cannot be used: {0}")]
    Glob(String),
}

/// Longest glob, in bytes, and most groups of one: what is deeper than a regular expression may be breaks its compiler.
const MAX_GLOB: usize = 300;
const MAX_GROUPS: usize = 8;

/// Compiles a glob; `*` also matches across folders.
fn glob(text: &str) -> Result<GlobMatcher, SearchError> {
    if text.len() > MAX_GLOB || text.matches('{').count() > MAX_GROUPS {
        return Err(SearchError::Glob(format!(
            "it is longer than {MAX_GLOB} bytes, or has more than {MAX_GROUPS} groups"
        )));
    }
    let glob = GlobBuilder::new(text).literal_separator(false).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| SearchError::Glob(error.to_string()))
}

/// Compiled patterns may take this much memory; hostile ones take more.
const MAX_PATTERN: usize = 1024 * 1024;

impl Jail {
    /// Every readable file, in path order; only those that match where there is a glob.
    pub fn files_in(&self, glob: Option<&str>) -> Result<Vec<RepoPath>, SearchError> {
        let mut files = self.files();
        if let Some(glob) = glob.map(self::glob).transpose()? {
            files.retain(|path| glob.is_match(path.as_str()));
        }
        Ok(files)
    }

    /// Finds lines; `glob` limits the files, `max` the hits. Says also whether there were more.
    pub fn search(
        &self,
        query: &str,
        regex: bool,
        glob: Option<&str>,
        max: usize,
    ) -> Result<(Vec<Hit>, bool), SearchError> {
        let pattern = if regex { query.to_owned() } else { regex::escape(query) };
        let matcher = RegexBuilder::new(&pattern)
            .size_limit(MAX_PATTERN)
            .case_insensitive(!regex)
            .build()
            .map_err(|error| SearchError::Pattern(error.to_string()))?;
        let mut hits = Vec::new();
        for path in self.files_in(glob)? {
            let Ok(text) = self.read(&path) else { continue };
            for (at, line) in text.lines().enumerate() {
                if !matcher.is_match(line) {
                    continue;
                }
                if hits.len() == max {
                    return Ok((hits, true));
                }
                let text = line.chars().take(200).collect();
                hits.push(Hit { path: path.to_string(), line: at + 1, text });
            }
        }
        Ok((hits, false))
    }
}
