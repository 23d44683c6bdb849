//! The forge: pull requests and what is said on them.

use async_trait::async_trait;
use domain::error::Failure;
use domain::name::CommitSha;
use domain::ticket::{PullRequestRef, Target};
use serde::{Deserialize, Serialize};

use crate::port::Permit;
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

/// Where pull requests live.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

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

    /// Closes a pull request without a merge; a closed one stays as it is.
    async fn close(&self, ctx: &TenantCtx, target: &Target, number: u64) -> Result<(), Failure>;
}
