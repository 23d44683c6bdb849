//! What a GitHub keeps: people, repositories with what is said in them, installations with their tokens, deliveries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use domain::Timestamp;
use serde_json::Value;

/// A person, or a bot.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) login: String,
    /// `User` or `Bot`.
    pub(super) kind: &'static str,
}

/// Something said on an issue, a pull request or one of its lines.
#[derive(Debug, Clone)]
pub(super) struct Comment {
    pub(super) id: u64,
    /// The issue or pull request.
    pub(super) number: u64,
    pub(super) by: u64,
    pub(super) body: String,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// File and line, of a remark.
    pub(super) at: Option<(String, u64)>,
    pub(super) review: Option<u64>,
    pub(super) reply_to: Option<u64>,
    pub(super) folded: bool,
    pub(super) resolved: bool,
    pub(super) reactions: BTreeSet<(u64, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Issue {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) by: u64,
    pub(super) labels: Vec<String>,
    pub(super) open: bool,
    pub(super) updated: Timestamp,
    pub(super) reactions: BTreeSet<(u64, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Pull {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) branch: String,
    pub(super) base: String,
    pub(super) draft: bool,
    pub(super) open: bool,
    pub(super) merged: bool,
    /// Base and head for which somebody asked whether they can be merged.
    pub(super) asked: Option<(String, String)>,
    pub(super) by: u64,
    /// The head when it was closed; an open one shows its branch.
    pub(super) head: String,
}

/// A status as older systems report it.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) head: String,
    pub(super) context: String,
    pub(super) state: String,
}

#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) head: String,
    pub(super) app: u64,
    pub(super) external: Option<String>,
    pub(super) done: bool,
    pub(super) conclusion: Option<String>,
    pub(super) title: String,
    pub(super) summary: String,
}

#[derive(Debug, Clone)]
pub(super) struct Repo {
    pub(super) id: u64,
    /// `owner/name`, as it is called now.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) private: bool,
    pub(super) issues: BTreeMap<u64, Issue>,
    pub(super) pulls: BTreeMap<u64, Pull>,
    pub(super) comments: Vec<Comment>,
    pub(super) remarks: Vec<Comment>,
    /// Reviews by number, each with what it is reacted to.
    pub(super) reviews: BTreeMap<u64, BTreeSet<(u64, String)>>,
    pub(super) checks: Vec<Check>,
    pub(super) statuses: Vec<Status>,
    /// What people may do: `admin`, `write`, `read`.
    pub(super) access: HashMap<u64, &'static str>,
    /// Who signed commits made through the API.
    pub(super) signed: BTreeSet<String>,
}

impl Repo {
    /// The next number of an issue or pull request.
    pub(super) fn next(&self) -> u64 {
        let last = self.issues.keys().chain(self.pulls.keys()).max();
        last.map_or(1, |last| last + 1)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Installation {
    pub(super) id: u64,
    pub(super) account: String,
    pub(super) repos: Vec<u64>,
    pub(super) live: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) installation: u64,
    pub(super) repos: Vec<u64>,
    pub(super) permissions: BTreeMap<String, String>,
    pub(super) live: bool,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    Waiting,
    Declined,
    By(u64),
}

/// A code of the device flow.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// What the system that waits knows it by.
    pub(super) secret: String,
    /// What a person enters.
    pub(super) user: String,
    pub(super) entered: Entered,
    pub(super) until: Timestamp,
}

/// One attempt to deliver an event.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) id: u64,
    pub(super) guid: String,
    pub(super) event: String,
    pub(super) payload: Value,
    pub(super) at: Timestamp,
    pub(super) status: u16,
    pub(super) again: bool,
}

/// What a GitHub may do instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It answers with a status and does nothing.
    Before(u16),
    /// It does what it is asked to and answers with a status.
    After(u16),
    /// It asks to wait that many seconds.
    Secondary(u64),
    /// It leaves out of a list what was made last.
    Stale,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) last: u64,
    pub(super) users: Vec<User>,
    pub(super) repos: Vec<Repo>,
    pub(super) installations: Vec<Installation>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) teams: BTreeMap<String, BTreeSet<u64>>,
    /// Who owns which organisation.
    pub(super) owners: BTreeMap<String, BTreeSet<u64>>,
    /// Codes that somebody may sign in with.
    pub(super) devices: Vec<Device>,
    /// Tokens of people.
    pub(super) people: HashMap<String, u64>,
    pub(super) deliveries: Vec<Delivery>,
    /// Deliveries that somebody asked for again.
    pub(super) redelivering: Vec<(String, String, Value)>,
    /// Where events go, and the secret they are signed with.
    pub(super) hook: Option<(String, Vec<u8>)>,
    /// Whether events are lost on the way.
    pub(super) deaf: bool,
    pub(super) enterprise: bool,
    pub(super) troubles: Vec<(String, Trouble, usize)>,
    /// What came that no GitHub would take.
    pub(super) wrong: Vec<String>,
    /// When an installation wrote.
    pub(super) writes: HashMap<u64, Vec<Timestamp>>,
    /// Every request: operation, and whose token.
    pub(super) seen: Vec<(String, Option<u64>)>,
}

impl State {
    pub(super) fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn user(&self, id: u64) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn login(&self, login: &str) -> Option<&User> {
        self.users.iter().find(|user| user.login.eq_ignore_ascii_case(login))
    }

    pub(super) fn repo(&self, name: &str) -> Option<&Repo> {
        self.repos.iter().find(|repo| repo.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn repo_mut(&mut self, name: &str) -> Option<&mut Repo> {
        self.repos.iter_mut().find(|repo| repo.name.eq_ignore_ascii_case(name))
    }

    /// Takes a trouble for an operation, if one waits.
    pub(super) fn trouble(&mut self, operation: &str) -> Option<Trouble> {
        let at = self.troubles.iter().position(|(id, _, left)| id == operation && *left > 0)?;
        let (_, trouble, left) = self.troubles.get_mut(at)?;
        *left -= 1;
        Some(*trouble)
    }
}
