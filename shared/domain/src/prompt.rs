//! The prompts a tenant may replace, and what each has to say.

use serde::{Deserialize, Serialize};

/// A prompt, named after the stage that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptName {
    /// Understand the ticket.
    Analyze,
    /// Write the refined ticket.
    Refine,
    /// Write the plan.
    Plan,
    /// Change the code.
    Implement,
    /// Judge the change.
    Review,
    /// Work through people's review.
    Revise,
}

/// Longest template in bytes.
const MAX_TEMPLATE: usize = 8 * 1024;

impl PromptName {
    /// Every prompt, in the order a ticket meets them.
    pub const ALL: [Self; 6] = [Self::Analyze, Self::Refine, Self::Plan, Self::Implement, Self::Review, Self::Revise];

    /// Its name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analyze => "analyze",
            Self::Refine => "refine",
            Self::Plan => "plan",
            Self::Implement => "implement",
            Self::Review => "review",
            Self::Revise => "revise",
        }
    }

    /// The places a template must have, written `{{name}}`: without them the model would not know its task's facts.
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Self::Analyze | Self::Refine => &["ticket", "repository"],
            Self::Plan => &["ticket", "repository", "previous", "feedback"],
            Self::Implement => &["ticket", "plan", "findings", "feedback", "repository"],
            Self::Review => &["ticket", "plan", "diff"],
            Self::Revise => &["ticket", "plan", "review", "feedback", "diff"],
        }
    }

    /// The places a template may have besides.
    pub fn optional(self) -> &'static [&'static str] {
        match self {
            Self::Analyze => &["max_questions"],
            Self::Refine => &["analysis", "answers", "feedback"],
            Self::Plan => &["analysis", "answers"],
            Self::Implement => &["answers", "diff"],
            Self::Review | Self::Revise => &["answers"],
        }
    }

    /// What is wrong with a template, one sentence each.
    pub fn problems(self, template: &str) -> Vec<String> {
        let name = self.as_str();
        let mut problems = Vec::new();
        if template.len() > MAX_TEMPLATE {
            problems.push(format!("the prompt `{name}` is longer than {MAX_TEMPLATE} bytes"));
        }
        let used = places(template);
        for place in &used {
            if !self.required().contains(place) && !self.optional().contains(place) {
                let known = [self.required(), self.optional()].concat().join(", ");
                problems.push(format!("the prompt `{name}` has no place `{{{{{place}}}}}`; it has {known}"));
            }
        }
        for place in self.required().iter().filter(|place| !used.contains(place)) {
            problems.push(format!("the prompt `{name}` lacks the place `{{{{{place}}}}}`"));
        }
        problems
    }
}

/// The places that a template names, `{{name}}`, in order.
fn places(template: &str) -> Vec<&str> {
    let parts = template.split("{{").skip(1);
    parts.filter_map(|part| part.split_once("}}")).map(|(name, _)| name.trim()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_must_have_its_places_and_no_others() {
        assert!(PromptName::Review.problems("{{ticket}} {{plan}}\n{{diff}}").is_empty());
        let problems = PromptName::Review.problems("{{ticket}} {{diff}} {{secret}}");
        assert_eq!(
            problems,
            [
                "the prompt `review` has no place `{{secret}}`; it has ticket, plan, diff, answers",
                "the prompt `review` lacks the place `{{plan}}`"
            ]
        );
        assert_eq!(
            PromptName::Review.problems(&format!("{{{{ticket}}}}{{{{plan}}}}{{{{diff}}}}{}", "x".repeat(9_000))).len(),
            1
        );
    }
}
