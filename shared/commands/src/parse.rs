//! Command text, after the mention, becomes a typed command.

use domain::hash::HashPrefix;
use domain::input::FixWhat;
use domain::money::Usd;
use domain::name::{BranchName, ModelName, RepoName};

use crate::error::CommandError;
use crate::verb::{VERBS, Verb};

/// A command as a person meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Explain the commands.
    Help,
    /// Say where the ticket stands.
    Status,
    /// Show the settings in force.
    Config,
    /// Start the analysis, or start it over.
    Analyze,
    /// Answer a question about the code.
    Ask(String),
    /// Answers by question number, in order.
    Answer(Vec<(u32, String)>),
    /// Take every default.
    Skip,
    /// Go on to planning.
    Plan,
    /// Revise the plan.
    Replan(String),
    /// Decide for what waits.
    Approve {
        /// What is meant.
        hash: Option<HashPrefix>,
        /// What the person adds.
        note: String,
    },
    /// Decide against what waits.
    Reject(String),
    /// Start on an approved plan.
    Implement,
    /// End here.
    Close,
    /// Work on the open pull request.
    Fix {
        /// What for.
        what: FixWhat,
        /// What the person adds.
        instruction: String,
    },
    /// Switch the repair of failing checks.
    Autofix(bool),
    /// Go on from the failed step.
    Retry,
    /// Call it off.
    Cancel,
    /// Stop until resumed.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Show the budget, or raise it.
    Budget(Option<Usd>),
    /// Use another model.
    Model(ModelName),
    /// Work in another repository.
    Repo {
        /// Which.
        repo: RepoName,
        /// From which branch; the repository's default when absent.
        branch: Option<BranchName>,
    },
}

/// Longest free text in bytes.
pub(crate) const MAX_TEXT: usize = 4 * 1024;
/// Most answers in one command.
pub(crate) const MAX_ANSWERS: usize = 20;

impl Command {
    /// The verb that says this.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Status => "status",
            Self::Config => "config",
            Self::Analyze => "analyze",
            Self::Ask(_) => "ask",
            Self::Answer(_) => "answer",
            Self::Skip => "skip",
            Self::Plan => "plan",
            Self::Replan(_) => "replan",
            Self::Approve { .. } => "approve",
            Self::Reject(_) => "reject",
            Self::Implement => "implement",
            Self::Close => "close",
            Self::Fix { .. } => "fix",
            Self::Autofix(_) => "autofix",
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Budget(_) => "budget",
            Self::Model(_) => "model",
            Self::Repo { .. } => "repo",
        }
    }
}

/// Reads what follows the mention: a verb and its arguments.
pub fn parse(said: &str) -> Result<Command, CommandError> {
    let said = said.trim();
    // What follows on the verb's own line is its argument; below it people may go on talking.
    let (word, rest) = said.split_at(said.find(char::is_whitespace).unwrap_or(said.len()));
    let name = word.trim_matches('`').to_lowercase();
    let Some(verb) = Verb::find(&name) else {
        return Err(unknown(&name));
    };
    match verb.name {
        "help" => none(verb, rest, Command::Help),
        "status" => none(verb, rest, Command::Status),
        "config" => none(verb, rest, Command::Config),
        "analyze" => none(verb, rest, Command::Analyze),
        "skip" => none(verb, rest, Command::Skip),
        "plan" => none(verb, rest, Command::Plan),
        "implement" => none(verb, rest, Command::Implement),
        "close" => none(verb, rest, Command::Close),
        "retry" => none(verb, rest, Command::Retry),
        "cancel" => none(verb, rest, Command::Cancel),
        "pause" => none(verb, rest, Command::Pause),
        "resume" => none(verb, rest, Command::Resume),
        "ask" => text(verb, rest.trim()).map(Command::Ask),
        "replan" => text(verb, rest.trim()).map(Command::Replan),
        "reject" => text(verb, rest.trim()).map(Command::Reject),
        "answer" => answers(verb, rest.trim()).map(Command::Answer),
        "approve" => approve(verb, rest),
        "fix" => fix(verb, rest.trim()),
        "autofix" => autofix(verb, rest),
        "budget" => budget(verb, rest),
        "model" => model(verb, rest),
        "repo" => repo(verb, rest),
        _ => Err(unknown(&name)),
    }
}

fn unknown(name: &str) -> CommandError {
    let nearest = VERBS.iter().map(|verb| (strsim::osa_distance(name, verb.name), verb.name)).min();
    let suggestion = nearest.filter(|(distance, _)| *distance <= 2 && name.len() > 2).map(|(_, name)| name);
    let verb = name.chars().filter(|c| !c.is_control() && *c != '`').take(30).collect();
    CommandError::Unknown { verb, suggestion }
}

fn usage(verb: &Verb, problem: impl Into<String>) -> CommandError {
    CommandError::Usage { problem: problem.into(), usage: verb.usage() }
}

/// A verb without arguments; the first line must be empty, people may go on talking below.
fn none(verb: &Verb, rest: &str, command: Command) -> Result<Command, CommandError> {
    if first_line(rest).is_empty() {
        return Ok(command);
    }
    Err(usage(verb, format!("`{}` takes nothing after it.", verb.name)))
}

fn text(verb: &Verb, rest: &str) -> Result<String, CommandError> {
    if rest.is_empty() {
        return Err(usage(verb, format!("`{}` needs a text.", verb.name)));
    }
    if rest.len() > MAX_TEXT {
        return Err(usage(verb, format!("The text is longer than {MAX_TEXT} bytes.")));
    }
    Ok(rest.to_owned())
}

fn first_line(rest: &str) -> &str {
    rest.lines().next().unwrap_or("").trim()
}

fn approve(verb: &Verb, rest: &str) -> Result<Command, CommandError> {
    let (head, note) = match rest.split_once("--") {
        Some((head, note)) if head.split_whitespace().count() <= 1 => (head.trim(), note.trim()),
        Some(_) | None => (first_line(rest), ""),
    };
    if note.len() > MAX_TEXT {
        return Err(usage(verb, format!("The note is longer than {MAX_TEXT} bytes.")));
    }
    let hash = head.trim_matches('`');
    let hash = match (hash.is_empty(), HashPrefix::parse(hash)) {
        (true, _) => None,
        (false, Some(hash)) => Some(hash),
        (false, None) => {
            return Err(usage(verb, "The hash must be the first 12 or more hex digits of what you approve."));
        }
    };
    Ok(Command::Approve { hash, note: note.to_owned() })
}

fn fix(verb: &Verb, rest: &str) -> Result<Command, CommandError> {
    if rest.len() > MAX_TEXT {
        return Err(usage(verb, format!("The text is longer than {MAX_TEXT} bytes.")));
    }
    let (word, more) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (what, instruction) = match word.to_lowercase().as_str() {
        "ci" => (FixWhat::Ci, more),
        "review" => (FixWhat::Review, more),
        "conflicts" => (FixWhat::Conflicts, more),
        _ => (FixWhat::Review, rest),
    };
    Ok(Command::Fix { what, instruction: instruction.trim().to_owned() })
}

fn autofix(verb: &Verb, rest: &str) -> Result<Command, CommandError> {
    match first_line(rest).to_lowercase().as_str() {
        "on" => Ok(Command::Autofix(true)),
        "off" => Ok(Command::Autofix(false)),
        _ => Err(usage(verb, "Say `on` or `off`.")),
    }
}

fn budget(verb: &Verb, rest: &str) -> Result<Command, CommandError> {
    let amount = first_line(rest);
    if amount.is_empty() {
        return Ok(Command::Budget(None));
    }
    let add = amount.strip_prefix('+').and_then(Usd::parse).filter(|usd| *usd > Usd::ZERO);
    match add {
        Some(usd) => Ok(Command::Budget(Some(usd))),
        None => Err(usage(verb, "The amount is added, in dollars: `+2` or `+0.50`.")),
    }
}

fn model(verb: &Verb, rest: &str) -> Result<Command, CommandError> {
    ModelName::parse(first_line(rest).trim_matches('`'))
        .map(Command::Model)
        .map_err(|_| usage(verb, "That is no model name."))
}

fn repo(verb: &Verb, rest: &str) -> Result<Command, CommandError> {
    let line = first_line(rest).trim_matches('`');
    let (name, branch) = line.split_once('@').map_or((line, None), |(name, branch)| (name, Some(branch)));
    let repo = RepoName::parse(name).map_err(|_| usage(verb, "That is no repository."))?;
    let branch = branch.map(BranchName::parse).transpose().map_err(|_| usage(verb, "That is no branch."))?;
    Ok(Command::Repo { repo, branch })
}

/// Splits `1: yes 2: no, because` at numbers that only grow.
fn answers(verb: &Verb, rest: &str) -> Result<Vec<(u32, String)>, CommandError> {
    let mut found: Vec<(u32, String)> = Vec::new();
    for word in rest.split_inclusive(char::is_whitespace) {
        let number = word.trim_end().strip_suffix([':', ')']).and_then(|n| n.parse::<u32>().ok());
        match (number, found.last_mut()) {
            (Some(n), last) if n > 0 && last.as_ref().is_none_or(|(before, _)| n > *before) => {
                found.push((n, String::new()));
            }
            (_, Some((_, text))) => text.push_str(word),
            (_, None) => return Err(usage(verb, "Number each answer.")),
        }
    }
    for (number, text) in &mut found {
        *text = text.trim().to_owned();
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(usage(verb, format!("Answer {number} is empty or longer than {MAX_TEXT} bytes.")));
        }
    }
    if found.is_empty() || found.len() > MAX_ANSWERS {
        return Err(usage(verb, format!("Give 1 to {MAX_ANSWERS} numbered answers.")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_of_the_table_is_parsed() {
        for verb in VERBS {
            let argument = match verb.name {
                "ask" | "replan" | "reject" => "some text",
                "answer" => "1: yes",
                "autofix" => "on",
                "model" => "claude-sonnet-5-5",
                "repo" => "acme/widgets@main",
                _ => "",
            };
            let command = parse(&format!("{} {argument}", verb.name));
            assert_eq!(command.map(|c| c.verb()), Ok(verb.name));
        }
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        let said = |text: &str| parse(text).map_err(|e| e.to_string()).unwrap_err();
        insta::assert_snapshot!(said("aprove 123"), @"Unknown command `aprove`. Did you mean `approve`? Say `help` for the list.");
        insta::assert_snapshot!(said("deploy"), @"Unknown command `deploy`. Say `help` for the list.");
        insta::assert_snapshot!(said("approve 9f2c"), @"The hash must be the first 12 or more hex digits of what you approve. Usage: `approve [HASH] [-- NOTE]`.");
        insta::assert_snapshot!(said("budget 5"), @"The amount is added, in dollars: `+2` or `+0.50`. Usage: `budget [+USD]`.");
        insta::assert_snapshot!(said("cancel everything"), @"`cancel` takes nothing after it. Usage: `cancel`.");
    }

    #[test]
    fn a_word_of_two_letters_is_like_every_verb_and_gets_no_suggestion() {
        let said = |text: &str| parse(text).map_err(|e| e.to_string()).unwrap_err();
        insta::assert_snapshot!(said("fi"), @"Unknown command `fi`. Say `help` for the list.");
        insta::assert_snapshot!(said("fxi"), @"Unknown command `fxi`. Did you mean `fix`? Say `help` for the list.");
    }

    #[test]
    fn an_unknown_word_is_shown_without_what_breaks_out_of_its_marks() {
        let said = |text: &str| parse(text).map_err(|e| e.to_string()).unwrap_err();
        insta::assert_snapshot!(said("no`such\u{7}verb"), @"Unknown command `nosuchverb`. Say `help` for the list.");
        let long = said(&"x".repeat(80));
        assert_eq!(long, format!("Unknown command `{}`. Say `help` for the list.", "x".repeat(30)));
    }

    #[test]
    fn a_text_has_the_4096_bytes_that_people_are_told() {
        let text = "x".repeat(4096);
        assert_eq!(parse(&format!("ask {text}")), Ok(Command::Ask(text.clone())));
        let said = parse(&format!("ask {text}x")).map_err(|e| e.to_string()).unwrap_err();
        insta::assert_snapshot!(said, @"The text is longer than 4096 bytes. Usage: `ask QUESTION`.");
    }

    #[test]
    fn answers_are_split_at_growing_numbers() {
        let answers = parse("answer 1: in 2 places: a and b\n2: no\n  4) maybe 3: stays");
        let expected = [(1, "in 2 places: a and b"), (2, "no"), (4, "maybe 3: stays")];
        assert_eq!(answers, Ok(Command::Answer(expected.map(|(n, t)| (n, t.to_owned())).to_vec())));
        let again = vec![(1, "of the two 1: the first".to_owned())];
        assert_eq!(parse("answer 1: of the two 1: the first"), Ok(Command::Answer(again)), "no number twice");
        assert!(parse("answer yes").is_err());
        assert!(parse("answer 1:").is_err());
    }

    #[test]
    fn arguments_are_typed() {
        assert_eq!(parse("approve"), Ok(Command::Approve { hash: None, note: String::new() }));
        let approved = parse("approve `9F2C41AB00DE` -- but keep the docs");
        let hash = HashPrefix::parse("9f2c41ab00de");
        assert_eq!(approved, Ok(Command::Approve { hash, note: "but keep the docs".to_owned() }));
        assert_eq!(parse("budget +0.50"), Ok(Command::Budget(Usd::parse("0.5"))));
        assert_eq!(parse("fix ci please"), Ok(Command::Fix { what: FixWhat::Ci, instruction: "please".to_owned() }));
        assert_eq!(
            parse("fix the typo"),
            Ok(Command::Fix { what: FixWhat::Review, instruction: "the typo".to_owned() })
        );
    }

    #[test]
    fn arguments_have_bounds_and_each_is_the_last_that_passes() {
        let (most, more) = ("x".repeat(MAX_TEXT), "x".repeat(MAX_TEXT + 1));
        for start in ["ask ", "replan ", "reject ", "approve -- ", "fix ", "answer 1: "] {
            assert!(parse(&format!("{start}{most}")).is_ok(), "{start}");
            assert!(parse(&format!("{start}{more}")).is_err(), "{start}");
        }
        let numbered = |count: usize| (1..=count).map(|n| format!(" {n}: yes")).collect::<Vec<_>>().concat();
        assert!(parse(&format!("answer{}", numbered(MAX_ANSWERS))).is_ok());
        assert!(parse(&format!("answer{}", numbered(MAX_ANSWERS + 1))).is_err());
        assert!(parse("answer").is_err() && parse("answer 1:").is_err() && parse("answer 0: no").is_err());
        assert!(parse("budget +0").is_err() && parse("budget").is_ok() && parse("budget +0.01").is_ok());
        assert_eq!(parse("autofix off"), Ok(Command::Autofix(false)));
        let fix = |what, instruction: &str| Ok(Command::Fix { what, instruction: instruction.to_owned() });
        assert_eq!(parse("fix ci now"), fix(FixWhat::Ci, "now"));
        assert_eq!(parse("fix conflicts"), fix(FixWhat::Conflicts, ""));
        assert_eq!(parse("fix review"), fix(FixWhat::Review, ""));
        assert_eq!(parse("fix the tests"), fix(FixWhat::Review, "the tests"));
        assert_eq!(parse("pause\nuntil Monday"), Ok(Command::Pause), "people may go on talking below");
        assert_eq!(parse("approve\n\nA good plan -- thanks"), Ok(Command::Approve { hash: None, note: String::new() }));
        assert_eq!(parse("budget\nthanks"), Ok(Command::Budget(None)));
        assert!(parse("pause until Monday").is_err());
    }
}
