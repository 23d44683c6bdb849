//! Measures how well files are found: real issues, the trees they were filed on, and the files their fixes changed.

mod baseline;
mod folder;
mod score;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use context::{Index, select};
use domain::ticket::TicketText;
use serde::Deserialize;

use crate::folder::Folder;
use crate::score::{Report, Row};

const USAGE: &str = "usage: retrieval --set FILE --trees DIR [--json] [--misses]

  --set FILE   one JSON object a line: id, base_commit, query, gold_files, language
  --trees DIR  a folder a case, named by its id: the tree at its base commit
  --json       prints JSON
  --misses     names the cases with a file beyond the first ten, on standard error";

/// One real issue.
#[derive(Deserialize)]
struct Case {
    id: String,
    base_commit: String,
    /// Title, a line break, and the body.
    query: String,
    /// What the fix changed, tests left out.
    gold_files: Vec<String>,
    language: String,
}

struct Options {
    set: PathBuf,
    trees: PathBuf,
    json: bool,
    misses: bool,
}

fn options() -> anyhow::Result<Options> {
    let (mut set, mut trees, mut json, mut misses) = (None, None, false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--set" => set = arguments.next().map(PathBuf::from),
            "--trees" => trees = arguments.next().map(PathBuf::from),
            "--json" => json = true,
            "--misses" => misses = true,
            other => bail!("`{other}` is no option\n{USAGE}"),
        }
    }
    let (Some(set), Some(trees)) = (set, trees) else { bail!("{USAGE}") };
    Ok(Options { set, trees, json, misses })
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    let text =
        std::fs::read_to_string(&options.set).with_context(|| format!("{} cannot be read", options.set.display()))?;
    let (mut ours, mut bm25) = (Report::default(), Report::default());
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let case: Case =
            serde_json::from_str(line).with_context(|| format!("{}, line {}", options.set.display(), at + 1))?;
        one(&case, &options.trees, (&mut ours, &mut bm25)).with_context(|| case.id.clone())?;
        let row = ours.last();
        if options.misses && row.is_some_and(|row| row.recall(10) < 1.0) {
            eprintln!("{}: {:?}", case.id, row.map(|row| &row.ranks));
        }
    }
    score::print(&[("prfactory", &ours), ("bm25", &bm25)], options.json)
}

fn one(case: &Case, trees: &Path, (ours, bm25): (&mut Report, &mut Report)) -> anyhow::Result<()> {
    let tree = Folder::open(&trees.join(&case.id), &case.base_commit)?;
    for file in &case.gold_files {
        if !tree.has(file) {
            bail!("the tree has no {file}; it is not the one of commit {}", case.base_commit);
        }
    }
    let (title, body) = case.query.split_once('\n').unwrap_or((&case.query, ""));
    let ticket = TicketText { title: title.to_owned(), body: body.to_owned() };
    let started = score::cpu();
    let index = Index::of(&tree);
    let indexed = score::cpu();
    let files = select(&index, &ticket).files;
    let asked = score::cpu();
    drop(index);
    let paths = files.iter().map(|file| file.path.as_str());
    ours.add(Row::of(&case.language, &case.gold_files, paths, (indexed - started, asked - indexed)));
    let started = score::cpu();
    let known = baseline::Bm25::of(&tree);
    let indexed = score::cpu();
    let ranked = known.rank(&case.query);
    let asked = score::cpu();
    bm25.add(Row::of(&case.language, &case.gold_files, ranked.into_iter(), (indexed - started, asked - indexed)));
    Ok(())
}
