//! A system that is moved by hand, message by message, and copied at any moment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::name::TrackerKey;
use domain::ticket::Ticket;
use engine::Disposition;
use engine::message::QUEUES;
use engine::port::{Clock, Place};
use local::{Handler, Settings};
use prfactory::client::Client;
use prfactory::system::{Server, System};
use rusqlite::Connection;
use tempfile::TempDir;
use testkit::model::ScriptedModel;

use crate::world::{ShiftedClock, Signed, access, left};

/// The ports of a folder and the functions that work on them, none of which works by itself.
pub struct Hand {
    /// The ports.
    pub system: System,
    settings: Settings,
    handlers: BTreeMap<&'static str, Handler>,
    server: Server,
    http: reqwest::Client,
    data: PathBuf,
    copy: Option<TempDir>,
}

/// How long a message is hidden while it is handled.
const HIDDEN: Duration = Duration::from_mins(3);

impl Hand {
    /// Takes a folder in hand.
    pub async fn on(data: &Path, model: &ScriptedModel) -> Self {
        Self::of(System::open(data).unwrap(), data, model).await
    }

    /// Takes a folder in hand under another clock.
    pub async fn on_at(data: &Path, model: &ScriptedModel, clock: Arc<dyn Clock>) -> Self {
        Self::of(System::open_at(data, clock).unwrap(), data, model).await
    }

    async fn of(system: System, data: &Path, model: &ScriptedModel) -> Self {
        let handlers = system.handlers(access(model)).unwrap().into_iter().collect();
        let server = Server::start(&system, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let settings = Settings::load(data).unwrap();
        Self { system, settings, handlers, server, http: reqwest::Client::new(), data: data.to_owned(), copy: None }
    }

    /// Takes a copy of a folder in hand, so that the folder stays as it is.
    pub async fn on_copy(data: &Path, model: &ScriptedModel) -> Self {
        Self::on_copy_at(data, model, Arc::new(local::SystemClock)).await
    }

    /// The same under another clock.
    pub async fn on_copy_at(data: &Path, model: &ScriptedModel, clock: Arc<dyn Clock>) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(data, copy.path());
        let mut hand = Self::on_at(copy.path(), model, clock).await;
        hand.copy = Some(copy);
        hand
    }

    /// A member at the command line.
    pub fn client(&self, member: &str) -> Client {
        Client::new(self.system.clone(), &self.settings, Some("ten_acme"), Some(member)).unwrap()
    }

    /// The latest workflow of a ticket.
    pub async fn ticket(&self, key: &str) -> Option<Ticket> {
        self.client("ada").find(&TrackerKey::parse(key).unwrap()).await.unwrap()
    }

    /// What was said on a ticket, by the comment's id.
    pub async fn comments(&self, key: &str) -> BTreeMap<String, String> {
        let client = self.client("ada");
        let key = TrackerKey::parse(key).unwrap();
        let all = self.system.tracker.comments(client.ctx(), &Place::Ticket(key.clone())).await.unwrap();
        all.into_iter().map(|posted| (posted.id, posted.text)).collect()
    }

    /// Where the webhooks are.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    /// Sends a delivery through the front door.
    pub async fn deliver(&self, signed: &Signed) -> u16 {
        let mut request = self.http.post(format!("http://{}{}", self.server.address, signed.path));
        for (name, value) in &signed.headers {
            request = request.header(*name, value);
        }
        request.body(signed.body.clone()).send().await.unwrap().status().as_u16()
    }

    /// Handles one message of a queue; says whether there was one.
    pub async fn step(&self, queue: &'static str) -> bool {
        let taken = self.system.engine.queue.receive(queue, 1, HIDDEN, Duration::ZERO).await.unwrap();
        let Some(message) = taken.into_iter().next() else {
            return false;
        };
        let receipt = message.receipt.clone();
        match self.handlers[queue](message).await {
            Disposition::Ack => self.system.engine.queue.ack(queue, &receipt).await.unwrap(),
            Disposition::Retry { .. } => {
                self.system.engine.queue.hide(queue, &receipt, Duration::ZERO).await.unwrap();
            }
        }
        true
    }

    /// Handles what there is, and puts the clock forward where there is nothing, until something is seen.
    pub async fn patiently(&self, clock: &ShiftedClock, what: &str, seen: impl AsyncFn() -> bool) {
        // A round handles at most one message of each queue: how many there are says nothing of how long to wait.
        let (mut busy, mut idle) = (0, 0);
        while busy < 50_000 && idle < 1_000 {
            if seen().await {
                return;
            }
            let mut any = false;
            for queue in QUEUES {
                any |= self.step(queue).await;
            }
            if any {
                busy += 1;
            } else {
                idle += 1;
                clock.forward(31);
                sweep::handle(&self.system.engine).await.unwrap();
            }
        }
        let left = left(&Connection::open(self.data.join("state.db")).unwrap());
        panic!("waited in vain for {what}: {busy} rounds with something to do, {idle} without; left: {left:?}");
    }

    /// Handles messages of some queues until there are none.
    pub async fn drain(&self, queues: &[&'static str]) {
        for _ in 0..200 {
            let mut any = false;
            for queue in queues {
                any |= self.step(queue).await;
            }
            if !any {
                return;
            }
        }
        panic!("the messages of {queues:?} never end");
    }

    /// Handles one message of any queue at a time until a ticket is in a state; says whether it got there.
    pub async fn until(&self, key: &str, state: &str) -> bool {
        loop {
            let ticket = self.ticket(key).await;
            if ticket.is_some_and(|ticket| ticket.state.name() == state) {
                return true;
            }
            let mut any = false;
            for queue in QUEUES {
                if self.step(queue).await {
                    any = true;
                    break;
                }
            }
            if !any {
                return false;
            }
        }
    }
}

/// Copies a folder whose state file nobody writes at the moment.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target);
        } else if entry.file_name() != "state.db-shm" {
            std::fs::copy(&source, &target).unwrap();
        }
    }
}
