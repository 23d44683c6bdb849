//! The table that parser and help are made from.

use domain::principal::Role;

/// One verb of the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verb {
    /// What is typed.
    pub name: &'static str,
    /// How the arguments look; empty when there are none.
    pub arguments: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// The least role that may say it.
    pub least: Role,
}

const fn verb(name: &'static str, arguments: &'static str, does: &'static str, least: Role) -> Verb {
    Verb { name, arguments, does, least }
}

/// Every verb, in the order in which help shows them.
pub const VERBS: &[Verb] = &[
    verb("help", "", "explains the commands", Role::Reader),
    verb("status", "", "shows state, cost and the next step", Role::Reader),
    verb("config", "", "shows the settings in force", Role::Reader),
    verb("analyze", "", "starts the analysis, or starts it over", Role::Writer),
    verb("ask", "QUESTION", "answers a question about the code", Role::Writer),
    verb("answer", "1: TEXT 2: TEXT", "answers questions; what is left out takes its default", Role::Writer),
    verb("skip", "", "takes the default of every question", Role::Writer),
    verb("plan", "", "goes on to planning with the defaults", Role::Writer),
    verb("replan", "INSTRUCTION", "revises the plan", Role::Writer),
    verb("approve", "[HASH] [-- NOTE]", "decides for what waits; plans and diffs need their hash", Role::Approver),
    verb("reject", "REASON", "decides against what waits", Role::Approver),
    verb("implement", "", "starts on an approved plan", Role::Writer),
    verb("close", "", "ends here: the plan was the product", Role::Writer),
    verb("fix", "[ci|review|conflicts] [INSTRUCTION]", "works on the open pull request", Role::Writer),
    verb("autofix", "on|off", "switches the repair of failing checks", Role::Writer),
    verb("retry", "", "goes on from the failed step", Role::Writer),
    verb("cancel", "", "calls the ticket off", Role::Writer),
    verb("pause", "", "stops until resumed", Role::Writer),
    verb("resume", "", "goes on after a pause", Role::Writer),
    verb("budget", "[+USD]", "shows or raises the budget", Role::Approver),
    verb("model", "NAME", "uses another model for this ticket", Role::Approver),
    verb("repo", "OWNER/NAME[@BRANCH]", "works in another repository", Role::Approver),
];

impl Verb {
    /// The verb with its arguments.
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments).trim_end().to_owned()
    }

    /// Finds a verb by its name in lower case.
    pub fn find(name: &str) -> Option<&'static Self> {
        VERBS.iter().find(|verb| verb.name == name)
    }
}
