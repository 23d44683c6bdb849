//! The forge: pull requests and what is said on them.

use async_trait::async_trait;
use domain::error::Failure;
use domain::name::{CommitSha, RepoName};
use domain::principal::Role;
use domain::ticket::{PullRequestRef, Target};
use serde::{Deserialize, Serialize};

use crate::inbound::{Named, Thread};
use crate::port::{Permit, Secret};
use crate::tenancy::TenantCtx;

/// What a forge can do; stages ask this, never for a forge's name.
#[expect(clippy::struct_excessive_bools, reason = "a forge has any combination of these")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Pull requests can be drafts.
    pub drafts: bool,
    /// Comments can have reactions.
    pub reactions: bool,
    /// Review threads can be resolved.
    pub resolvable_threads: bool,
    /// Check runs can be published.
    pub check_runs: bool,
    /// Commits are made through an API rather than pushed.
    pub api_commits: bool,
}

/// Where a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullRequestState {
    /// Open.
    Open,
    /// Closed without a merge.
    Closed,
    /// Merged.
    Merged,
}

/// What a pull request says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestText {
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Whether it is a draft.
    pub draft: bool,
}

/// A pull request that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// What a ticket remembers of it.
    pub reference: PullRequestRef,
    /// Where it stands.
    pub state: PullRequestState,
    /// What it says.
    pub text: PullRequestText,
}

/// A person as the forge knows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The number that stays.
    pub id: u64,
    /// The name that can change, and can be taken over by somebody else.
    pub login: String,
}

/// What the forge itself lets a person do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nothing.
    None,
    /// Look.
    Read,
    /// Push.
    Write,
    /// Everything.
    Admin,
}

impl Access {
    /// The most that a person can be here.
    pub fn most(self) -> Option<Role> {
        match self {
            Self::None => None,
            Self::Read => Some(Role::Reader),
            Self::Write => Some(Role::Approver),
            Self::Admin => Some(Role::Admin),
        }
    }
}

/// How the checks of a commit stand, ours left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// How many there are.
    pub total: usize,
    /// How many have not ended.
    pub running: usize,
    /// How many are as they should be.
    pub passed: usize,
    /// Those that failed: name, and what they say in short.
    pub failed: Vec<(String, String)>,
}

/// Signs with the App's private key, RS256; where the key is kept is the adapter's affair.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Signs a message.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure>;
}

/// Tokens for git, minted for one repository.
#[async_trait]
pub trait RepoTokens: Send + Sync {
    /// Where git finds a repository.
    fn address(&self, name: &RepoName) -> String;

    /// A token that may read the repository and nothing else; `None` where the repository has none of this kind.
    async fn to_read(&self, ctx: &TenantCtx, repo: &RepoName) -> Result<Option<Secret>, Failure>;
}

/// Where pull requests live.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The number of the App that we are there, where we are one.
    fn app(&self) -> Option<u64> {
        None
    }

    /// Finds the pull request of the target's branch into its base, whatever its state.
    async fn find(&self, ctx: &TenantCtx, target: &Target) -> Result<Option<Opened>, Failure>;

    /// Opens a pull request; one that exists for the branch is read back instead.
    async fn open(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure>;

    /// Brings head and text of an open pull request up to date.
    async fn update(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        number: u64,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure>;

    /// Takes a draft for ready to be reviewed; one that is no draft stays as it is.
    async fn ready(&self, _ctx: &TenantCtx, _target: &Target, _number: u64) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether the pull request can be merged without conflicts; `None` where that cannot be found out within seconds.
    async fn mergeable(&self, _ctx: &TenantCtx, _target: &Target, _number: u64) -> Result<Option<bool>, Failure> {
        Ok(None)
    }

    /// How the checks of a commit stand; `None` where the forge has none.
    async fn checks(&self, _ctx: &TenantCtx, _repo: &RepoName, _head: &CommitSha) -> Result<Option<Checks>, Failure> {
        Ok(None)
    }

    /// What a repository is called now, whether everybody can read it, and its default branch; `None` where the forge
    /// has no say in that.
    async fn about(&self, _ctx: &TenantCtx, _repo: &RepoName) -> Result<Option<Named>, Failure> {
        Ok(None)
    }

    /// The remarks on lines of one submitted review; `None` where the forge has to be told of each.
    async fn remarks(
        &self,
        _ctx: &TenantCtx,
        _repo: &RepoName,
        _number: u64,
        _review: &str,
    ) -> Result<Option<Vec<Thread>>, Failure> {
        Ok(None)
    }

    /// What the forge lets a person do with a repository now; `None` where it does not know people.
    async fn access(&self, _ctx: &TenantCtx, _repo: &RepoName, _who: &Person) -> Result<Option<Access>, Failure> {
        Ok(None)
    }

    /// Whether a person is in a team, named `organisation/team`.
    async fn in_team(&self, _ctx: &TenantCtx, _repo: &RepoName, _team: &str, _who: &Person) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Who signs commits off: `Name <address>` of whoever the forge has as their author; `None` where it does not say.
    async fn signature(&self, _ctx: &TenantCtx, _target: &Target) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Closes a pull request without a merge; a closed one stays as it is.
    async fn close(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<(), Failure>;
}
