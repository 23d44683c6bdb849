//! One thread that writes and one that reads; waiting writes share a commit.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use thiserror::Error;
use tokio::sync::oneshot;

/// Why the database did not answer.
#[derive(Debug, Error)]
pub enum DbError {
    /// SQLite said no.
    #[error("the state file refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder for the state cannot be made.
    #[error("the folder {folder} cannot be written: {error}", folder = folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The database's thread is gone.
    #[error("the state file is closed")]
    Closed,
}

impl DbError {
    /// Says whether somebody else is writing or the disk is short of room: waiting may help.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => matches!(
                error.code,
                rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked | rusqlite::ErrorCode::DiskFull
            ),
            Self::Sqlite(_) | Self::Folder { .. } | Self::Closed => false,
        }
    }
}

type Finish = Box<dyn FnOnce(Option<rusqlite::Error>) + Send>;
/// Runs on the connection, or hears why there is none; says whether its writes may stand.
type Job = Box<dyn FnOnce(Result<&Connection, rusqlite::Error>) -> (bool, Finish) + Send>;

/// The state file of one machine.
#[derive(Debug, Clone)]
pub struct Db {
    write: Sender<Job>,
    read: Sender<Job>,
}

/// Most writes that share one commit; more would only make the first of them wait.
const MAX_BATCH: usize = 64;
/// How long SQLite waits for another process before it says busy.
const BUSY: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS item (
  pk TEXT NOT NULL, sk TEXT NOT NULL, version INTEGER NOT NULL, fence INTEGER NOT NULL, lease_until INTEGER,
  listing_pk TEXT, listing_sk TEXT, due INTEGER, expires INTEGER, body TEXT NOT NULL,
  PRIMARY KEY (pk, sk)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_listing ON item (listing_pk, listing_sk) WHERE listing_pk IS NOT NULL;
CREATE INDEX IF NOT EXISTS item_due ON item (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, grp TEXT NOT NULL, body TEXT NOT NULL,
  visible_at INTEGER NOT NULL, receives INTEGER NOT NULL DEFAULT 0, receipt TEXT, dead INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS message_visible ON message (queue, dead, visible_at);
";

/// What changed since the first schema; a file remembers in `user_version` how far it has come.
const CHANGES: [&str; 3] = [
    "ALTER TABLE message ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX item_expires ON item (expires) WHERE expires IS NOT NULL",
    "CREATE INDEX message_group ON message (queue, dead, grp, visible_at, id);
     CREATE INDEX message_in_hand ON message (queue, grp, visible_at) WHERE receipt IS NOT NULL AND dead = 0",
];

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    let done: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (number, change) in (1..).zip(CHANGES).filter(|(number, _)| *number > done) {
        transaction.execute_batch(change)?;
        transaction.pragma_update(None, "user_version", number)?;
    }
    transaction.commit()
}

impl Db {
    /// Opens or makes the state file of a folder.
    pub fn open(folder: &Path) -> Result<Self, DbError> {
        let unusable = |error| DbError::Folder { folder: folder.to_owned(), error };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        // SQLite would say only that it cannot open a file.
        tempfile::tempfile_in(folder).map_err(unusable)?;
        let path = folder.join("state.db");
        let mut writer = connect(&path)?;
        migrate(&mut writer)?;
        let reader = connect(&path)?;
        let (write, to_write) = channel();
        let (read, to_read) = channel();
        std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || run_writer(&writer, &to_write))
            .map_err(unusable)?;
        std::thread::Builder::new()
            .name("state-reader".to_owned())
            .spawn(move || run_reader(&reader, &to_read))
            .map_err(unusable)?;
        Ok(Self { write, read })
    }

    /// Runs a write; it is on disk when this returns.
    pub async fn write<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        submit(&self.write, work).await
    }

    /// Runs a read.
    pub async fn read<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        submit(&self.read, work).await
    }
}

async fn submit<T, F>(to: &Sender<Job>, work: F) -> Result<T, DbError>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
{
    let (tell, told) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        let result = connection.and_then(work);
        let stands = result.is_ok();
        let finish: Finish = Box::new(move |commit_error| {
            let result = match commit_error {
                Some(error) => Err(error),
                None => result,
            };
            // The caller may have been dropped; the write stands all the same.
            let _ = tell.send(result);
        });
        (stands, finish)
    });
    to.send(job).map_err(|_| DbError::Closed)?;
    Ok(told.await.map_err(|_| DbError::Closed)??)
}

fn connect(path: &Path) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // Every query here uses one index whatever its values are; without this SQLite plans again at each new value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: what was acknowledged survives a loss of power, not only a crash of the process.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn run_reader(connection: &Connection, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        job(Ok(connection)).1(None);
    }
}

fn run_writer(connection: &Connection, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            for job in batch {
                job(Err(copy_of(&error))).1(None);
            }
            continue;
        }
        let finishes: Vec<Finish> = batch.into_iter().map(|job| in_savepoint(connection, job)).collect();
        let committed = connection.execute_batch("COMMIT");
        if committed.is_err() {
            // Whether this works or not, nobody is told that the writes stand.
            let _ = connection.execute_batch("ROLLBACK");
        }
        for finish in finishes {
            finish(committed.as_ref().err().map(copy_of));
        }
    }
}

/// Runs one of several writes so that its failure undoes all of itself and nothing else.
fn in_savepoint(connection: &Connection, job: Job) -> Finish {
    if let Err(error) = connection.execute_batch("SAVEPOINT one") {
        return job(Err(error)).1;
    }
    let (stands, finish) = job(Ok(connection));
    let end = if stands { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" };
    match connection.execute_batch(end) {
        Ok(()) => finish,
        Err(error) => Box::new(move |commit| finish(Some(commit.unwrap_or(error)))),
    }
}

fn copy_of(error: &rusqlite::Error) -> rusqlite::Error {
    if let rusqlite::Error::SqliteFailure(code, text) = error {
        return rusqlite::Error::SqliteFailure(*code, text.clone());
    }
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(1), Some(error.to_string()))
}
