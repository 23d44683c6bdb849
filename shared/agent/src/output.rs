//! What the model may return: one typed shape a stage, checked before it becomes a domain value.

use domain::artifact::{
    Analysis, Confidence, Criterion, Disposition, FileAction, Finding, PlanBody, PlannedFile, Priority, Question,
    Questions, Refinement, ReviewAnswer, Severity, ThreadAnswer,
};
use domain::money::Usd;
use domain::path::RepoPath;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest text of one field.
const MAX_TEXT: usize = 16 * 1024;
/// Most entries of one list.
const MAX_LIST: usize = 100;

/// A shape the model may return.
pub trait Output: DeserializeOwned + JsonSchema {
    /// Reads and bounds what the model sent; the error is written for the model.
    fn parse(value: &Value) -> Result<Self, String> {
        bounded(value)?;
        serde_json::from_value(value.clone()).map_err(|error| format!("The input does not fit the schema: {error}"))
    }

    /// The JSON Schema of the tool's input.
    fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        if let Some(object) = schema.as_object_mut() {
            object.remove("$schema");
            object.remove("title");
        }
        schema
    }
}

fn bounded(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => Err(format!("A text is longer than {MAX_TEXT} bytes.")),
        Value::Array(list) if list.len() > MAX_LIST => Err(format!("A list has more than {MAX_LIST} entries.")),
        Value::Array(list) => list.iter().try_for_each(bounded),
        Value::Object(map) => map.values().try_for_each(bounded),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn path(text: &str) -> Result<RepoPath, String> {
    RepoPath::parse(text).map_err(|error| error.to_string())
}

fn filled(name: &str, text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err(format!("`{name}` is empty.")) } else { Ok(text.trim().to_owned()) }
}

/// What analysis returns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnalysisOutput {
    /// What is wanted and what the code says about it, in a few sentences.
    pub understanding: String,
    /// Paths of the files that matter most, best first.
    pub relevant_files: Vec<String>,
    /// Questions that must be answered before the ticket can be refined.
    pub questions: Vec<QuestionOutput>,
}

/// One question.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionOutput {
    /// A word or two: scope, behaviour, data.
    pub category: String,
    /// The question.
    pub text: String,
    /// What is assumed when nobody answers.
    pub default: String,
    /// Ready answers, where they help.
    pub options: Vec<String>,
}

impl Output for AnalysisOutput {}

impl AnalysisOutput {
    /// Becomes an analysis, with questions if there are any; too many are refused.
    pub fn into_domain(self, max_questions: u32) -> Result<(Analysis, Option<Questions>), String> {
        if self.questions.len() > max_questions as usize {
            return Err(format!("{} questions; at most {max_questions} are allowed.", self.questions.len()));
        }
        let understanding = filled("understanding", &self.understanding)?;
        let relevant_files = self.relevant_files.iter().map(|p| path(p)).collect::<Result<_, _>>()?;
        let mut questions = Vec::new();
        for (number, question) in (1..).zip(self.questions) {
            questions.push(Question {
                number,
                category: filled("category", &question.category)?,
                text: filled("text", &question.text)?,
                default: filled("default", &question.default)?,
                options: question.options,
            });
        }
        let asked = (!questions.is_empty()).then(|| Questions { understanding: understanding.clone(), questions });
        Ok((Analysis { understanding, relevant_files }, asked))
    }
}

/// What refinement returns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefinementOutput {
    /// A title that says what will be different.
    pub title: String,
    /// What is wanted and why, as Markdown.
    pub description: String,
    /// How success is judged.
    pub success_criteria: Vec<CriterionOutput>,
    /// What a tester would check.
    pub acceptance_criteria: Vec<String>,
}

/// One success criterion.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CriterionOutput {
    /// functional, tests, documentation and the like.
    pub category: String,
    /// How much it matters.
    pub priority: PriorityOutput,
    /// The criterion.
    pub text: String,
}

/// How much a criterion matters.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PriorityOutput {
    /// The ticket fails without it.
    Must,
    /// Expected.
    Should,
    /// Welcome.
    Could,
}

impl Output for RefinementOutput {}

impl RefinementOutput {
    /// Becomes a refined ticket.
    pub fn into_domain(self) -> Result<Refinement, String> {
        let title = filled("title", &self.title)?;
        if title.chars().count() > 200 || title.contains('\n') {
            return Err("`title` must be one line of at most 200 characters.".to_owned());
        }
        if self.success_criteria.is_empty() {
            return Err("There must be at least one success criterion.".to_owned());
        }
        let criterion = |c: CriterionOutput| Criterion {
            category: c.category,
            priority: match c.priority {
                PriorityOutput::Must => Priority::Must,
                PriorityOutput::Should => Priority::Should,
                PriorityOutput::Could => Priority::Could,
            },
            text: c.text,
        };
        Ok(Refinement {
            title,
            description: filled("description", &self.description)?,
            success_criteria: self.success_criteria.into_iter().map(criterion).collect(),
            acceptance_criteria: self.acceptance_criteria,
        })
    }
}

/// What planning returns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanOutput {
    /// The change in a few sentences.
    pub summary: String,
    /// How sure you are.
    pub confidence: ConfidenceOutput,
    /// Every file that will be touched; nothing else may be.
    pub files: Vec<PlannedFileOutput>,
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
}

/// How sure the planner is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfidenceOutput {
    /// Routine.
    High,
    /// Some of it is a guess.
    Medium,
    /// Read this plan with care.
    Low,
}

/// One file of the scope contract.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedFileOutput {
    /// Its path.
    pub path: String,
    /// What happens to it.
    pub action: ActionOutput,
    /// Why.
    pub why: String,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionOutput {
    /// It is made.
    Create,
    /// It is changed.
    Modify,
    /// It is removed.
    Delete,
}

impl Output for PlanOutput {}

impl PlanOutput {
    /// Becomes the body of a plan; `exists` says which files the repository has.
    pub fn into_domain(self, estimated_cost: Usd, exists: &dyn Fn(&RepoPath) -> bool) -> Result<PlanBody, String> {
        if self.files.is_empty() || self.steps.is_empty() {
            return Err("A plan names at least one file and one step.".to_owned());
        }
        let mut files: Vec<PlannedFile> = Vec::new();
        for file in self.files {
            let path = path(&file.path)?;
            let action = match file.action {
                ActionOutput::Create => FileAction::Create,
                ActionOutput::Modify => FileAction::Modify,
                ActionOutput::Delete => FileAction::Delete,
            };
            match (action, exists(&path)) {
                (FileAction::Create, true) => {
                    return Err(format!("`{path}` exists; its action is modify."));
                }
                (FileAction::Modify | FileAction::Delete, false) => {
                    return Err(format!("There is no file `{path}`."));
                }
                (FileAction::Create, false) | (FileAction::Modify | FileAction::Delete, true) => {}
            }
            if files.iter().any(|other| other.path == path) {
                return Err(format!("`{path}` is named twice."));
            }
            files.push(PlannedFile { path, action, why: file.why });
        }
        Ok(PlanBody {
            summary: filled("summary", &self.summary)?,
            confidence: match self.confidence {
                ConfidenceOutput::High => Confidence::High,
                ConfidenceOutput::Medium => Confidence::Medium,
                ConfidenceOutput::Low => Confidence::Low,
            },
            files,
            api_changes: self.api_changes,
            schema_changes: self.schema_changes,
            steps: self.steps,
            tests: self.tests,
            risks: self.risks,
            out_of_scope: self.out_of_scope,
            estimated_cost,
        })
    }
}

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
