//! The loop as turns: each takes the model's answer, runs its tools, and asks again or is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::change_set::FileChange;
use domain::error::{Failure, Fault};
use domain::name::ModelName;
use domain::path::RepoPath;
use domain::policy::ModelRole;
use engine::port::{Block, ModelAnswer, ModelRequest, SourceTree, Stop, ToolResult, ToolSpec, Utterance};
use engine::stage::{Turn, TurnInput};
use serde::{Deserialize, Serialize};
use workspace::Jail;

use crate::output::Output;
use crate::price;
use crate::prompt::SYSTEM;
use crate::tool::{Tools, run, specs};

/// Most tokens of one answer.
const MAX_TOKENS: u32 = 16_000;
/// Most turns of one run.
const MAX_TURNS: u32 = 60;
/// How often an answer that cannot be used is sent back before the run fails.
const MAX_INVALID: u32 = 2;

/// Where a run stands: the transcript, byte for byte, and the overlay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The conversation so far, ours last.
    pub messages: Vec<Utterance>,
    /// The overlay.
    pub changes: BTreeMap<RepoPath, FileChange>,
    /// Turns taken.
    pub turns: u32,
    /// Answers in a row that could not be used.
    pub invalid: u32,
}

/// What one run is to do.
pub struct Task<'a, T, D> {
    /// What the model is used for; decides which model.
    pub role: ModelRole,
    /// Which tools exist.
    pub tools: Tools,
    /// The filled prompt.
    pub prompt: String,
    /// What the overlay starts with.
    pub changes: BTreeMap<RepoPath, FileChange>,
    /// Checks what the model submitted, and the overlay; the error is written for the model.
    pub check: &'a (dyn Fn(T, &Jail) -> Result<D, String> + Send + Sync),
}

/// Where a turn of the loop got.
pub enum Step<D> {
    /// The model is asked.
    Ask(Box<Turn>),
    /// The model submitted what the check accepted.
    Done(Box<(D, Jail)>),
}

/// Takes one turn.
pub fn step<T: Output, D>(
    task: &Task<'_, T, D>,
    base: Arc<dyn SourceTree>,
    input: &TurnInput,
) -> Result<Step<D>, Failure> {
    let mut state = match &input.checkpoint {
        Some(bytes) => {
            serde_json::from_slice(bytes).map_err(|_| Failure::new(Fault::Bug, "a checkpoint cannot be read"))?
        }
        None => Checkpoint {
            messages: vec![Utterance::User { blocks: vec![Block::Text { text: task.prompt.clone() }] }],
            changes: task.changes.clone(),
            turns: 0,
            invalid: 0,
        },
    };
    let mut jail = Jail::new(base, state.changes.clone());
    if let Some(answer) = &input.answer
        && let Some(done) = take(task, answer, &mut state, &mut jail)?
    {
        return Ok(Step::Done(Box::new((done, jail))));
    }
    state.changes.clone_from(jail.changes());
    ask(task, &state, input).map(|turn| Step::Ask(Box::new(turn)))
}

/// Works on an answer; gives the result if that ends the run.
fn take<T: Output, D>(
    task: &Task<'_, T, D>,
    answer: &ModelAnswer,
    state: &mut Checkpoint,
    jail: &mut Jail,
) -> Result<Option<D>, Failure> {
    state.turns += 1;
    if answer.stop == Stop::Refusal {
        return Err(Failure::new(Fault::Invalid, "the model declined to work on this ticket"));
    }
    if state.turns > MAX_TURNS {
        return Err(Failure::new(
            Fault::Invalid,
            format!("the model did not finish in {MAX_TURNS} turns; a smaller ticket may help"),
        ));
    }
    state.messages.push(Utterance::Assistant { opaque: answer.opaque.clone() });
    let mut blocks = Vec::new();
    let mut problem: Option<String> = None;
    for call in &answer.calls {
        let result = if call.name == "submit" {
            match T::parse(&call.input).and_then(|output| (task.check)(output, jail)) {
                Ok(done) => return Ok(Some(done)),
                Err(error) => {
                    problem = Some(error.clone());
                    Err(error)
                }
            }
        } else {
            run(task.tools, jail, call)
        };
        let is_error = result.is_err();
        let text = result.unwrap_or_else(|error| error);
        blocks.push(Block::Result(ToolResult { id: call.id.clone(), text, is_error }));
    }
    if answer.calls.is_empty() {
        let say = match &answer.stop {
            Stop::MaxTokens => "Your answer was cut off. Go on in smaller steps, and finish with `submit`.",
            Stop::EndTurn | Stop::ToolUse | Stop::Refusal | Stop::Other(_) => "Finish by calling the tool `submit`.",
        };
        problem = Some(say.to_owned());
        blocks.push(Block::Text { text: say.to_owned() });
    }
    match problem {
        None => state.invalid = 0,
        Some(problem) if state.invalid == MAX_INVALID => {
            let said = format!("the model's result could not be used, also after {MAX_INVALID} corrections: {problem}");
            return Err(Failure::new(Fault::Invalid, said));
        }
        Some(_) => state.invalid += 1,
    }
    state.messages.push(Utterance::User { blocks });
    Ok(None)
}

fn ask<T: Output, D>(task: &Task<'_, T, D>, state: &Checkpoint, input: &TurnInput) -> Result<Turn, Failure> {
    let mut tools = specs(task.tools);
    tools.push(ToolSpec {
        name: "submit".to_owned(),
        description: "Hands in the result and ends the task.".to_owned(),
        input: T::schema(),
    });
    let model: Option<ModelName> = input.ticket.model.clone().or_else(|| input.policy.models.get(&task.role).cloned());
    let request = ModelRequest {
        model,
        system: SYSTEM.to_owned(),
        tools,
        max_tokens: MAX_TOKENS,
        messages: state.messages.clone(),
    };
    let reserve = price::most(&request);
    let checkpoint =
        serde_json::to_vec(state).map_err(|_| Failure::new(Fault::Bug, "a checkpoint cannot be stored"))?;
    Ok(Turn::Ask { request: Box::new(request), reserve, checkpoint })
}
