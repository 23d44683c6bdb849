//! A stand-in for GitHub: its REST and GraphQL APIs over HTTP, git behind them, people who write and review, deliveries.
//!
//! It keeps state, checks every request and every answer of its own against the published description, takes no token
//! for more than it was minted for, and remembers whatever no GitHub would take.
#![allow(clippy::indexing_slicing, reason = "a JSON value answers with null to a name that it does not have")]

mod answer;
mod checks;
mod graphql;
mod hook;
mod login;
mod people;
mod pulls;
mod repository;
mod serve;
mod state;
mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::pace::Pace;
pub use people::Remark;
pub use state::Trouble;
use state::{Comment, Installation, Repo, State, User};

/// The App's number.
pub const APP: u64 = 4_711;
/// What the App is called.
pub const SLUG: &str = "prfactory";
/// By which people sign in to it.
pub const CLIENT: &str = "Iv23testkit";
/// The number of the App's own user.
const BOT: u64 = 9_001;

/// What time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The key that the App signs with; made anew for each stand-in.
struct Key {
    public: Vec<u8>,
}

impl Key {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public).verify(message, signature).is_ok()
    }
}

struct Inner {
    state: Mutex<State>,
    key: Key,
    clock: Clock,
    http: reqwest::Client,
    pace: Pace,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the App's own user.
fn bot(state: &State) -> u64 {
    state.users.iter().find(|user| user.kind == "Bot").map_or(BOT, |user| user.id)
}

/// A GitHub that is listening.
pub struct GithubHost {
    address: SocketAddr,
    inner: Arc<Inner>,
    pem: String,
    server: JoinHandle<()>,
}

/// What stands on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub id: u64,
    /// Who wrote it.
    pub by: String,
    /// What it says.
    pub body: String,
    /// How it was reacted to.
    pub reactions: Vec<String>,
    /// Whether it is folded away.
    pub folded: bool,
    /// Whether its thread is resolved.
    pub resolved: bool,
    /// The remark it answers.
    pub reply_to: Option<u64>,
}

/// A pull request as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullSeen {
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// The branch it comes from.
    pub branch: String,
    /// The commit it shows.
    pub head: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// Whether it is open.
    pub open: bool,
}

impl GithubHost {
    /// Starts one that knows nobody but the App.
    pub async fn start(clock: Clock) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let failed = |_| std::io::Error::other("no RSA key can be made");
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der = pair.as_der().map_err(failed)?;
        let lines = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = lines.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        let us = User { id: BOT, login: format!("{SLUG}[bot]"), kind: "Bot" };
        let state = State { users: vec![us], last: 10_000, ..State::default() };
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            key: Key { public: pair.public_key().as_ref().to_vec() },
            clock,
            http: reqwest::Client::new(),
            pace: Pace::default(),
        });
        let app = Router::new().fallback(serve::serve).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            // The server ends when it is dropped.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, inner, pem, server })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The private key that it made for the App.
    pub fn private_key(&self) -> &str {
        &self.pem
    }

    /// Sends events to an address from now on, signed with a secret.
    pub fn connect(&self, url: &str, secret: &[u8]) {
        self.inner.state().hook = Some((url.to_owned(), secret.to_vec()));
    }

    /// Has the addresses of an Enterprise Server from now on.
    pub fn enterprise(&self) {
        self.inner.state().enterprise = true;
    }

    /// Loses events on their way, or no longer.
    pub fn deaf(&self, deaf: bool) {
        self.inner.state().deaf = deaf;
    }

    /// Makes trouble for an operation so many times.
    pub fn trouble(&self, operation: &str, trouble: Trouble, times: usize) {
        self.inner.state().troubles.push((operation.to_owned(), trouble, times));
    }

    /// A person.
    pub fn user(&self, id: u64, login: &str) {
        self.inner.state().users.push(User { id, login: login.to_owned(), kind: "User" });
    }

    /// Somebody that is no person.
    pub fn robot(&self, id: u64, login: &str) {
        self.inner.state().users.push(User { id, login: login.to_owned(), kind: "Bot" });
        // The App stays the first of them.
        self.inner.state().users.sort_by_key(|user| (user.kind != "Bot" || user.id != BOT, user.id));
    }

    /// A repository over a bare one.
    pub fn repository(&self, id: u64, name: &str, path: PathBuf, private: bool) {
        let repo = Repo {
            id,
            name: name.to_owned(),
            path,
            private,
            issues: BTreeMap::new(),
            pulls: BTreeMap::new(),
            comments: Vec::new(),
            remarks: Vec::new(),
            reviews: BTreeMap::new(),
            checks: Vec::new(),
            statuses: Vec::new(),
            access: HashMap::new(),
            signed: BTreeSet::new(),
        };
        self.inner.state().repos.push(repo);
    }

    /// Lets a person do something with a repository: `admin`, `write`, `read`, `none`.
    pub fn grant(&self, repo: &str, login: &str, access: &'static str) {
        let mut state = self.inner.state();
        let id = state.login(login).map_or(0, |user| user.id);
        if let Some(repo) = state.repo_mut(repo) {
            repo.access.insert(id, access);
        }
    }

    /// What a person may do with a repository.
    pub fn access(&self, repo: &str, login: &str) -> &'static str {
        let state = self.inner.state();
        let id = state.login(login).map_or(0, |user| user.id);
        state.repo(repo).and_then(|repo| repo.access.get(&id).copied()).unwrap_or("none")
    }

    /// Puts a person into a team, `organisation/team`.
    pub fn team(&self, team: &str, login: &str) {
        let mut state = self.inner.state();
        let id = state.login(login).map_or(0, |user| user.id);
        state.teams.entry(team.to_owned()).or_default().insert(id);
    }

    /// Installs the App for an account, on some of its repositories; nobody is told.
    pub fn install(&self, id: u64, account: &str, repos: &[u64]) {
        let made = Installation { id, account: account.to_owned(), repos: repos.to_vec(), live: true };
        let mut state = self.inner.state();
        state.installations.retain(|installation| installation.id != id);
        state.installations.push(made);
    }

    /// What stands on an issue or a pull request.
    pub fn seen(&self, repo: &str, number: u64) -> Vec<Seen> {
        let state = self.inner.state();
        let all = state.repo(repo).map(|repo| repo.comments.clone()).unwrap_or_default();
        all.into_iter().filter(|comment| comment.number == number).map(|comment| seen(&state, comment)).collect()
    }

    /// The remarks on the lines of a pull request.
    pub fn remarks(&self, repo: &str, number: u64) -> Vec<Seen> {
        let state = self.inner.state();
        let all = state.repo(repo).map(|repo| repo.remarks.clone()).unwrap_or_default();
        all.into_iter().filter(|comment| comment.number == number).map(|comment| seen(&state, comment)).collect()
    }

    /// How an issue itself was reacted to.
    pub fn reactions(&self, repo: &str, number: u64) -> Vec<String> {
        let state = self.inner.state();
        let issue = state.repo(repo).and_then(|repo| repo.issues.get(&number));
        issue.map(|issue| issue.reactions.iter().map(|(_, what)| what.clone()).collect()).unwrap_or_default()
    }

    /// An issue's labels, and whether it is open.
    pub fn issue(&self, repo: &str, number: u64) -> Option<(Vec<String>, bool)> {
        let state = self.inner.state();
        state.repo(repo).and_then(|repo| repo.issues.get(&number)).map(|issue| (issue.labels.clone(), issue.open))
    }

    /// A pull request.
    pub fn pull(&self, repo: &str, number: u64) -> Option<PullSeen> {
        let state = self.inner.state();
        let repo = state.repo(repo)?;
        let pull = repo.pulls.get(&number)?;
        Some(PullSeen {
            title: pull.title.clone(),
            body: pull.body.clone(),
            branch: pull.branch.clone(),
            head: pulls::shown(repo, pull),
            draft: pull.draft,
            open: pull.open,
        })
    }

    /// How many pull requests there are.
    pub fn pulls(&self, repo: &str) -> usize {
        self.inner.state().repo(repo).map_or(0, |repo| repo.pulls.len())
    }

    /// The checks of a commit: name, conclusion, title.
    pub fn checks(&self, repo: &str, head: &str) -> Vec<(String, Option<String>, String)> {
        let state = self.inner.state();
        let all = state.repo(repo).map(|repo| repo.checks.clone()).unwrap_or_default();
        let ours = all.into_iter().filter(|check| check.head == head);
        ours.map(|check| (check.name, check.conclusion, check.title)).collect()
    }

    /// Whether a commit was made through the API, so that GitHub signed it.
    pub fn is_signed(&self, repo: &str, commit: &str) -> bool {
        self.inner.state().repo(repo).is_some_and(|repo| repo.signed.contains(commit))
    }

    /// What came that no GitHub would take.
    pub fn wrong(&self) -> Vec<String> {
        self.inner.state().wrong.clone()
    }

    /// Every operation that was asked for, with the installation whose token it was.
    pub fn asked(&self) -> Vec<(String, Option<u64>)> {
        self.inner.state().seen.clone()
    }

    /// Every token that was minted: what it was for, and whether it still holds.
    pub fn tokens(&self) -> Vec<(BTreeMap<String, String>, Vec<u64>, bool)> {
        let state = self.inner.state();
        state.tokens.values().map(|token| (token.permissions.clone(), token.repos.clone(), token.live)).collect()
    }

    /// The most that one installation wrote within any minute.
    pub fn busiest(&self) -> usize {
        let state = self.inner.state();
        let most = state.writes.values().map(|writes| {
            let within = |at: &Timestamp| {
                writes.iter().filter(|other| (0..60).contains(&other.duration_since(*at).as_secs())).count()
            };
            writes.iter().map(within).max().unwrap_or(0)
        });
        most.max().unwrap_or(0)
    }

    /// Deliveries by their last status: how many events got through, and how many did not.
    pub fn delivered(&self) -> (usize, usize) {
        let state = self.inner.state();
        let mut events: BTreeMap<&str, bool> = BTreeMap::new();
        for delivery in &state.deliveries {
            *events.entry(&delivery.guid).or_default() |= delivery.status < 300;
        }
        (events.values().filter(|came| **came).count(), events.values().filter(|came| !**came).count())
    }

    /// Ends every token that holds, before its time.
    pub fn end_tokens(&self) {
        self.inner.state().tokens.values_mut().for_each(|token| token.live = false);
    }

    /// How long it waits before each answer.
    pub fn pace(&self) -> &Pace {
        &self.inner.pace
    }
}

fn seen(state: &State, comment: Comment) -> Seen {
    Seen {
        id: comment.id,
        by: state.user(comment.by).map_or_else(String::new, |user| user.login.clone()),
        body: comment.body,
        reactions: comment.reactions.into_iter().map(|(_, what)| what).collect(),
        folded: comment.folded,
        resolved: comment.resolved,
        reply_to: comment.reply_to,
    }
}

impl Comment {
    fn new(id: u64, number: u64, by: u64, body: &str, now: Timestamp) -> Self {
        Self {
            id,
            number,
            by,
            body: body.to_owned(),
            created: now,
            updated: now,
            at: None,
            review: None,
            reply_to: None,
            folded: false,
            resolved: false,
            reactions: BTreeSet::new(),
        }
    }
}

impl Drop for GithubHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}
