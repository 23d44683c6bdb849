//! What the stages around the change return: the change itself, its review, the answer to people's review.

use domain::artifact::{Disposition, Finding, ReviewAnswer, Severity, ThreadAnswer};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::output::{Output, filled, path};

/// What implementing returns; the change itself is in the overlay.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeOutput {
    /// What was done, in a sentence or two.
    pub summary: String,
}

impl Output for ChangeOutput {}

/// What reviewing returns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewOutput {
    /// The verdict in a sentence or two.
    pub summary: String,
    /// The findings; none is fine.
    pub findings: Vec<FindingOutput>,
}

/// One finding.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingOutput {
    /// How grave it is.
    pub severity: SeverityOutput,
    /// The file it is about, or null.
    pub path: Option<String>,
    /// What is wrong and what would be right.
    pub text: String,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeverityOutput {
    /// Wrong or incomplete.
    Critical,
    /// Could be better.
    Suggestion,
}

impl Output for ReviewOutput {}

impl ReviewOutput {
    /// Becomes a verdict and findings.
    pub fn into_domain(self) -> Result<(String, Vec<Finding>), String> {
        let finding = |f: FindingOutput| {
            Ok(Finding {
                severity: match f.severity {
                    SeverityOutput::Critical => Severity::Critical,
                    SeverityOutput::Suggestion => Severity::Suggestion,
                },
                path: f.path.as_deref().map(path).transpose()?,
                text: filled("text", &f.text)?,
            })
        };
        let findings: Result<Vec<Finding>, String> = self.findings.into_iter().map(finding).collect();
        Ok((filled("summary", &self.summary)?, findings?))
    }
}

/// What revising returns; the change itself is in the overlay.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevisionOutput {
    /// What was done, in a sentence or two.
    pub summary: String,
    /// One answer a thread of the review.
    pub threads: Vec<ThreadOutput>,
}

/// The answer to one thread.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreadOutput {
    /// The thread's id.
    pub id: String,
    /// What became of it.
    pub disposition: DispositionOutput,
    /// Why, or what was done.
    pub text: String,
}

/// What became of a thread.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DispositionOutput {
    /// Done as asked.
    Fixed,
    /// Left as it is.
    Declined,
    /// Must be clarified.
    Question,
}

impl Output for RevisionOutput {}

impl RevisionOutput {
    /// Becomes the answer to a review whose threads are known.
    pub fn into_domain(self, threads: &[&str]) -> Result<ReviewAnswer, String> {
        for id in threads {
            if self.threads.iter().filter(|answer| answer.id == *id).count() != 1 {
                return Err(format!("Thread `{id}` needs exactly one answer."));
            }
        }
        let answer = |t: ThreadOutput| ThreadAnswer {
            thread: t.id,
            disposition: match t.disposition {
                DispositionOutput::Fixed => Disposition::Fixed,
                DispositionOutput::Declined => Disposition::Declined,
                DispositionOutput::Question => Disposition::Question,
            },
            text: t.text,
        };
        Ok(ReviewAnswer {
            summary: filled("summary", &self.summary)?,
            threads: self.threads.into_iter().map(answer).collect(),
        })
    }
}
