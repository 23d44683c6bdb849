//! Where people read and speak: tickets, pull requests, their threads and their checks.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use domain::error::Failure;
use domain::name::{CommitSha, RepoName, TrackerKey};
use domain::ticket::TicketText;
use serde::{Deserialize, Serialize};

use super::Permit;
use crate::tenancy::TenantCtx;

/// Where something is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On a ticket of a tracker.
    Ticket(TrackerKey),
    /// On a ticket that was made at the command line and lives nowhere else.
    Machine(TrackerKey),
    /// On a pull request.
    PullRequest(RepoName, u64),
    /// In a thread of a pull request, named by its first remark.
    Thread(RepoName, u64, String),
    /// Among the checks of a commit.
    Checks(RepoName, CommitSha),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticket(key) | Self::Machine(key) => write!(f, "{key}"),
            Self::PullRequest(repo, number) => write!(f, "{repo}/pull/{number}"),
            Self::Thread(repo, number, id) => write!(f, "{repo}/pull/{number}#{id}"),
            Self::Checks(repo, head) => write!(f, "{repo}/commit/{head}"),
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// It is as it should be.
    Success,
    /// Nothing to object, nothing to confirm: we declined, or stopped.
    Neutral,
    /// A person has to act.
    ActionRequired,
}

/// What is said: Markdown, under a marker by which it is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words<'a> {
    /// Names it on its place; people do not see it.
    pub marker: &'a str,
    /// Markdown. A check's first line is its title.
    pub text: &'a str,
    /// How a check ended; for nothing but checks.
    pub conclusion: Option<Conclusion>,
}

impl Words<'_> {
    /// The text with the marker in it, where a place has no better room for it.
    pub fn marked(&self) -> String {
        format!("{}\n\n{}", self.text.trim_end(), Self::comment(self.marker))
    }

    /// The marker as a comment of Markdown.
    pub fn comment(marker: &str) -> String {
        format!("<!-- prfactory:{marker} -->")
    }
}

/// A comment of ours that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// The tracker's name for it.
    pub id: String,
    /// Its text, the marker included where that is part of it.
    pub text: String,
}

/// What kind of thing a person wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaidKind {
    /// The ticket itself.
    Ticket,
    /// A comment on a ticket or pull request.
    Comment,
    /// A remark on a line of a pull request.
    Remark,
    /// The text of a review.
    Review,
}

/// Something a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Where.
    pub place: Place,
    /// The provider's id; empty for a ticket.
    pub id: String,
    /// What it is.
    pub kind: SaidKind,
}

/// An answer without words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// 👀: seen, at work.
    Seen,
    /// 🚀: the pull request is open.
    Opened,
    /// 👍: done, and nothing runs because of it.
    Done,
    /// 😕: refused or not understood.
    Refused,
}

/// What became of something a person wrote since it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reread {
    /// This place cannot be asked.
    Unasked,
    /// It is gone.
    Gone,
    /// It is there.
    There {
        /// Who wrote it, by the provider's id.
        by: String,
        /// What it says now.
        body: String,
        /// Whether it was edited since it was written.
        edited: bool,
    },
}

/// Where a ticket's work stands, for the ticket's own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Work has begun.
    InProgress,
    /// The pull request is open.
    InReview,
    /// The pull request was merged.
    Done,
    /// It ended otherwise.
    Ended,
}

/// What a ticket's own fields shall show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Where the work stands.
    pub phase: Phase,
    /// The pull request: its address and its title.
    pub pull_request: Option<(String, String)>,
}

/// Something that people wrote or attached, as the context of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// Who.
    pub by: String,
    /// When, as the provider writes it.
    pub at: String,
    /// Markdown.
    pub text: String,
}

/// A file that is attached to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its media type, as the provider says it.
    pub kind: String,
    /// What is in it, as far as it can be read.
    pub content: Content,
}

/// What is in an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing that can be read, or too much of it.
    Unread,
    /// Text.
    Text(String),
    /// An image, made fit for a model.
    Image {
        /// `image/png` or `image/jpeg`.
        kind: &'static str,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// A ticket as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketView {
    /// Its words, as Markdown.
    pub text: TicketText,
    /// Its labels.
    pub labels: Vec<String>,
    /// Names of its components, and values of the field that names repositories.
    pub components: Vec<String>,
    /// The latest remarks of people, oldest first.
    pub remarks: Vec<Remark>,
    /// What is attached.
    pub attachments: Vec<Attachment>,
}

/// Where people read and speak. What a place has no room for is left out by the adapter.
#[async_trait]
pub trait Tracker: Send + Sync {
    /// How long a comment may be on a place before [`Tracker::find`] shows it.
    async fn lag(&self, ctx: &TenantCtx, place: &Place) -> Result<Duration, Failure>;

    /// Most characters of one comment; more is said in several.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Finds our own comments on a place that carry a marker, oldest first.
    async fn find(&self, ctx: &TenantCtx, place: &Place, marker: &str) -> Result<Vec<Posted>, Failure>;

    /// Adds a comment.
    async fn create(&self, ctx: &TenantCtx, place: &Place, words: &Words<'_>) -> Result<Posted, Failure>;

    /// Changes a comment of ours; `None` when somebody deleted it.
    async fn update(
        &self,
        ctx: &TenantCtx,
        place: &Place,
        id: &str,
        words: &Words<'_>,
    ) -> Result<Option<Posted>, Failure>;

    /// Removes a comment of ours; one that is gone stays gone.
    async fn delete(&self, ctx: &TenantCtx, place: &Place, id: &str) -> Result<(), Failure>;

    /// Folds away a comment of ours that newer ones replace.
    async fn fold(&self, _ctx: &TenantCtx, _place: &Place, _id: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Marks a thread as resolved.
    async fn resolve(&self, _ctx: &TenantCtx, _place: &Place) -> Result<(), Failure> {
        Ok(())
    }

    /// Reacts to what a person wrote; doing it again changes nothing.
    async fn react(&self, _ctx: &TenantCtx, _said: &Said, _reaction: Reaction) -> Result<(), Failure> {
        Ok(())
    }

    /// Reads again what a person wrote.
    async fn reread(&self, _ctx: &TenantCtx, _said: &Said) -> Result<Reread, Failure> {
        Ok(Reread::Unasked)
    }

    /// Reads a ticket; `None` where that cannot be done.
    async fn read(&self, _ctx: &TenantCtx, _key: &TrackerKey) -> Result<Option<TicketView>, Failure> {
        Ok(None)
    }

    /// Brings a ticket's own fields up to date; says what it was not allowed to do, in sentences for people.
    ///
    /// It takes several calls; the permit is asked before each that writes.
    async fn advance(
        &self,
        _ctx: &TenantCtx,
        _key: &TrackerKey,
        _to: &Progress,
        _permit: &Permit,
    ) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }
}
