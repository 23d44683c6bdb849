//! The tools of an agent: a few ways to read, and in changing stages a few ways to edit, the overlay.

use domain::path::RepoPath;
use engine::port::{ToolCall, ToolSpec};
use globset::GlobBuilder;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use workspace::Jail;

use crate::untrusted::verbatim;

/// Which tools exist in a stage. In a reading stage the writing ones are not there at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    /// None: everything is in the prompt.
    None,
    /// list, search, read.
    Read,
    /// Those, and edit, create, delete, rename.
    Write,
}

/// Most bytes of one tool's result.
const MAX_RESULT: usize = 30_000;
/// Most hits of one search.
const MAX_HITS: usize = 100;
/// Most paths of one list.
const MAX_PATHS: usize = 500;

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
    /// Whether the query is a regular expression; otherwise it is plain text in any case.
    regex: Option<bool>,
    /// Only in paths that match this glob.
    glob: Option<String>,
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
struct RenameInput {
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

/// The tools of a stage, always in the same order.
pub fn specs(tools: Tools) -> Vec<ToolSpec> {
    let mut all = Vec::new();
    if tools != Tools::None {
        all.push(spec::<ListInput>("list", "Lists the files of the repository, by a glob where one is given."));
        all.push(spec::<SearchInput>("search", "Finds lines in all files; gives path, line and text."));
        all.push(spec::<ReadInput>("read", "Reads a file with line numbers, whole or from start to end."));
    }
    if tools == Tools::Write {
        all.push(spec::<EditInput>("edit", "Replaces a text that occurs exactly once in a file."));
        all.push(spec::<CreateInput>("create", "Makes a new file."));
        all.push(spec::<DeleteInput>("delete", "Removes a file."));
        all.push(spec::<RenameInput>("rename", "Gives a file another path."));
    }
    all
}

fn input<T: for<'a> Deserialize<'a>>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("The input does not fit the schema: {error}"))
}

fn path(text: &str) -> Result<RepoPath, String> {
    RepoPath::parse(text).map_err(|error| error.to_string())
}

/// Runs one call; the error is written for the model.
pub(crate) fn run(tools: Tools, jail: &mut Jail, call: &ToolCall) -> Result<String, String> {
    let text = match (tools, call.name.as_str()) {
        (Tools::Read | Tools::Write, "list") => list(jail, &input(&call.input)?)?,
        (Tools::Read | Tools::Write, "search") => search(jail, &input(&call.input)?)?,
        (Tools::Read | Tools::Write, "read") => read(jail, &input(&call.input)?)?,
        (Tools::Write, "edit") => {
            let input: EditInput = input(&call.input)?;
            let line = jail.edit(&path(&input.path)?, &input.old, &input.new).map_err(|e| e.to_string())?;
            format!("Edited {} at line {line}.", input.path)
        }
        (Tools::Write, "create") => {
            let input: CreateInput = input(&call.input)?;
            jail.create(&path(&input.path)?, &input.content).map_err(|e| e.to_string())?;
            format!("Created {}.", input.path)
        }
        (Tools::Write, "delete") => {
            let input: DeleteInput = input(&call.input)?;
            jail.delete(&path(&input.path)?).map_err(|e| e.to_string())?;
            format!("Deleted {}.", input.path)
        }
        (Tools::Write, "rename") => {
            let input: RenameInput = input(&call.input)?;
            jail.rename(&path(&input.from)?, &path(&input.to)?).map_err(|e| e.to_string())?;
            format!("Renamed {} to {}.", input.from, input.to)
        }
        _ => {
            return Err(format!("There is no tool `{}` here.", call.name.chars().take(40).collect::<String>()));
        }
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
    let glob = input.glob.as_deref().map(|glob| GlobBuilder::new(glob).literal_separator(false).build());
    let glob =
        glob.transpose().map_err(|error| format!("The glob cannot be used: {error}"))?.map(|g| g.compile_matcher());
    let files: Vec<RepoPath> =
        jail.files().into_iter().filter(|path| glob.as_ref().is_none_or(|glob| glob.is_match(path.as_str()))).collect();
    let mut lines: Vec<String> = files.iter().take(MAX_PATHS).map(ToString::to_string).collect();
    if files.len() > MAX_PATHS {
        lines.push(format!("… and {} more", files.len() - MAX_PATHS));
    }
    Ok(if lines.is_empty() { "No file matches.".to_owned() } else { lines.join("\n") })
}

fn search(jail: &Jail, input: &SearchInput) -> Result<String, String> {
    let found = jail.search(&input.query, input.regex.unwrap_or(false), input.glob.as_deref(), MAX_HITS);
    let (hits, more) = found.map_err(|error| error.to_string())?;
    let mut lines: Vec<String> = hits.iter().map(|hit| format!("{}:{}: {}", hit.path, hit.line, hit.text)).collect();
    if more {
        lines.push(format!("… more than {MAX_HITS} lines match; narrow the search"));
    }
    Ok(if lines.is_empty() { "No line matches.".to_owned() } else { verbatim("repository", &lines.join("\n")) })
}

fn read(jail: &Jail, input: &ReadInput) -> Result<String, String> {
    let path = path(&input.path)?;
    let text = jail.read(&path).map_err(|error| error.to_string())?;
    let start = input.start.unwrap_or(1).max(1);
    let end = input.end.unwrap_or(usize::MAX);
    let lines = text.lines().enumerate().skip(start - 1).take_while(|(at, _)| *at < end);
    let numbered: Vec<String> = lines.map(|(at, line)| format!("{:>5}  {line}", at + 1)).collect();
    Ok(verbatim(path.as_str(), &numbered.join("\n")))
}
