#![doc = include_str!("../README.md")]

mod blobs;
mod db;
mod keeping;
mod queue;
mod secrets;
pub mod settings;
mod table;
mod takeover;
mod vault;
mod workers;

pub use ::clock::{SystemClock, SystemIds};
pub use blobs::FolderBlobs;
pub use db::{Db, DbError};
pub use keeping::{Removed, tidy};
pub use queue::SqliteQueue;
pub use secrets::FileSecrets;
pub use settings::{Settings, SettingsError, seed};
pub use table::SqliteTable;
pub use takeover::Takeover;
pub use vault::LocalVault;
pub use workers::{Handler, Workers};
