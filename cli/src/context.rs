//! Shows which files, definitions and lines of a repository a ticket is about, and why; no model is asked.

use anyhow::Context as _;
use context::{Index, Ranked, Region, Selection, Symbol, outline, pack, reasons, regions, select};
use domain::name::BranchName;
use engine::port::SourceTree;
use serde_json::json;
use workspace::MemoryTree;

use crate::args::ContextArgs;
use crate::output::Output;
use crate::{Exit, local_files};

/// Regions that are shown of one file.
const REGIONS: usize = 2;
/// Files whose lines are looked at.
const DETAILED: usize = 20;

/// Ranks and shows.
pub(crate) fn run(args: &ContextArgs, out: Output) -> anyhow::Result<Exit> {
    let ticket = local_files::ticket(&args.ticket)?;
    let branch = args.base.as_deref().map(BranchName::parse).transpose()?;
    let tree = MemoryTree::of_repository(&args.repo, branch.as_ref())
        .with_context(|| format!("{} cannot be searched", args.repo.display()))?;
    let index = Index::of(&tree);
    let selection = select(&index, &ticket);
    if args.packed {
        let text = pack(&tree, &selection, args.tokens);
        out.either(text.trim_end(), &json!({ "packed": text }));
        return Ok(Exit::Done);
    }
    let files = selection.files.iter().take(args.max).enumerate();
    let shown: Vec<_> = files.map(|(at, file)| Shown::of(&tree, &selection, (at, file))).collect();
    let (indexed, related) = (index.len(), selection.files.len());
    out.line(&format!("{indexed} files at {}, {related} have to do with the ticket", short(tree.commit().as_str())));
    for (at, file) in shown.iter().enumerate() {
        out.either(&file.text(at + 1), &file.object(at + 1));
    }
    if shown.is_empty() {
        out.line("Nothing in the repository is named in the ticket; say more about what it is about.");
    }
    Ok(Exit::Done)
}

fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}

/// One file as people see it.
struct Shown<'a> {
    file: &'a Ranked,
    regions: Vec<Region>,
    symbols: Vec<Symbol>,
}

impl<'a> Shown<'a> {
    fn of(tree: &MemoryTree, selection: &Selection, (at, file): (usize, &'a Ranked)) -> Self {
        let text = tree.read(&file.path).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(text) = text.filter(|_| at < DETAILED) else {
            return Self { file, regions: Vec::new(), symbols: Vec::new() };
        };
        let all = outline(file.path.as_str(), &text);
        let regions = regions(&text, &all, &selection.terms, REGIONS);
        let inside =
            |symbol: &Symbol| regions.iter().any(|region| region.start <= symbol.line && symbol.line <= region.end);
        let symbols = all.into_iter().filter(|symbol| inside(symbol)).collect();
        Self { file, regions, symbols }
    }

    fn text(&self, at: usize) -> String {
        let mut lines = vec![
            format!("{at:>3}. {}  {:.1}", self.file.path, self.file.score),
            format!("       {}", reasons(self.file)),
        ];
        for region in &self.regions {
            let symbol = region.symbol.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let terms = region.terms.join(", ");
            lines.push(format!("       lines {}-{}{symbol}: {terms}", region.start, region.end));
        }
        lines.join("\n")
    }

    fn object(&self, at: usize) -> serde_json::Value {
        json!({
            "rank": at, "path": self.file.path, "kind": self.file.kind, "score": self.file.score,
            "parts": self.file.parts, "regions": self.regions, "symbols": self.symbols,
        })
    }
}
