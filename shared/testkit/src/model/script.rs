//! What the scripted model answers to each task.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::edit::edits;
use crate::model::instruction::{Instruction, instructions, left_alone};
use crate::model::wire::{Call, Request};

/// Lines of a file that are read at once.
const CHUNK: usize = 400;

/// Answers a request, or says why it was not expected.
pub(crate) fn answer(request: &Request, number: usize) -> Result<Value, String> {
    let task = request.task();
    let told = Told::from(task);
    let blocks = match task.lines().next().unwrap_or("") {
        line if line.starts_with("Task: understand") => Ok(analyze(request, &told)),
        line if line.starts_with("Task: write the refined") => Ok(refine(&told)),
        line if line.starts_with("Task: write the plan") => Ok(plan(request, &told)),
        line if line.starts_with("Task: carry out") => change(request, &told, &told.planned, None),
        line if line.starts_with("Task: judge") => Ok(review(&told)),
        line if line.starts_with("Task: work through") => change(request, &told, &told.planned, Some(&told.threads)),
        line => return Err(format!("a task the script does not know: {line}")),
    };
    let mut blocks = blocks?;
    for (at, block) in blocks.iter_mut().enumerate() {
        if let Some(object) = block.as_object_mut().filter(|object| object.get("type") == Some(&json!("tool_use"))) {
            object.insert("id".to_owned(), json!(format!("toolu_{number:06}_{at}")));
        }
    }
    Ok(Value::Array(blocks))
}

/// What the task says, taken apart.
struct Told {
    title: String,
    instructions: Vec<Instruction>,
    left_alone: Vec<String>,
    planned: Vec<String>,
    threads: Vec<(String, String)>,
    diff: String,
}

impl Told {
    fn from(task: &str) -> Self {
        let ticket = part(task, "ticket");
        let person = part(task, "person");
        let review = part(task, "pull-request");
        let revising = task.starts_with("Task: work through");
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let plan = json(&part(task, "plan"));
        let batch = json(&review);
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let threads: Vec<(String, String)> =
            list(&batch, "threads").iter().map(|t| (text(t, "id"), text(t, "body"))).collect();
        let source = if revising {
            let bodies: Vec<&str> = threads.iter().map(|(_, body)| body.as_str()).collect();
            format!("{}\n{}\n{person}", text(&batch, "body"), bodies.join("\n"))
        } else {
            format!("{ticket}\n{person}")
        };
        Self {
            title: ticket.lines().next().unwrap_or("").to_owned(),
            instructions: instructions(&source),
            left_alone: left_alone(&format!("{source}\n{}", part(task, "answers"))),
            planned: list(&plan, "files").iter().map(|file| text(file, "path")).collect(),
            threads,
            diff: part(task, "diff"),
        }
    }
}

/// The text of one delimited source.
fn part(task: &str, source: &str) -> String {
    let open = format!("<untrusted source=\"{source}\">\n");
    let Some((_, rest)) = task.split_once(&open) else {
        return String::new();
    };
    rest.split_once("\n</untrusted>")
        .map_or(rest, |(text, _)| text)
        .replace("&lt;untrusted", "<untrusted")
        .replace("&lt;/untrusted", "</untrusted")
}

fn tool(name: &str, input: &Value) -> Value {
    json!({ "type": "tool_use", "id": "", "name": name, "input": input })
}

fn say(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn finish(input: &Value) -> Vec<Value> {
    vec![tool("finish", input)]
}

/// Searches for everything that must be found, unless that was done; `None` once the results are there.
fn searches(told: &Told, calls: &[Call<'_>]) -> Option<Vec<Value>> {
    let wanted: Vec<&str> = told.instructions.iter().filter_map(Instruction::search).collect();
    let done = |query: &str| {
        calls.iter().any(|call| call.name == "search" && call.input.get("query").and_then(Value::as_str) == Some(query))
    };
    let open: Vec<Value> =
        wanted.iter().filter(|query| !done(query)).map(|query| tool("search", &json!({ "query": query }))).collect();
    (!open.is_empty()).then_some(open)
}

/// The files that have to change, with how often, from the search results.
fn found(told: &Told, calls: &[Call<'_>]) -> BTreeMap<String, usize> {
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for instruction in &told.instructions {
        if let Some(path) = instruction.path() {
            files.insert(path.to_owned(), 1);
        }
        for call in calls.iter().filter(|call| call.name == "search" && !call.is_error) {
            if call.input.get("query").and_then(Value::as_str) != instruction.search() {
                continue;
            }
            for line in call.result.lines() {
                let mut parts = line.splitn(3, ':');
                if let (Some(path), Some(number), Some(text)) = (parts.next(), parts.next(), parts.next())
                    && number.parse::<usize>().is_ok()
                    && instruction.hits(text)
                {
                    *files.entry(path.to_owned()).or_default() += 1;
                }
            }
        }
    }
    files.retain(|path, _| !told.left_alone.contains(path));
    files
}

fn analyze(request: &Request, told: &Told) -> Vec<Value> {
    let calls = request.calls();
    if let Some(open) = searches(told, &calls) {
        return open;
    }
    let files = found(told, &calls);
    let spread = told.instructions.iter().any(|i| i.search().is_some()) && files.len() > 1;
    let mut questions = Vec::new();
    if told.instructions.is_empty() {
        questions.push(json!({
            "category": "scope", "text": "Which exact text should be replaced, and by what?",
            "default": "Nothing is replaced", "options": [] }));
    } else if spread {
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        questions.push(json!({
            "category": "scope",
            "text": format!("The text occurs in {} files: {}. Should all of them change?", files.len(), names.join(", ")),
            "default": "All of them change", "options": ["All of them change", "Keep `PATH` as it is"] }));
    }
    let occurrences: usize = files.values().sum();
    finish(&json!({
        "understanding": format!("{}: {} instruction(s), {occurrences} place(s) in {} file(s).", told.title, told.instructions.len(), files.len()),
        "relevant_files": files.keys().collect::<Vec<_>>(),
        "questions": questions }))
}

fn refine(told: &Told) -> Vec<Value> {
    let does: Vec<String> = told.instructions.iter().map(describe).collect();
    let criteria: Vec<Value> =
        does.iter().map(|d| json!({ "category": "functional", "priority": "must", "text": d })).collect();
    if criteria.is_empty() {
        return vec![say("This ticket holds no instruction that the scripted model understands.")];
    }
    finish(&json!({
        "title": told.title, "description": format!("What is wanted:\n\n- {}", does.join("\n- ")),
        "success_criteria": criteria,
        "acceptance_criteria": ["Nothing else in the repository changes."] }))
}

fn describe(instruction: &Instruction) -> String {
    match instruction {
        Instruction::Replace { old, new, path } => {
            let place = path.as_ref().map_or("everywhere".to_owned(), |path| format!("in `{path}`"));
            format!("`{old}` reads `{new}` {place}")
        }
        Instruction::Rename { old, new } => format!("`{old}` is called `{new}`"),
        Instruction::Create { path, .. } => format!("`{path}` exists with the given content"),
        Instruction::Append { path, .. } => format!("`{path}` ends with the given text"),
        Instruction::After { path, anchor, .. } => {
            format!("`{path}` has the given text after `{anchor}`")
        }
        Instruction::Delete { path } => format!("`{path}` is gone"),
    }
}

fn plan(request: &Request, told: &Told) -> Vec<Value> {
    let calls = request.calls();
    if let Some(open) = searches(told, &calls) {
        return open;
    }
    let action = |path: &str| {
        let made = told.instructions.iter().any(|i| matches!(i, Instruction::Create { path: p, .. } if p == path));
        let gone = told.instructions.iter().any(|i| matches!(i, Instruction::Delete { path: p } if p == path));
        if made {
            "create"
        } else if gone {
            "delete"
        } else {
            "modify"
        }
    };
    let files: Vec<Value> = found(told, &calls)
        .iter()
        .map(|(path, count)| json!({ "path": path, "action": action(path), "why": format!("{count} place(s) to change") }))
        .collect();
    if files.is_empty() {
        return vec![say("No file of this repository has to change for this ticket.")];
    }
    let steps: Vec<String> = told.instructions.iter().map(|i| format!("Make sure that {}.", describe(i))).collect();
    finish(&json!({
        "summary": format!("{} ({} file(s)).", told.title, files.len()), "confidence": "high", "files": files,
        "api_changes": [], "schema_changes": [], "steps": steps,
        "tests": ["The repository's own checks on the pull request."], "risks": [],
        "out_of_scope": told.left_alone }))
}

/// Reads the planned files, edits them, and hands in; with threads, answers each.
fn change(
    request: &Request,
    told: &Told,
    planned: &[String],
    threads: Option<&[(String, String)]>,
) -> Result<Vec<Value>, String> {
    let calls = request.calls();
    let edited = calls.iter().any(|call| matches!(call.name, "edit" | "create" | "delete"));
    if edited || told.instructions.is_empty() {
        if let Some(failed) = calls.iter().find(|call| call.is_error && call.name != "read" && call.name != "finish") {
            return Ok(vec![say(&format!("An edit did not work: {}", failed.result))]);
        }
        return Ok(hand_in(told, threads));
    }
    let mut targets: Vec<String> = planned.to_vec();
    targets.extend(told.instructions.iter().filter_map(|i| i.path().map(str::to_owned)));
    targets.sort();
    targets.dedup();
    targets.retain(|path| {
        !told.instructions.iter().any(|i| matches!(i, Instruction::Create { path: p, .. } if p == path))
    });
    let (texts, open) = read(&targets, &calls);
    if !open.is_empty() {
        return Ok(open);
    }
    let mut blocks = Vec::new();
    for instruction in &told.instructions {
        match instruction {
            Instruction::Create { path, text } => {
                blocks.push(tool("create", &json!({ "path": path, "content": text })));
            }
            Instruction::Delete { path } => blocks.push(tool("delete", &json!({ "path": path }))),
            Instruction::Replace { .. }
            | Instruction::Rename { .. }
            | Instruction::Append { .. }
            | Instruction::After { .. } => {}
        }
    }
    for (path, before) in &texts {
        let after = told.instructions.iter().fold(decided(before), |text, i| i.applied(path, &text));
        let edits = edits(before, &after).ok_or_else(|| format!("{path} cannot be edited step by step"))?;
        blocks
            .extend(edits.iter().map(|edit| tool("edit", &json!({ "path": path, "old": edit.old, "new": edit.new }))));
    }
    Ok(if blocks.is_empty() { hand_in(told, threads) } else { blocks })
}

/// A text without its conflicts: each is decided for our own lines.
fn decided(text: &str) -> String {
    let mut ours = true;
    let keep = |line: &&str| {
        match line.split(' ').next().unwrap_or("") {
            "|||||||" => ours = false,
            ">>>>>>>" => ours = true,
            "<<<<<<<" => {}
            _ => return ours,
        }
        false
    };
    text.split_inclusive('\n').filter(keep).collect()
}

fn hand_in(told: &Told, threads: Option<&[(String, String)]>) -> Vec<Value> {
    let Some(threads) = threads else {
        return finish(&json!({ "summary": told.title }));
    };
    let answers: Vec<Value> = threads
        .iter()
        .map(|(id, body)| {
            let (disposition, text) = if instructions(body).is_empty() {
                ("declined", "The scripted model follows explicit instructions only.")
            } else {
                ("fixed", "Done as asked.")
            };
            json!({ "id": id, "disposition": disposition, "text": text })
        })
        .collect();
    finish(&json!({ "summary": "Worked through the review.", "threads": answers }))
}

/// The whole text of each file as read so far, and the reads that are still needed.
fn read(targets: &[String], calls: &[Call<'_>]) -> (BTreeMap<String, String>, Vec<Value>) {
    let mut texts = BTreeMap::new();
    let mut open = Vec::new();
    for path in targets {
        let reads: Vec<&Call<'_>> = calls
            .iter()
            .filter(|call| call.name == "read" && call.input.get("path").and_then(Value::as_str) == Some(path))
            .collect();
        if reads.iter().any(|call| call.is_error) {
            continue;
        }
        let mut lines = Vec::new();
        let mut last = CHUNK;
        for call in &reads {
            let inner = part(call.result, path);
            let before = lines.len();
            lines.extend(inner.lines().map(|line| line.get(7..).unwrap_or("").to_owned()));
            last = lines.len() - before;
        }
        if last < CHUNK && !reads.is_empty() {
            texts.insert(path.clone(), lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect());
        } else {
            let start = lines.len() + 1;
            open.push(tool("read", &json!({ "path": path, "start": start, "end": start + CHUNK - 1 })));
        }
    }
    (texts, open)
}

/// Finds what the change forgot: an added line that still has the old text.
fn review(told: &Told) -> Vec<Value> {
    let added = || told.diff.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++"));
    let mut findings = Vec::new();
    for instruction in &told.instructions {
        let (Instruction::Replace { old, new, .. } | Instruction::Rename { old, new }) = instruction else {
            continue;
        };
        if !new.contains(old.as_str()) && added().any(|line| instruction.hits(line)) {
            findings.push(
                json!({ "severity": "critical", "path": null, "text": format!("An added line still says `{old}`.") }),
            );
        }
    }
    finish(
        &json!({ "summary": format!("{} added line(s) read against the plan.", added().count()), "findings": findings }),
    )
}
