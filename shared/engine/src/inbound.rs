//! What providers tell us, in the domain's words; adapters make these from wire formats.

use commands::Markup;
use domain::Timestamp;
use domain::name::{BranchName, CommitSha, RepoName, TrackerKey};
use domain::ticket::TicketText;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::port::{Image, Place, Remark};

/// Somebody on a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `github` or `jira`.
    pub provider: &'static str,
    /// The provider's own id, never a name that can be taken over.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// Whether this is a person; bots, apps and portal customers never act.
    pub is_person: bool,
}

/// One delivery, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The GitHub installation in the signed body, where there is one.
    pub installation: Option<u64>,
    /// The repository of GitHub that it is about, where there is one.
    pub repository: Option<Named>,
    /// Who did it.
    pub actor: Option<Actor>,
    /// What happened.
    pub news: InboundNews,
}

/// A repository as a delivery names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The number that stays.
    pub id: u64,
    /// What it is called now.
    pub name: RepoName,
    /// Whether everybody can read it, where the delivery says so.
    pub public: Option<bool>,
    /// The branch people merge into, where the delivery says so.
    pub base: Option<String>,
}

/// What happened on the provider's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundNews {
    /// Nothing for us; the reason is recorded.
    Ignored(&'static str),
    /// Labels of a ticket changed, or somebody was assigned.
    Labels {
        /// The ticket.
        key: TrackerKey,
        /// Its words now.
        text: TicketText,
        /// The repository the ticket lives in, where tracker and forge are one.
        repo: Option<RepoName>,
        /// Labels set by this very change.
        added: Vec<String>,
        /// Labels removed by this very change.
        removed: Vec<String>,
        /// When, by the provider's clock.
        at: Option<Timestamp>,
    },
    /// Somebody wrote a comment.
    Comment {
        /// Where.
        place: Place,
        /// The words of the ticket or pull request, frozen in the delivery.
        text: TicketText,
        /// The repository the ticket lives in, where tracker and forge are one.
        repo: Option<RepoName>,
        /// The provider's id of the comment.
        id: String,
        /// What it says.
        body: String,
        /// How it is written.
        markup: Markup,
    },
    /// A pull request was closed.
    PullRequestClosed {
        /// Where.
        repo: RepoName,
        /// Which.
        number: u64,
        /// Whether by merging it.
        merged: bool,
    },
    /// Somebody submitted a review.
    Review {
        /// Where.
        repo: RepoName,
        /// Which pull request.
        number: u64,
        /// The provider's id of the review.
        id: String,
        /// The name by which it can be reacted to.
        node: String,
        /// Whether it asks for changes.
        asks_for_changes: bool,
        /// Its text.
        body: String,
    },
    /// Somebody wrote a comment on a line of a pull request.
    ReviewComment {
        /// Where.
        repo: RepoName,
        /// Which pull request.
        number: u64,
        /// The provider's id of the review it is part of, where it is.
        review: Option<String>,
        /// The comment, as the batch keeps it.
        thread: Thread,
    },
    /// Checks of a commit are complete.
    Checks {
        /// Where.
        repo: RepoName,
        /// Which commit.
        head: CommitSha,
        /// Whose checks these are, by the App's number.
        app: Option<u64>,
        /// The branches of ours that have it, as far as the delivery names them.
        branches: Vec<BranchName>,
        /// Which pull requests have it as their head; none where there is none yet, or the delivery does not say.
        numbers: Vec<u64>,
    },
    /// A branch that is not ours moved on.
    Advanced {
        /// Where.
        repo: RepoName,
        /// Which.
        branch: BranchName,
    },
    /// Somebody pushed to a pull request.
    Pushed {
        /// Where.
        repo: RepoName,
        /// Which.
        number: u64,
        /// What it shows now.
        head: CommitSha,
    },
    /// The app was installed, or is active again.
    Installed {
        /// What it may see, where the delivery says so.
        repositories: Vec<Named>,
    },
    /// What the app may see changed.
    Repositories {
        /// What it may see now.
        added: Vec<Named>,
        /// What it may see no longer.
        removed: Vec<Named>,
    },
    /// A repository has another name, another owner or another audience.
    Renamed,
    /// The app was removed, or suspended until somebody makes it active again.
    Uninstalled {
        /// Whether that can be taken back.
        suspended: bool,
    },
}

/// What people said and attached to a ticket before it was triggered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketContext {
    /// The latest remarks, oldest first.
    pub remarks: Vec<Remark>,
    /// The attachments.
    pub attachments: Vec<Attached>,
}

/// A file that was attached to a ticket, as its context keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its name.
    pub name: String,
    /// Its media type, as the provider says it.
    pub kind: String,
    /// Its text; absent where it is none, or too large.
    pub text: Option<String>,
    /// The image that it is.
    #[serde(default)]
    pub image: Option<Image>,
}

/// One remark on a line, as a review batch keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The provider's id.
    pub id: String,
    /// The file.
    pub path: String,
    /// The line in the new version, where it has one.
    pub line: Option<u64>,
    /// What it says.
    pub body: String,
    /// Who wrote it.
    pub by: String,
}

/// A review of people, as the revise stage reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The provider's id of the review; empty for a plain request.
    pub id: String,
    /// Who wrote it.
    pub by: String,
    /// Its text.
    pub body: String,
    /// Its remarks on lines.
    pub threads: Vec<Thread>,
}

/// A delivery that does not have the shape its provider documents.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the delivery cannot be read: {0}")]
pub struct InboundError(pub String);
