//! The tools of an agent: a few ways to read, and in changing stages a few ways to edit, the overlay.

use domain::path::RepoPath;
use engine::port::{ToolCall, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use workspace::Jail;

use crate::question::Question;
use crate::untrusted::verbatim;

/// Which tools exist in a stage. In a reading stage the writing ones are not there at all; `finish` always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    /// None: everything is in the prompt.
    None,
    /// list, search, read.
    Read,
    /// Those, and ask.
    ReadAndAsk,
    /// Those, and edit, create, delete, move.
    Write,
}

/// Hands in the result.
pub(crate) const FINISH: &str = "finish";
/// Asks people.
pub(crate) const ASK: &str = "ask";

impl Tools {
    /// Whether people can be asked.
    pub(crate) fn asks(self) -> bool {
        matches!(self, Self::ReadAndAsk | Self::Write)
    }
}

/// Most bytes of one tool's result.
const MAX_RESULT: usize = 30_000;
/// Most hits of one search.
const MAX_HITS: usize = 100;
/// Most paths of one list.
const MAX_PATHS: usize = 500;
/// Most bytes that are parsed for one search of a definition.
const MAX_PARSED: usize = 2 * 1024 * 1024;
/// Most calls that run at once.
const AT_ONCE: usize = 4;

/// Lists files, by a glob such as `src/**/*.rs` where one is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListInput {
    /// Only paths that match this glob.
    glob: Option<String>,
}

/// Finds lines in all files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchInput {
    /// What to look for.
    query: String,
    /// text (in any case, the default), regex, or symbol: where something of that name is defined.
    kind: Option<SearchKind>,
    /// Only in paths that match this glob.
    glob: Option<String>,
    /// Most hits; at most 100.
    max: Option<usize>,
}

/// How a query is meant.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SearchKind {
    /// Plain text.
    Text,
    /// A regular expression.
    Regex,
    /// The name of a definition.
    Symbol,
}

/// Reads a file, or some of its lines.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadInput {
    /// The file.
    path: String,
    /// First line, counted from 1.
    start: Option<usize>,
    /// Last line.
    end: Option<usize>,
}

/// Replaces a text that occurs exactly once in a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EditInput {
    /// The file.
    path: String,
    /// The text as it is, without line numbers, long enough to be unique.
    old: String,
    /// The text as it will be.
    new: String,
}

/// Makes a new file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateInput {
    /// The file.
    path: String,
    /// Its whole content.
    content: String,
}

/// Removes a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteInput {
    /// The file.
    path: String,
}

/// Gives a file another path.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MoveInput {
    /// The file.
    from: String,
    /// Its new path.
    to: String,
}

fn spec<T: JsonSchema>(name: &str, description: &str) -> ToolSpec {
    let mut input = schemars::schema_for!(T).to_value();
    if let Some(object) = input.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
        object.remove("description");
    }
    ToolSpec { name: name.to_owned(), description: description.to_owned(), input }
}

/// The tools of a stage, always in the same order; `output` is the schema of what it hands in.
pub fn specs(tools: Tools, output: Value) -> Vec<ToolSpec> {
    let mut all = Vec::new();
    if tools != Tools::None {
        all.push(spec::<ListInput>("list", "Lists the files of the repository, by a glob where one is given."));
        all.push(spec::<SearchInput>(
            "search",
            "Finds lines in all files, or definitions by name; gives path, line and text.",
        ));
        all.push(spec::<ReadInput>("read", "Reads a file with line numbers, whole or from start to end."));
    }
    if tools == Tools::Write {
        all.push(spec::<EditInput>("edit", "Replaces a text that occurs exactly once in a file."));
        all.push(spec::<CreateInput>("create", "Makes a new file."));
        all.push(spec::<DeleteInput>("delete", "Removes a file."));
        all.push(spec::<MoveInput>("move", "Gives a file another path."));
    }
    if tools.asks() {
        let what = "Asks people one question and waits for their answer. Only if the answer changes what you do and nothing here gives it.";
        all.push(spec::<Question>(ASK, what));
    }
    let what = "Hands in the result and ends the task.".to_owned();
    all.push(ToolSpec { name: FINISH.to_owned(), description: what, input: output });
    all
}

/// Whether a tool only reads, so that neighbouring calls of such tools can run at once.
pub(crate) fn reads(name: &str) -> bool {
    matches!(name, "list" | "search" | "read")
}

/// Runs calls that only read, each on a thread of its own; the results are in the order of the calls.
pub(crate) fn run_at_once(tools: Tools, jail: &Jail, calls: &[ToolCall]) -> Vec<Result<String, String>> {
    let at_once = |calls: &[ToolCall]| {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                calls.iter().map(|call| scope.spawn(move || run_reading(tools, jail, call))).collect();
            let broken = || Err("The tool broke off; ask for less.".to_owned());
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| broken())).collect::<Vec<_>>()
        })
    };
    calls.chunks(AT_ONCE).flat_map(at_once).collect()
}

/// Runs a call that only reads.
fn run_reading(tools: Tools, jail: &Jail, call: &ToolCall) -> Result<String, String> {
    let text = match call.name.as_str() {
        _ if tools == Tools::None => return Err(unknown(call)),
        "list" => list(jail, &input(&call.input)?)?,
        "search" => search(jail, &input(&call.input)?)?,
        "read" => read(jail, &input(&call.input)?)?,
        _ => return Err(unknown(call)),
    };
    Ok(capped(text))
}

fn unknown(call: &ToolCall) -> String {
    format!("There is no tool `{}` here.", call.name.chars().take(40).collect::<String>())
}

fn input<T: for<'a> Deserialize<'a>>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("The input does not fit the schema: {error}"))
}

fn path(text: &str) -> Result<RepoPath, String> {
    RepoPath::parse(text).map_err(|error| error.to_string())
}

/// Runs one call; the error is written for the model.
pub(crate) fn run(tools: Tools, jail: &mut Jail, call: &ToolCall) -> Result<String, String> {
    if tools != Tools::Write || reads(&call.name) {
        return run_reading(tools, jail, call);
    }
    let text = match call.name.as_str() {
        "edit" => {
            let input: EditInput = input(&call.input)?;
            let line = jail.edit(&path(&input.path)?, &input.old, &input.new).map_err(|e| e.to_string())?;
            format!("Edited {} at line {line}.", input.path)
        }
        "create" => {
            let input: CreateInput = input(&call.input)?;
            jail.create(&path(&input.path)?, &input.content).map_err(|e| e.to_string())?;
            format!("Created {}.", input.path)
        }
        "delete" => {
            let input: DeleteInput = input(&call.input)?;
            jail.delete(&path(&input.path)?).map_err(|e| e.to_string())?;
            format!("Deleted {}.", input.path)
        }
        "move" => {
            let input: MoveInput = input(&call.input)?;
            jail.rename(&path(&input.from)?, &path(&input.to)?).map_err(|e| e.to_string())?;
            format!("Moved {} to {}.", input.from, input.to)
        }
        _ => return Err(unknown(call)),
    };
    Ok(capped(text))
}

/// Keeps the head and the tail of what is too long.
fn capped(text: String) -> String {
    if text.len() <= MAX_RESULT {
        return text;
    }
    let head = text.floor_char_boundary(MAX_RESULT * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - MAX_RESULT / 3);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or("").to_owned();
    format!("{}\n… {} bytes left out; ask for less …\n{}", part(0..head), tail - head, part(tail..text.len()))
}

fn list(jail: &Jail, input: &ListInput) -> Result<String, String> {
    let files = jail.files_in(input.glob.as_deref()).map_err(|error| error.to_string())?;
    let mut lines: Vec<String> = files.iter().take(MAX_PATHS).map(ToString::to_string).collect();
    if files.len() > MAX_PATHS {
        lines.push(format!("… and {} more", files.len() - MAX_PATHS));
    }
    Ok(if lines.is_empty() { "No file matches.".to_owned() } else { verbatim("repository", &lines.join("\n")) })
}

fn search(jail: &Jail, input: &SearchInput) -> Result<String, String> {
    let most = input.max.unwrap_or(MAX_HITS).clamp(1, MAX_HITS);
    let kind = input.kind.unwrap_or(SearchKind::Text);
    let mut lines =
        if kind == SearchKind::Symbol { definitions(jail, input, most + 1)? } else { matching(jail, input, most + 1)? };
    if lines.len() > most {
        lines.truncate(most);
        lines.push(format!("… more than {most} lines match; narrow the search"));
    }
    Ok(if lines.is_empty() { "No line matches.".to_owned() } else { verbatim("repository", &lines.join("\n")) })
}

fn matching(jail: &Jail, input: &SearchInput, most: usize) -> Result<Vec<String>, String> {
    let regex = input.kind == Some(SearchKind::Regex);
    let found = jail.search(&input.query, regex, input.glob.as_deref(), most).map_err(|error| error.to_string())?;
    Ok(found.0.iter().map(|hit| format!("{}:{}: {}", hit.path, hit.line, hit.text)).collect())
}

/// Where a name is defined: exact matches first, then names that have it in them.
fn definitions(jail: &Jail, input: &SearchInput, most: usize) -> Result<Vec<String>, String> {
    let wanted = input.query.trim().rsplit(['.', ':', '#']).next().unwrap_or("").to_lowercase();
    if wanted.is_empty() {
        return Err("`query` must be a name.".to_owned());
    }
    let (mut exact, mut partly) = (Vec::new(), Vec::new());
    let files = jail.files_in(input.glob.as_deref()).map_err(|error| error.to_string())?;
    let (mut left, mut looked) = (MAX_PARSED, true);
    for path in files.into_iter().filter(|path| context::is_outlined(path.as_str())) {
        let Ok(text) = jail.read(&path) else { continue };
        if !text.to_lowercase().contains(&wanted) {
            continue;
        }
        if left < text.len() || exact.len() >= most {
            looked = false;
            break;
        }
        left -= text.len();
        for symbol in context::outline(path.as_str(), &text) {
            let name = symbol.name.to_lowercase();
            let line = format!("{path}:{}: {}", symbol.line, symbol.signature);
            if name == wanted {
                exact.push(line);
            } else if partly.len() < most && name.contains(&wanted) {
                partly.push(line);
            }
        }
    }
    exact.extend(partly);
    exact.truncate(most);
    if !looked && exact.len() < most {
        exact.push("… not every file was looked at; narrow the search with a glob".to_owned());
    }
    Ok(exact)
}

fn read(jail: &Jail, input: &ReadInput) -> Result<String, String> {
    let path = path(&input.path)?;
    let text = jail.read(&path).map_err(|error| error.to_string())?;
    let start = input.start.unwrap_or(1).max(1);
    let end = input.end.unwrap_or(usize::MAX);
    let lines = text.lines().enumerate().skip(start - 1).take_while(|(at, _)| *at < end);
    let numbered = context::numbered(lines);
    Ok(verbatim(path.as_str(), numbered.strip_suffix('\n').unwrap_or(&numbered)))
}
