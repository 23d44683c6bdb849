//! Why something was not done, in words for the person who asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::principal::Role;
use crate::state::State;

/// Something that was asked for and not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of reason.
    pub why: Why,
    /// What the person is told; Markdown, one or two sentences, with the next command.
    pub message: String,
}

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The person's role is too low.
    Role,
    /// Not in this state.
    State,
    /// The hash names something that is no longer waiting.
    Stale,
    /// The hash was left out or is too short.
    HashNeeded,
    /// The person may decide, but not on this ticket.
    Requester,
    /// The person decided the same before.
    Already,
    /// A limit of the policy is reached.
    Limit,
    /// The repository or another argument is not allowed.
    NotAllowed,
    /// Not in this installation.
    NotAvailable,
    /// A message from a past run; nobody is told.
    Outdated,
}

impl Refusal {
    /// Refuses with a sentence.
    pub fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into() }
    }

    /// Refuses for want of a role.
    pub fn role(verb: &str, has: Role, needs: Role) -> Self {
        Self::new(
            Why::Role,
            format!(
                "`{verb}` needs the role *{}*; yours is *{}*. Ask an admin of this tenant, or someone who has it.",
                needs.as_str(),
                has.as_str()
            ),
        )
    }

    /// Refuses because the ticket stands elsewhere.
    pub fn state(verb: &str, state: &State) -> Self {
        let (is, next) = state.explained();
        Self::new(Why::State, format!("`{verb}` does not apply now ({is}). What works: {next}."))
    }

    /// Refuses what comes from a past run.
    pub fn outdated(state: &State) -> Self {
        Self::new(Why::Outdated, format!("outdated in state {}", state.name()))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_what_works() {
        let shown = |refusal: Refusal| (refusal.why, refusal.to_string());
        let role = "`approve` needs the role *approver*; yours is *reader*. Ask an admin of this tenant, or someone who has it.";
        assert_eq!(shown(Refusal::role("approve", Role::Reader, Role::Approver)), (Why::Role, role.to_owned()));
        let state = "`retry` does not apply now (plan approved, not started). What works: `implement` or `close`.";
        assert_eq!(shown(Refusal::state("retry", &State::PlanApproved)), (Why::State, state.to_owned()));
        let outdated = "outdated in state in_review".to_owned();
        assert_eq!(shown(Refusal::outdated(&State::InReview)), (Why::Outdated, outdated));
    }
}
