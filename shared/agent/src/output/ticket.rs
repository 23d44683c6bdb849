//! What the stages before the change return: analysis, refined ticket, plan.

use domain::artifact::{
    Analysis, Confidence, Criterion, FileAction, PlanBody, PlannedFile, Priority, Question, Questions, Refinement,
};
use domain::money::Usd;
use domain::path::RepoPath;
use domain::ticket::TicketText;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::output::{Output, filled, path};

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
        let asked = (!questions.is_empty()).then(|| Questions {
            understanding: understanding.clone(),
            questions,
            answered: Vec::new(),
        });
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
        if title.chars().count() > TicketText::MAX_TITLE || title.contains('\n') {
            return Err("`title` must be one line of at most 256 characters.".to_owned());
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
