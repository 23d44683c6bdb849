//! The settings of a tenant: their defaults, their ranges, and what a repository may tighten.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::ContentHash;
use crate::money::Usd;
use crate::name::{ModelName, RepoName};
use crate::prompt::PromptName;

/// What a model is used for; each use can have a model of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelRole {
    /// Reading the ticket, asking questions, writing the refined ticket.
    Analysis,
    /// Writing the plan.
    Plan,
    /// Changing the code.
    Implement,
    /// Judging the change.
    Review,
}

/// The settings in force for one ticket.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own that people switch by name")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Go on to planning without a person's approval of the refined ticket.
    pub skip_refinement_approval: bool,
    /// Implement without a person's approval of the plan; recorded as *approved by policy*.
    pub skip_plan_approval: bool,
    /// Start to implement as soon as a plan is approved; otherwise wait for `implement`.
    pub implement_on_approval: bool,
    /// How many distinct members must approve.
    pub required_approvals: u32,
    /// Whether the member who started the ticket does not count as an approver.
    pub separate_requester: bool,
    /// Most questions asked at once.
    pub max_questions: u32,
    /// Most revisions of a plan before people must decide on what is there.
    pub max_plan_revisions: u32,
    /// Most rounds of self-review before a person must look at the diff.
    pub max_review_rounds: u32,
    /// Most one ticket may spend on models.
    pub budget_usd: Usd,
    /// Most all tickets of a tenant may spend in a calendar month (UTC).
    pub monthly_budget_usd: Usd,
    /// Most turns of one run before people must say that it may go on.
    pub max_turns: u32,
    /// Most tokens, read and written, of one run.
    pub max_tokens: u32,
    /// Most minutes of one run, waiting in queues included.
    pub max_minutes: u32,
    /// Whether failing checks are repaired without being asked.
    pub autofix_checks: bool,
    /// Most repairs for one head commit.
    pub autofix_attempts: u32,
    /// Open pull requests as drafts.
    pub draft_pull_requests: bool,
    /// Sign commits off, where a project asks for a Developer Certificate of Origin.
    pub sign_off: bool,
    /// Whether people who may push to a repository of GitHub are writers without being named as members.
    pub collaborators_may_write: bool,
    /// Teams whose people may approve, as `organisation/team`.
    pub approver_teams: Vec<String>,
    /// Whether pull requests of public repositories may say more of a ticket of another tracker than its key.
    pub public_ticket_details: bool,
    /// Repositories that may be worked on; empty means every connected one.
    pub allowed_repositories: Vec<RepoName>,
    /// Days a question waits before the ticket is paused.
    pub answer_deadline_days: u32,
    /// Days an approval waits before the ticket is paused; expiry never approves.
    pub approval_deadline_days: u32,
    /// The model for each use; what is absent uses the installation's default.
    pub models: BTreeMap<ModelRole, ModelName>,
    /// Patterns of paths, added to the built-in ones, that only an admin may let through.
    pub sensitive_paths: Vec<String>,
    /// Templates in place of the built-in prompts; the rules that hold for every conversation stay.
    pub prompts: BTreeMap<PromptName, String>,
}

/// A settings file that cannot be used, with every mistake in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the policy cannot be used: {}", problems.join("; "))]
pub struct PolicyError {
    /// One sentence for each mistake.
    pub problems: Vec<String>,
}

/// What a settings file may say; an absent setting keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// See [`Policy::skip_refinement_approval`].
    pub skip_refinement_approval: Option<bool>,
    /// See [`Policy::skip_plan_approval`].
    pub skip_plan_approval: Option<bool>,
    /// See [`Policy::implement_on_approval`].
    pub implement_on_approval: Option<bool>,
    /// See [`Policy::required_approvals`]; 1 to 10.
    pub required_approvals: Option<u32>,
    /// See [`Policy::separate_requester`].
    pub separate_requester: Option<bool>,
    /// See [`Policy::max_questions`]; 1 to 10.
    pub max_questions: Option<u32>,
    /// See [`Policy::max_plan_revisions`]; 1 to 10.
    pub max_plan_revisions: Option<u32>,
    /// See [`Policy::max_review_rounds`]; 1 to 10.
    pub max_review_rounds: Option<u32>,
    /// See [`Policy::budget_usd`]; dollars.
    pub budget_usd: Option<String>,
    /// See [`Policy::monthly_budget_usd`]; dollars.
    pub monthly_budget_usd: Option<String>,
    /// See [`Policy::max_turns`]; 1 to 500.
    pub max_turns: Option<u32>,
    /// See [`Policy::max_tokens`]; 1 to 100,000,000.
    pub max_tokens: Option<u32>,
    /// See [`Policy::max_minutes`]; 1 to 10,080.
    pub max_minutes: Option<u32>,
    /// See [`Policy::autofix_checks`].
    pub autofix_checks: Option<bool>,
    /// See [`Policy::autofix_attempts`]; 1 to 10.
    pub autofix_attempts: Option<u32>,
    /// See [`Policy::draft_pull_requests`].
    pub draft_pull_requests: Option<bool>,
    /// See [`Policy::sign_off`].
    pub sign_off: Option<bool>,
    /// See [`Policy::collaborators_may_write`].
    pub collaborators_may_write: Option<bool>,
    /// See [`Policy::approver_teams`].
    pub approver_teams: Option<Vec<String>>,
    /// See [`Policy::public_ticket_details`].
    pub public_ticket_details: Option<bool>,
    /// See [`Policy::allowed_repositories`].
    pub allowed_repositories: Option<Vec<RepoName>>,
    /// See [`Policy::answer_deadline_days`]; 1 to 90.
    pub answer_deadline_days: Option<u32>,
    /// See [`Policy::approval_deadline_days`]; 1 to 90.
    pub approval_deadline_days: Option<u32>,
    /// See [`Policy::models`].
    pub models: Option<BTreeMap<ModelRole, ModelName>>,
    /// See [`Policy::sensitive_paths`].
    pub sensitive_paths: Option<Vec<String>>,
    /// See [`Policy::prompts`]; each with all its places.
    pub prompts: Option<BTreeMap<PromptName, String>>,
}

/// What a stored policy does not say yet has its default.
impl Default for Policy {
    fn default() -> Self {
        Self::standard()
    }
}

impl Policy {
    /// The defaults that every tenant starts with.
    pub fn standard() -> Self {
        Self {
            skip_refinement_approval: false,
            skip_plan_approval: false,
            implement_on_approval: true,
            required_approvals: 1,
            separate_requester: false,
            max_questions: 7,
            max_plan_revisions: 5,
            max_review_rounds: 3,
            budget_usd: Usd::from_dollars(5),
            monthly_budget_usd: Usd::from_dollars(200),
            max_turns: 60,
            max_tokens: 10_000_000,
            max_minutes: 24 * 60,
            autofix_checks: false,
            autofix_attempts: 3,
            draft_pull_requests: true,
            sign_off: false,
            collaborators_may_write: true,
            approver_teams: Vec::new(),
            public_ticket_details: false,
            allowed_repositories: Vec::new(),
            answer_deadline_days: 7,
            approval_deadline_days: 7,
            models: BTreeMap::new(),
            sensitive_paths: Vec::new(),
            prompts: BTreeMap::new(),
        }
    }

    /// Applies a tenant's own settings, checking every range; lists all mistakes at once.
    pub fn with(mut self, change: &PolicyChange) -> Result<Self, PolicyError> {
        let mut problems = Vec::new();
        let mut count = |name: &str, value: Option<u32>, max: u32, field: &mut u32| match value {
            Some(n) if (1..=max).contains(&n) => *field = n,
            Some(n) => problems.push(format!("`{name}` is {n}; it must be 1 to {max}")),
            None => {}
        };
        count("required_approvals", change.required_approvals, 10, &mut self.required_approvals);
        count("max_questions", change.max_questions, 10, &mut self.max_questions);
        count("max_plan_revisions", change.max_plan_revisions, 10, &mut self.max_plan_revisions);
        count("max_review_rounds", change.max_review_rounds, 10, &mut self.max_review_rounds);
        count("max_turns", change.max_turns, 500, &mut self.max_turns);
        count("max_tokens", change.max_tokens, 100_000_000, &mut self.max_tokens);
        count("max_minutes", change.max_minutes, 7 * 24 * 60, &mut self.max_minutes);
        count("autofix_attempts", change.autofix_attempts, 10, &mut self.autofix_attempts);
        count("answer_deadline_days", change.answer_deadline_days, 90, &mut self.answer_deadline_days);
        count("approval_deadline_days", change.approval_deadline_days, 90, &mut self.approval_deadline_days);
        let mut money = |name: &str, value: &Option<String>, field: &mut Usd| match value.as_deref().map(Usd::parse) {
            Some(Some(usd)) => *field = usd,
            Some(None) => problems.push(format!("`{name}` must be dollars such as \"5\" or \"2.50\"")),
            None => {}
        };
        money("budget_usd", &change.budget_usd, &mut self.budget_usd);
        money("monthly_budget_usd", &change.monthly_budget_usd, &mut self.monthly_budget_usd);
        for pattern in change.sensitive_paths.iter().flatten() {
            if let Err(error) = globset::Glob::new(pattern) {
                problems.push(format!("`sensitive_paths` has {pattern:?}: {error}"));
            }
        }
        for team in change.approver_teams.iter().flatten() {
            if RepoName::parse(team).is_err() {
                problems.push(format!("`approver_teams` has {team:?}; a team is named `organisation/team`"));
            }
        }
        for (name, template) in change.prompts.iter().flatten() {
            problems.extend(name.problems(template));
        }
        self.switches(change);
        if problems.is_empty() { Ok(self) } else { Err(PolicyError { problems }) }
    }

    fn switches(&mut self, change: &PolicyChange) {
        let set = |value: Option<bool>, field: &mut bool| *field = value.unwrap_or(*field);
        set(change.skip_refinement_approval, &mut self.skip_refinement_approval);
        set(change.skip_plan_approval, &mut self.skip_plan_approval);
        set(change.implement_on_approval, &mut self.implement_on_approval);
        set(change.separate_requester, &mut self.separate_requester);
        set(change.autofix_checks, &mut self.autofix_checks);
        set(change.draft_pull_requests, &mut self.draft_pull_requests);
        set(change.sign_off, &mut self.sign_off);
        set(change.collaborators_may_write, &mut self.collaborators_may_write);
        set(change.public_ticket_details, &mut self.public_ticket_details);
        if let Some(teams) = &change.approver_teams {
            self.approver_teams.clone_from(teams);
        }
        if let Some(repositories) = &change.allowed_repositories {
            self.allowed_repositories.clone_from(repositories);
        }
        if let Some(models) = &change.models {
            self.models.extend(models.clone());
        }
        self.prompts.extend(change.prompts.iter().flatten().map(|(name, template)| (*name, template.clone())));
        self.sensitive_paths.extend(change.sensitive_paths.iter().flatten().cloned());
    }

    /// Applies what a repository's `.prfactory.toml` says, keeping only what makes the policy stricter.
    pub fn tightened(self, change: &PolicyChange) -> Result<Self, PolicyError> {
        let wished = self.clone().with(change)?;
        Ok(Self {
            skip_refinement_approval: self.skip_refinement_approval && wished.skip_refinement_approval,
            skip_plan_approval: self.skip_plan_approval && wished.skip_plan_approval,
            implement_on_approval: self.implement_on_approval && wished.implement_on_approval,
            required_approvals: self.required_approvals.max(wished.required_approvals),
            separate_requester: self.separate_requester || wished.separate_requester,
            max_questions: self.max_questions.min(wished.max_questions),
            max_plan_revisions: self.max_plan_revisions.min(wished.max_plan_revisions),
            max_review_rounds: self.max_review_rounds.min(wished.max_review_rounds),
            budget_usd: self.budget_usd.min(wished.budget_usd),
            max_turns: self.max_turns.min(wished.max_turns),
            max_tokens: self.max_tokens.min(wished.max_tokens),
            max_minutes: self.max_minutes.min(wished.max_minutes),
            autofix_checks: self.autofix_checks && wished.autofix_checks,
            autofix_attempts: self.autofix_attempts.min(wished.autofix_attempts),
            draft_pull_requests: self.draft_pull_requests || wished.draft_pull_requests,
            sign_off: self.sign_off || wished.sign_off,
            collaborators_may_write: self.collaborators_may_write && wished.collaborators_may_write,
            public_ticket_details: self.public_ticket_details && wished.public_ticket_details,
            // Who may decide is the tenant's to say.
            approver_teams: self.approver_teams,
            answer_deadline_days: self.answer_deadline_days.min(wished.answer_deadline_days),
            approval_deadline_days: self.approval_deadline_days.min(wished.approval_deadline_days),
            sensitive_paths: wished.sensitive_paths,
            monthly_budget_usd: self.monthly_budget_usd,
            allowed_repositories: self.allowed_repositories,
            models: self.models,
            // What a repository says is data, not instructions to its own reviewer.
            prompts: self.prompts,
        })
    }

    /// Says whether a repository may be worked on.
    pub fn allows(&self, repo: &RepoName) -> bool {
        self.allowed_repositories.is_empty() || self.allowed_repositories.contains(repo)
    }

    /// The hash that a plan records, so that an approval names the policy it was given under.
    pub fn version(&self) -> ContentHash {
        ContentHash::of_json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_at_once() {
        let change = PolicyChange {
            required_approvals: Some(0),
            max_questions: Some(11),
            budget_usd: Some("lots".to_owned()),
            sensitive_paths: Some(vec!["a[".to_owned()]),
            ..PolicyChange::default()
        };
        let problems = Policy::standard().with(&change).map_err(|e| e.problems).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn a_repository_can_only_tighten() -> Result<(), PolicyError> {
        let loose = PolicyChange {
            skip_plan_approval: Some(true),
            required_approvals: Some(1),
            budget_usd: Some("100".to_owned()),
            draft_pull_requests: Some(false),
            max_review_rounds: Some(9),
            separate_requester: Some(false),
            allowed_repositories: Some(vec![]),
            ..PolicyChange::default()
        };
        let mut tenant = Policy::standard();
        tenant.required_approvals = 2;
        tenant.separate_requester = true;
        assert_eq!(tenant.clone().tightened(&loose)?, tenant);
        let strict = PolicyChange {
            required_approvals: Some(3),
            implement_on_approval: Some(false),
            budget_usd: Some("1".to_owned()),
            sensitive_paths: Some(vec!["billing/**".to_owned()]),
            ..PolicyChange::default()
        };
        let tight = tenant.tightened(&strict)?;
        assert_eq!((tight.required_approvals, tight.implement_on_approval), (3, false));
        assert_eq!((tight.budget_usd, tight.sensitive_paths.len()), (Usd::from_dollars(1), 1));
        Ok(())
    }

    #[test]
    fn a_repository_switches_off_what_its_tenant_allows_and_nothing_on() -> Result<(), PolicyError> {
        let switched = |on| PolicyChange {
            skip_refinement_approval: Some(on),
            skip_plan_approval: Some(on),
            implement_on_approval: Some(on),
            autofix_checks: Some(on),
            ..PolicyChange::default()
        };
        let of =
            |p: &Policy| [p.skip_refinement_approval, p.skip_plan_approval, p.implement_on_approval, p.autofix_checks];
        for tenant in [true, false] {
            for repository in [true, false] {
                let policy = Policy::standard().with(&switched(tenant))?.tightened(&switched(repository))?;
                assert_eq!(of(&policy), [tenant && repository; 4], "{tenant} and {repository}");
            }
        }
        Ok(())
    }

    #[test]
    fn only_listed_repositories_are_worked_on_where_there_is_a_list() -> Result<(), crate::name::NameError> {
        let (widgets, gadgets) = (RepoName::parse("acme/widgets")?, RepoName::parse("acme/gadgets")?);
        let mut policy = Policy::standard();
        assert!(policy.allows(&widgets) && policy.allows(&gadgets));
        policy.allowed_repositories = vec![widgets.clone()];
        assert!(policy.allows(&widgets) && !policy.allows(&gadgets));
        Ok(())
    }
}
