//! What functions tell each other; always inside a seal.

use domain::decide::Notice;
use domain::hash::ContentHash;
use domain::id::{EndpointId, MemberId, TicketId};
use domain::state::Stage;
use serde::{Deserialize, Serialize};

use crate::port::{Place, Reaction, Said};

/// The queue intake reads.
pub const INTAKE: &str = "intake";
/// The queue the model function reads.
pub const MODEL: &str = "model";
/// The queue notify reads.
pub const NOTIFY: &str = "notify";

/// Every queue there is.
pub const QUEUES: [&str; 11] =
    [INTAKE, "snapshot", "analyze", "refine", "plan", "implement", "review", "publish", "revise", MODEL, NOTIFY];

/// A verified delivery on its way to intake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryMessage {
    /// Where it came in.
    pub source: Source,
    /// The provider's name for the kind of event; unsigned, a hint.
    pub event: String,
    /// The provider's name for the delivery; unsigned, for tracing only.
    pub delivery: String,
    /// The raw body, compressed with zstd, as base64.
    pub body: String,
}

/// Where a delivery came in, as far as its verification proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The GitHub App's own webhook; the installation is in the signed body.
    Github,
    /// A tenant's own endpoint for Jira.
    Jira {
        /// The endpoint, whose secret fitted.
        endpoint: EndpointId,
        /// Which of its secrets.
        generation: u32,
    },
    /// The command line of this machine, speaking for a member.
    Cli {
        /// The member.
        member: MemberId,
    },
}

/// A turn of a stage, or a write to read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageMessage {
    /// Take the next turn.
    Turn {
        /// The ticket.
        ticket: TicketId,
        /// The stage.
        stage: Stage,
        /// The run; a past one is acknowledged and forgotten.
        run: u64,
        /// The turn; a past one likewise.
        turn: u64,
    },
    /// Read back a write that was under way when the ticket was cancelled.
    ReadBack {
        /// The ticket.
        ticket: TicketId,
        /// The write.
        intent: String,
    },
}

impl StageMessage {
    /// The ticket it is about.
    pub fn ticket(&self) -> &TicketId {
        match self {
            Self::Turn { ticket, .. } | Self::ReadBack { ticket, .. } => ticket,
        }
    }
}

/// A model call to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMessage {
    /// The ticket that waits.
    pub ticket: TicketId,
    /// The request's stored bytes.
    pub request: ContentHash,
    /// Counts from 1.
    pub attempt: u32,
}

/// Something people are to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyMessage {
    /// News of a ticket.
    Notice {
        /// The ticket.
        ticket: TicketId,
        /// The news.
        notice: Notice,
    },
    /// An answer to what somebody said.
    Reply {
        /// Where it was said.
        place: Place,
        /// What it answers, so that it is said once.
        to: String,
        /// Markdown.
        text: String,
    },
    /// An answer without words.
    React {
        /// To what.
        said: Said,
        /// Which.
        reaction: Reaction,
    },
}
