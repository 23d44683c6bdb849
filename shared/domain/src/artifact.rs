//! What the work produces on its way: each kind is versioned, immutable and addressed by its hash.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::hash::ContentHash;
use crate::id::{MemberId, TicketId};
use crate::money::Usd;
use crate::name::{CommitSha, RepoName};
use crate::path::RepoPath;
use crate::principal::{Role, Via};

/// Points at one version of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// Counts from 1 within its kind and ticket.
    pub version: u32,
    /// Hash of the artifact's JSON.
    pub hash: ContentHash,
    /// What is different from the version before, in one sentence; empty for the first.
    pub changed: String,
}

/// What reading the repository showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// What is wanted, and what the code says about it.
    pub understanding: String,
    /// The files that matter most, best first.
    pub relevant_files: Vec<RepoPath>,
}

/// A question that has to be answered before the ticket can be refined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Counts from 1 within its set.
    pub number: u32,
    /// What the question is about, in a word or two: *scope*, *behaviour*, *data*.
    pub category: String,
    /// The question itself.
    pub text: String,
    /// What is assumed when nobody answers.
    pub default: String,
    /// Ready answers, where they help.
    pub options: Vec<String>,
}

/// The questions of one round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questions {
    /// What the model understood so far, for the people who answer.
    pub understanding: String,
    /// One to ten questions.
    pub questions: Vec<Question>,
    /// What was asked and answered in the rounds before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<Answered>,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

impl Questions {
    /// Everything that was asked and answered up to this round.
    pub fn with_answers(self, answers: &[Answer]) -> Vec<Answered> {
        let mut all = self.answered;
        for question in self.questions {
            let answer = answers.iter().find(|answer| answer.number == question.number);
            let answer = answer.map_or(question.default, |answer| answer.text.clone());
            all.push(Answered { question: question.text, answer });
        }
        all
    }
}

/// One answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The number of the question.
    pub number: u32,
    /// What was answered; the default where nobody did.
    pub text: String,
    /// Who answered, or `default`.
    pub by: String,
}

/// How much a criterion matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The ticket fails without it.
    Must,
    /// Expected.
    Should,
    /// Welcome.
    Could,
}

/// One thing that must be true when the ticket is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// What kind of thing it is: *functional*, *tests*, *documentation*.
    pub category: String,
    /// How much it matters.
    pub priority: Priority,
    /// The criterion, checkable.
    pub text: String,
}

/// The ticket as understood, shown beside the original for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refinement {
    /// A title that says what will be different.
    pub title: String,
    /// What is wanted and why.
    pub description: String,
    /// How success is judged.
    pub success_criteria: Vec<Criterion>,
    /// What a tester would check.
    pub acceptance_criteria: Vec<String>,
}

/// How sure the planner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Routine.
    High,
    /// Some of it is a guess.
    Medium,
    /// Read this plan with care.
    Low,
}

/// What the plan does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileAction {
    /// Makes a new file.
    Create,
    /// Changes an existing file.
    Modify,
    /// Removes a file.
    Delete,
}

/// One line of the scope contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFile {
    /// The file.
    pub path: RepoPath,
    /// What happens to it.
    pub action: FileAction,
    /// Why it has to be touched.
    pub why: String,
}

/// What will be done, as the model wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanBody {
    /// The change in a few sentences.
    pub summary: String,
    /// How sure the planner is.
    pub confidence: Confidence,
    /// The scope contract: nothing else may be touched.
    pub files: Vec<PlannedFile>,
    /// Changes to public interfaces.
    pub api_changes: Vec<String>,
    /// Changes to stored data.
    pub schema_changes: Vec<String>,
    /// What is done, in order.
    pub steps: Vec<String>,
    /// How it will be tested.
    pub tests: Vec<String>,
    /// What could go wrong.
    pub risks: Vec<String>,
    /// What is left alone on purpose.
    pub out_of_scope: Vec<String>,
    /// What carrying it out may cost.
    pub estimated_cost: Usd,
}

/// What a person approves: the plan bound to ticket, repository, base commit and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Counts from 1 within the ticket.
    pub version: u32,
    /// The ticket it is for.
    pub ticket: TicketId,
    /// The repository it changes.
    pub repo: RepoName,
    /// The commit it was written against.
    pub base: CommitSha,
    /// The policy it was written under.
    pub policy: ContentHash,
    /// What will be done.
    pub body: PlanBody,
}

impl Plan {
    /// The hash that an approval names.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of_json(self)
    }

    /// Says in one sentence what is different from an earlier version.
    pub fn changes_since(&self, before: &Plan) -> String {
        let paths = |plan: &Plan| -> Vec<String> { plan.body.files.iter().map(|f| f.path.to_string()).collect() };
        let (old, new) = (paths(before), paths(self));
        let mut parts = Vec::new();
        let added: Vec<_> = new.iter().filter(|p| !old.contains(p)).cloned().collect();
        let removed: Vec<_> = old.iter().filter(|p| !new.contains(p)).cloned().collect();
        if !added.is_empty() {
            parts.push(format!("adds {}", added.join(", ")));
        }
        if !removed.is_empty() {
            parts.push(format!("no longer touches {}", removed.join(", ")));
        }
        let mut differs = |same: bool, what: &str| {
            if !same {
                parts.push(format!("the {what} changed"));
            }
        };
        differs(before.base == self.base, "base commit");
        differs(before.policy == self.policy, "policy");
        differs(before.body.summary == self.body.summary, "summary");
        differs(before.body.steps == self.body.steps, "list of steps");
        differs(before.body.tests == self.body.tests, "list of tests");
        if parts.is_empty() { "only details of the wording changed".to_owned() } else { parts.join("; ") }
    }
}

/// How grave a finding is; only critical ones send the change back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The change is wrong or incomplete.
    Critical,
    /// It could be better.
    Suggestion,
}

/// One remark of the review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// The file it is about, where it is about one.
    pub path: Option<RepoPath>,
    /// What is wrong and what would be right.
    pub text: String,
}

/// The outcome of reviewing a change against its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The change that was reviewed.
    pub change_set: ContentHash,
    /// The verdict in a sentence or two.
    pub summary: String,
    /// The remarks.
    pub findings: Vec<Finding>,
}

/// Whether a person was for or against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// For exactly this artifact.
    Approved,
    /// Against it.
    Rejected,
}

/// Who decided what on which artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The artifact that was decided on.
    pub artifact: ContentHash,
    /// The person; absent when a recorded policy approved.
    pub member: Option<MemberId>,
    /// The name people know the person by, or the setting that approved.
    pub name: String,
    /// The role the person had at that moment; absent for a policy.
    pub role: Option<Role>,
    /// Where the person spoke; absent for a policy.
    pub via: Option<Via>,
    /// For or against.
    pub verdict: Verdict,
    /// What the person added.
    pub note: String,
    /// When it was said.
    pub at: Timestamp,
}

/// What became of one remark of people's review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// The change does what was asked.
    Fixed,
    /// It does not, with a reason.
    Declined,
    /// It has to be clarified first.
    Question,
}

/// The answer to one thread of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadAnswer {
    /// The provider's id of the thread.
    pub thread: String,
    /// What became of it.
    pub disposition: Disposition,
    /// Why, or what was done.
    pub text: String,
}

/// The answers to a whole review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewAnswer {
    /// What was done, in a sentence or two.
    pub summary: String,
    /// One answer a thread.
    pub threads: Vec<ThreadAnswer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(base: char, policy: &str, files: &[&str], (summary, steps, tests): (&str, &str, &str)) -> Plan {
        let file = |path: &&str| PlannedFile {
            path: RepoPath::parse(path).unwrap(),
            action: FileAction::Modify,
            why: "it has to".to_owned(),
        };
        Plan {
            version: 1,
            ticket: TicketId::parse("tkt_1").unwrap(),
            repo: RepoName::parse("acme/widgets").unwrap(),
            base: CommitSha::parse(&base.to_string().repeat(40)).unwrap(),
            policy: ContentHash::of(policy.as_bytes()),
            body: PlanBody {
                summary: summary.to_owned(),
                confidence: Confidence::High,
                files: files.iter().map(file).collect(),
                api_changes: Vec::new(),
                schema_changes: Vec::new(),
                steps: vec![steps.to_owned()],
                tests: vec![tests.to_owned()],
                risks: Vec::new(),
                out_of_scope: Vec::new(),
                estimated_cost: Usd::ZERO,
            },
        }
    }

    #[track_caller]
    fn check(before: &Plan, now: &Plan, said: &str) {
        assert_eq!(now.changes_since(before), said);
    }

    #[test]
    fn what_changed_since_an_earlier_plan_is_said_in_one_sentence() {
        let words = ("summary", "steps", "tests");
        let before = plan('a', "p", &["a.rs", "b.rs"], words);
        check(&before, &before, "only details of the wording changed");
        let mut reworded = before.clone();
        reworded.body.risks = vec!["it may rain".to_owned()];
        check(&before, &reworded, "only details of the wording changed");
        check(&before, &plan('a', "p", &["a.rs", "b.rs", "c.rs", "d.rs"], words), "adds c.rs, d.rs");
        check(&before, &plan('a', "p", &[], words), "no longer touches a.rs, b.rs");
        check(&before, &plan('a', "p", &["c.rs", "b.rs"], words), "adds c.rs; no longer touches a.rs");
        check(&before, &plan('b', "p", &["a.rs", "b.rs"], words), "the base commit changed");
        check(&before, &plan('a', "q", &["a.rs", "b.rs"], words), "the policy changed");
        check(&before, &plan('a', "p", &["a.rs", "b.rs"], ("x", "steps", "tests")), "the summary changed");
        check(&before, &plan('a', "p", &["a.rs", "b.rs"], ("summary", "x", "tests")), "the list of steps changed");
        check(&before, &plan('a', "p", &["a.rs", "b.rs"], ("summary", "steps", "x")), "the list of tests changed");
    }
}
