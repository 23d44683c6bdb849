//! A question to people in the middle of a run: the run stops there and goes on with their answer.

use domain::artifact::{Answer, Answered, ArtifactRef, Question as Asked, Questions};
use domain::error::Failure;
use domain::hash::ContentHash;
use domain::input::Outcome;
use engine::port::Block;
use engine::stage::{Turn, TurnInput};
use engine::{Engine, artifact};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::untrusted::untrusted;

/// Most questions of one run.
const MAX_ASKED: usize = 3;
/// Longest question or default, in bytes.
const MAX_TEXT: usize = 2_000;

/// Asks people one question.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// The question; what is different for which answer.
    question: String,
    /// What is assumed when nobody answers.
    default: String,
}

/// A question that waits, with the results that its answer will be sent together with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// The call that asked.
    pub(crate) id: String,
    /// The results of its turn; the one of the call itself is still empty.
    pub(crate) blocks: Vec<Block>,
    /// The question.
    #[serde(default)]
    pub(crate) question: String,
}

impl Question {
    pub(crate) fn text(&self) -> &str {
        self.question.trim()
    }
}

impl Asking {
    /// The results with the answer in its place, and what was asked and answered.
    pub(crate) fn answered(self, answers: Option<&[Answer]>) -> (Vec<Block>, Answered) {
        let said: Vec<&str> = answers.unwrap_or_default().iter().map(|answer| answer.text.as_str()).collect();
        let answered = Answered { question: self.question, answer: said.join("\n") };
        let said = match said.as_slice() {
            [] => "Nobody answered; take the default.".to_owned(),
            _ => untrusted("answer", &answered.answer),
        };
        let mut blocks = self.blocks;
        for block in &mut blocks {
            if let Block::Result(result) = block
                && result.id == self.id
            {
                result.text.clone_from(&said);
            }
        }
        (blocks, answered)
    }
}

/// Reads a question; the error is written for the model.
pub(crate) fn read(input: &Value, asked: usize, already: bool) -> Result<Question, String> {
    let question: Question =
        serde_json::from_value(input.clone()).map_err(|error| format!("The input does not fit the schema: {error}"))?;
    if already {
        return Err("Ask one question at a time.".to_owned());
    }
    if asked >= MAX_ASKED {
        return Err(format!("People were asked {MAX_ASKED} times already; decide yourself, and say what you assumed."));
    }
    let texts = [&question.question, &question.default];
    if texts.iter().any(|text| text.trim().is_empty() || text.len() > MAX_TEXT) {
        return Err(format!("`question` and `default` must have 1 to {MAX_TEXT} bytes."));
    }
    Ok(question)
}

/// Stores a question for people, and where the run goes on.
pub(crate) async fn put(
    engine: &Engine,
    input: &TurnInput,
    question: &Question,
    checkpoint: ContentHash,
) -> Result<Turn, Failure> {
    let ticket = &input.ticket;
    let stage = ticket.state.stage().map_or("work", domain::state::Stage::as_str);
    // The next conversation is told of every answer, not of the last ones alone.
    let mut answered = Vec::new();
    if let (Some(asked), Some(answers)) = (&ticket.questions, &ticket.answers) {
        let before: Questions = artifact::load(engine, &input.ctx, &asked.hash).await?;
        let answers: Vec<Answer> = artifact::load(engine, &input.ctx, &answers.hash).await?;
        answered = before.with_answers(&answers);
    }
    let questions = Questions {
        answered,
        understanding: format!("Something came up in the middle of the work ({stage}); it goes on with your answer."),
        questions: vec![Asked {
            number: 1,
            category: stage.to_owned(),
            text: question.text().to_owned(),
            default: question.default.trim().to_owned(),
            options: Vec::new(),
        }],
    };
    let hash = artifact::store(engine, &input.ctx, &questions).await?;
    let version = ticket.next_questions();
    let questions = ArtifactRef { version, hash, changed: String::new() };
    let row = artifact::row(&input.ctx, &ticket.id, "QUESTION", &questions, input.now);
    Ok(Turn::done(Outcome::FollowUp { questions, checkpoint }, vec![row]))
}
