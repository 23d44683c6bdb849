//! The loop as turns: each takes the model's answer, runs its tools, and asks again or is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Timestamp;
use domain::artifact::Answered;
use domain::change_set::FileChange;
use domain::error::{Failure, Fault};
use domain::hash::ContentHash;
use domain::input::Outcome;
use domain::name::ModelName;
use domain::path::RepoPath;
use domain::policy::ModelRole;
use engine::Engine;
use engine::port::{Block, ModelAnswer, ModelRequest, SourceTree, Stop, ToolCall, ToolResult, Utterance};
use engine::stage::{Turn, TurnInput};
use serde::{Deserialize, Serialize};
use workspace::Jail;

use crate::output::Output;
use crate::prompt::SYSTEM;
use crate::question::{self, Asking};
use crate::stuck::Trail;
use crate::tool::{self, ASK, FINISH, Tools};
use crate::{price, sound};

/// Most tokens of one answer.
const MAX_TOKENS: u32 = 16_000;
/// Most calls that are carried out of one answer.
const MAX_CALLS: usize = 64;
/// Most bytes of the results of one answer.
const MAX_RESULTS: usize = 200_000;
/// How often an answer that cannot be used is sent back before the run fails.
const MAX_INVALID: u32 = 2;

/// Where a run stands: the transcript, byte for byte, the overlay, and what the run took so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The conversation so far, ours last.
    pub messages: Vec<Utterance>,
    /// The overlay.
    pub changes: BTreeMap<RepoPath, FileChange>,
    /// Turns since the run began, or since people let it go on.
    pub turns: u32,
    /// Answers in a row that could not be used.
    pub invalid: u32,
    /// Tokens read and written since then.
    #[serde(default)]
    pub tokens: u64,
    /// When that was.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// The ticket's run then; another one means that people held it up in between, whose time is not the run's.
    #[serde(default)]
    pub run: u64,
    /// What the last turns did, to notice going round in circles.
    #[serde(default)]
    pub trail: Trail,
    /// The change whose syntax was doubted; handing it in unchanged insists on it.
    #[serde(default)]
    pub doubted: Option<ContentHash>,
    /// What people were asked; its answer goes on from here.
    #[serde(default)]
    pub asking: Option<Asking>,
    /// What people were asked and answered so far.
    #[serde(default)]
    pub told: Vec<Answered>,
}

/// What one run is to do.
pub struct Task<'a, T, D> {
    /// What the model is used for; decides which model.
    pub role: ModelRole,
    /// Which tools exist.
    pub tools: Tools,
    /// What the conversation opens with.
    pub opening: Vec<Block>,
    /// What the overlay starts with.
    pub changes: BTreeMap<RepoPath, FileChange>,
    /// Checks what the model handed in, and the overlay; the error is written for the model.
    pub check: &'a (dyn Fn(T, &Jail) -> Result<D, String> + Send + Sync),
}

/// Where a turn of the loop got.
pub enum Step<D> {
    /// The model or people are asked, or the run is at a limit.
    Turn(Box<Turn>),
    /// The model handed in what the check accepted.
    Done(Box<(D, Jail)>),
}

/// What an answer led to.
enum Taken<D> {
    Done(D),
    Ask,
    Question(question::Question),
}

/// Takes one turn.
pub async fn step<T: Output, D>(
    engine: &Engine,
    task: &Task<'_, T, D>,
    base: Arc<dyn SourceTree>,
    input: &TurnInput,
) -> Result<Step<D>, Failure> {
    let mut state = opened(task, input)?;
    if state.run != input.ticket.run || state.since.is_none() {
        (state.run, state.since) = (input.ticket.run, Some(input.now));
    }
    let mut jail = Jail::new(base, state.changes.clone());
    if let Some(asking) = state.asking.take() {
        let (blocks, answered) = asking.answered(input.reply.as_deref());
        state.messages.push(Utterance::User { blocks });
        state.told.push(answered);
    }
    let taken = match &input.answer {
        Some(answer) => take(task, answer, &mut state, &mut jail)?,
        None => Taken::Ask,
    };
    state.changes.clone_from(jail.changes());
    match taken {
        Taken::Done(done) => Ok(Step::Done(Box::new((done, jail)))),
        Taken::Question(question) => {
            let checkpoint = engine.blobs.put(&input.ctx, &stored(&state)?).await?;
            question::put(engine, input, &question, checkpoint).await.map(|turn| Step::Turn(Box::new(turn)))
        }
        Taken::Ask => match over_limit(&state, input) {
            Some(what) => {
                (state.turns, state.tokens, state.since) = (0, 0, None);
                let checkpoint = engine.blobs.put(&input.ctx, &stored(&state)?).await?;
                Ok(Step::Turn(Box::new(Turn::done(Outcome::OverLimit { what, checkpoint }, Vec::new()))))
            }
            None => ask::<T, D>(engine, task, &state, input).map(|turn| Step::Turn(Box::new(turn))),
        },
    }
}

fn opened<T, D>(task: &Task<'_, T, D>, input: &TurnInput) -> Result<Checkpoint, Failure> {
    match &input.checkpoint {
        Some(bytes) => {
            serde_json::from_slice(bytes).map_err(|_| Failure::new(Fault::Bug, "a checkpoint cannot be read"))
        }
        None => Ok(Checkpoint {
            messages: vec![Utterance::User { blocks: task.opening.clone() }],
            changes: task.changes.clone(),
            ..Checkpoint::default()
        }),
    }
}

fn stored(state: &Checkpoint) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(state).map_err(|_| Failure::new(Fault::Bug, "a checkpoint cannot be stored"))
}

/// What the run took, if that is as much as the policy gives it.
fn over_limit(state: &Checkpoint, input: &TurnInput) -> Option<String> {
    let policy = &input.policy;
    if state.turns >= policy.max_turns {
        return Some(format!("the work took {} turns, the most one run has", state.turns));
    }
    if state.tokens >= u64::from(policy.max_tokens) {
        return Some(format!("the work took {} tokens; the most one run has is {}", state.tokens, policy.max_tokens));
    }
    let minutes = input.now.duration_since(state.since?).as_mins();
    let over = minutes >= i64::from(policy.max_minutes);
    over.then(|| format!("the work took {minutes} minutes; the most one run has is {}", policy.max_minutes))
}

/// Works on an answer.
fn take<T: Output, D>(
    task: &Task<'_, T, D>,
    answer: &ModelAnswer,
    state: &mut Checkpoint,
    jail: &mut Jail,
) -> Result<Taken<D>, Failure> {
    state.turns += 1;
    state.tokens += answer.usage.total_input() + answer.usage.output;
    match &answer.stop {
        Stop::EndTurn | Stop::ToolUse | Stop::MaxTokens => {}
        Stop::Refusal => return Err(Failure::new(Fault::Invalid, "the model declined to work on this ticket")),
        Stop::ContextFull => return anew(state, jail).map(|()| Taken::Ask),
        Stop::Other(why) => {
            let say = format!("the model stopped for a reason that this version does not know: `{why}`");
            return Err(Failure::new(Fault::Invalid, say));
        }
    }
    let silent = answer.opaque.trim() == "[]";
    if !silent {
        state.messages.push(Utterance::Assistant { opaque: answer.opaque.clone() });
    }
    let mut turn = calls(task, &answer.calls, state, jail);
    if let Some(done) = turn.done.take() {
        return Ok(Taken::Done(done));
    }
    if answer.stop == Stop::MaxTokens {
        turn.say("Your answer was cut off. Go on in smaller steps, and end with `finish`.");
    } else if answer.calls.is_empty() {
        turn.say("Use the tools, and end by calling `finish`.");
    }
    match turn.problem.take() {
        None => state.invalid = 0,
        Some(problem) if state.invalid == MAX_INVALID => {
            let said = format!("the model's result could not be used, also after {MAX_INVALID} corrections: {problem}");
            return Err(Failure::new(Fault::Invalid, said));
        }
        Some(_) => state.invalid += 1,
    }
    if let Some(say) = state.trail.follow(&answer.calls, &turn.blocks)? {
        turn.blocks.push(Block::Text { text: say.to_owned() });
    }
    if let Some((id, question)) = turn.question {
        state.asking = Some(Asking { id, blocks: turn.blocks, question: question.text().to_owned() });
        return Ok(Taken::Question(question));
    }
    match state.messages.last_mut() {
        // Nothing was said that could be answered: two messages of ours in a row would be none.
        Some(Utterance::User { blocks }) if silent => blocks.extend(turn.blocks),
        _ => state.messages.push(Utterance::User { blocks: turn.blocks }),
    }
    Ok(Taken::Ask)
}

/// The model's context is full: a new conversation begins with the task and the change so far.
fn anew(state: &mut Checkpoint, jail: &Jail) -> Result<(), Failure> {
    let Some(Utterance::User { blocks }) = state.messages.first().filter(|_| state.messages.len() > 1) else {
        return Err(Failure::new(Fault::Invalid, "the task does not fit into the model's context; use another model"));
    };
    // The task and its images; what was said when the one before began anew goes.
    let task = blocks.iter().enumerate().filter(|(at, block)| *at == 0 || matches!(block, Block::Image(_)));
    let mut blocks: Vec<Block> = task.map(|(_, block)| block.clone()).collect();
    let change_set = jail.change_set().map_err(|error| Failure::new(Fault::Bug, error.to_string()))?;
    let diff = workspace::diff(jail.base().as_ref(), &change_set);
    blocks.push(Block::Text { text: crate::prompt::going_on(&diff, &state.told) });
    state.messages = vec![Utterance::User { blocks }];
    state.trail = Trail::default();
    Ok(())
}

/// What the calls of one answer gave.
struct Made<D> {
    blocks: Vec<Block>,
    length: usize,
    problem: Option<String>,
    question: Option<(String, question::Question)>,
    done: Option<D>,
}

impl<D> Made<D> {
    fn result(&mut self, call: &ToolCall, result: Result<String, String>) {
        let left = MAX_RESULTS.saturating_sub(self.length);
        let result = match result {
            Ok(text) if tool::reads(&call.name) && text.len() > left => {
                Err("The results of this answer are too long together; ask for this one again.".to_owned())
            }
            result => result,
        };
        let is_error = result.is_err();
        let text = result.unwrap_or_else(|error| error);
        self.length += text.len();
        self.blocks.push(Block::Result(ToolResult { id: call.id.clone(), text, is_error }));
    }

    fn say(&mut self, text: &str) {
        self.problem = Some(text.to_owned());
        self.blocks.push(Block::Text { text: text.to_owned() });
    }
}

/// Runs the calls of one answer: neighbouring reads at once, everything else one by one, every call with one result.
fn calls<T: Output, D>(task: &Task<'_, T, D>, calls: &[ToolCall], state: &mut Checkpoint, jail: &mut Jail) -> Made<D> {
    let mut made = Made { blocks: Vec::new(), length: 0, problem: None, question: None, done: None };
    let (mut rest, late) = calls.split_at(calls.len().min(MAX_CALLS));
    while let Some(call) = rest.first() {
        let reads = rest.iter().take_while(|call| tool::reads(&call.name)).count();
        if reads > 1 {
            let (now, then) = rest.split_at(reads);
            for (call, result) in now.iter().zip(tool::run_at_once(task.tools, jail, now)) {
                made.result(call, result);
            }
            rest = then;
            continue;
        }
        let result = match call.name.as_str() {
            FINISH => match finish(task, call, state, jail) {
                Ok(done) => {
                    made.done = Some(done);
                    return made;
                }
                Err(error) => {
                    made.problem = error.counts.then(|| error.text.clone());
                    Err(error.text)
                }
            },
            ASK if task.tools.asks() => match question::read(&call.input, state.told.len(), made.question.is_some()) {
                Ok(question) => {
                    made.question = Some((call.id.clone(), question));
                    Ok(String::new())
                }
                Err(error) => Err(error),
            },
            _ => tool::run(task.tools, jail, call),
        };
        made.result(call, result);
        rest = rest.get(1..).unwrap_or_default();
    }
    for call in late {
        made.result(call, Err(format!("Only {MAX_CALLS} calls of one answer are carried out; make this one again.")));
    }
    made
}

/// Why what was handed in is not taken.
struct Refused {
    text: String,
    /// Whether it counts against the run.
    counts: bool,
}

fn finish<T: Output, D>(
    task: &Task<'_, T, D>,
    call: &ToolCall,
    state: &mut Checkpoint,
    jail: &Jail,
) -> Result<D, Refused> {
    let refused = |text| Refused { text, counts: true };
    let output = T::parse(&call.input).map_err(refused)?;
    let change = ContentHash::of_json(jail.changes());
    if state.doubted.as_ref() != Some(&change)
        && let Some(text) = sound::problem(jail)
    {
        state.doubted = Some(change);
        return Err(Refused { text, counts: false });
    }
    (task.check)(output, jail).map_err(refused)
}

fn ask<T: Output, D>(
    engine: &Engine,
    task: &Task<'_, T, D>,
    state: &Checkpoint,
    input: &TurnInput,
) -> Result<Turn, Failure> {
    let named = input.ticket.model.as_ref().or_else(|| input.policy.models.get(&task.role));
    let model: Option<ModelName> = named.or(engine.model.as_ref()).cloned();
    let request = ModelRequest {
        model,
        system: SYSTEM.to_owned(),
        tools: tool::specs(task.tools, T::schema()),
        max_tokens: MAX_TOKENS,
        messages: state.messages.clone(),
    };
    let reserve = price::most(&request);
    Ok(Turn::Ask { request: Box::new(request), reserve, checkpoint: stored(state)? })
}
