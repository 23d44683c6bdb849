#![doc = include_str!("../README.md")]

pub mod artifact;
pub mod call;
pub mod commit;
pub mod directory;
pub mod inbound;
pub mod key;
pub mod ledger;
pub mod message;
pub mod open;
pub mod outbox;
pub mod port;
pub mod seal;
pub mod slot;
pub mod spend;
pub mod stage;
pub mod standing;
pub mod tenancy;
pub mod ticket;

use std::sync::Arc;

use domain::name::ModelName;
use port::{Blobs, Clock, Ids, Queue, Table};
use seal::Sealer;

/// The ports that every function needs, put together once at the start of a process.
#[derive(Clone)]
pub struct Engine {
    /// Where state is kept.
    pub table: Arc<dyn Table>,
    /// How functions reach each other.
    pub queue: Arc<dyn Queue>,
    /// Where large payloads are kept.
    pub blobs: Arc<dyn Blobs>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where fresh identifiers come from.
    pub ids: Arc<dyn Ids>,
    /// What seals and opens messages.
    pub sealer: Arc<Sealer>,
    /// How many turns of one tenant run at once; any number where this is absent.
    pub slots: Option<usize>,
    /// The model of this installation, where neither tenant nor ticket names one; the provider's client knows its own
    /// where this is absent.
    pub model: Option<ModelName>,
}

/// What becomes of a queue's message after it was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It is done with.
    Ack,
    /// It must come again, after that many seconds.
    Retry {
        /// Seconds.
        after: u32,
    },
}

/// The message comes again soon: a passing trouble, or somebody else holds the ticket.
pub const RETRY_SOON: Disposition = Disposition::Retry { after: 2 };
