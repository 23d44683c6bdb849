//! The ports: everything outside is reached through one of these.

mod blobs;
mod clock;
mod forge;
mod model;
mod permit;
mod queue;
mod secret;
mod source;
mod table;
mod tracker;

pub use blobs::Blobs;
pub use clock::{Clock, Ids, fresh};
pub use forge::{
    Access, Capabilities, Checks, Forge, Opened, Person, PullRequestState, PullRequestText, RepoTokens, Signer,
};
pub use model::{
    Block, Image, Model, ModelAnswer, ModelRequest, Speaker, Stop, ToolCall, ToolResult, ToolSpec, Usage, Utterance,
};
pub use permit::Permit;
pub use queue::{Delivered, MAX_RECEIVES, Outgoing, Queue};
pub use secret::{Secret, Secrets, Vault};
pub use source::{CommitMeta, Commits, EntryKind, Snapshots, SourceTree, StoredSnapshot, TreeEntry, Workspace};
pub use table::{Condition, Index, Item, Page, Table, TableError, Write};
pub use tracker::{
    Attachment, Conclusion, Content, Phase, Place, Posted, Progress, Reaction, Remark, Reread, Said, SaidKind,
    TicketView, Tracker, Words,
};
