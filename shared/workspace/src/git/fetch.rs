//! Our own fetch by protocol version 2: one branch, one commit deep, no large files, straight to a file.
//!
//! What arrives is counted before it is kept, and gix indexes it under a limit for every allocation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;
use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use jiff::SignedDuration;
use reqwest::header::CONTENT_TYPE;
use tokio::io::AsyncWriteExt as _;

use crate::git::http::{Packet, Packets, Remote, packet};
use crate::snapshot::{Limits, io};

/// What a server says it can do.
#[derive(Debug, Default, Clone, Copy)]
struct Abilities {
    version_2: bool,
    filter: bool,
}

/// What servers said they can do, so that they need not be asked before each question.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<BTreeMap<String, (Timestamp, Abilities)>>);

/// How long a server is believed.
const BELIEVED: SignedDuration = SignedDuration::from_mins(10);
/// Most servers that are remembered at the same time.
const MAX_KNOWN: usize = 1_000;

impl Known {
    fn get(&self, remote: &Remote<'_>) -> Option<Abilities> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(remote.url).filter(|(at, _)| remote.now.duration_since(*at).abs() < BELIEVED).map(|(_, able)| *able)
    }

    /// Asks anew next time: something went wrong, and the server may have been changed because of it.
    pub(crate) fn forget(&self, url: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
    }

    fn put(&self, remote: &Remote<'_>, able: Abilities) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(remote.url.to_owned(), (remote.now, able));
    }
}

/// Most lines of capabilities or refs that are read; we ask for one ref.
const MAX_LINES: usize = 1_000;

fn not_git() -> Failure {
    Failure::new(Fault::Invalid, "the git server does not speak version 2 of git's protocol")
}

async fn abilities(remote: &Remote<'_>) -> Result<Abilities, Failure> {
    if let Some(able) = remote.known.get(remote) {
        return Ok(able);
    }
    let url = remote.at("info/refs?service=git-upload-pack");
    let mut packets = remote.send(remote.client.get(url).header("git-protocol", "version=2"), true).await?;
    let mut found = Abilities::default();
    for _ in 0..MAX_LINES {
        match packets.next().await? {
            Packet::End => break,
            Packet::Mark => {}
            Packet::Line(line) => {
                complaint(remote, &line)?;
                let line = String::from_utf8_lossy(&line);
                found.version_2 |= line.trim_end() == "version 2";
                let words = line.trim_end().strip_prefix("fetch=").unwrap_or("");
                found.filter |= words.split(' ').any(|word| word == "filter");
            }
        }
    }
    if !found.version_2 {
        return Err(not_git());
    }
    remote.known.put(remote, found);
    Ok(found)
}

async fn command(remote: &Remote<'_>, name: &str, arguments: &[String]) -> Result<Packets, Failure> {
    let mut body = packet(&format!("command={name}\n")) + &packet("agent=prfactory") + "0001";
    for argument in arguments {
        body += &packet(&format!("{argument}\n"));
    }
    body += "0000";
    let request = remote.client.post(remote.at("git-upload-pack")).header("git-protocol", "version=2");
    remote.send(request.header(CONTENT_TYPE, "application/x-git-upload-pack-request").body(body), true).await
}

/// A server that cannot go on says why in a line of its own.
fn complaint(remote: &Remote<'_>, line: &[u8]) -> Result<(), Failure> {
    let Some(text) = line.strip_prefix(b"ERR ") else { return Ok(()) };
    let said = remote.quoted(&String::from_utf8_lossy(text));
    Err(Failure::new(Fault::Invalid, format!("the git server refused: {said}")))
}

/// The commit a branch points at.
pub(crate) async fn head(remote: &Remote<'_>, branch: &BranchName) -> Result<Option<CommitSha>, Failure> {
    abilities(remote).await?;
    look_up(remote, branch).await
}

async fn look_up(remote: &Remote<'_>, branch: &BranchName) -> Result<Option<CommitSha>, Failure> {
    let name = format!("refs/heads/{branch}");
    let mut packets = command(remote, "ls-refs", &[format!("ref-prefix {name}")]).await?;
    for _ in 0..MAX_LINES {
        let Packet::Line(line) = packets.next().await? else { return Ok(None) };
        complaint(remote, &line)?;
        let line = String::from_utf8_lossy(&line);
        if let Some((id, found)) = line.trim_end().split_once(' ')
            && found == name
        {
            let id = CommitSha::parse(id).map_err(|_| not_git())?;
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Fetches a commit without its history into a file of git's pack format.
pub(crate) async fn fetch(remote: &Remote<'_>, head: &CommitSha, into: &Path, limits: Limits) -> Result<(), Failure> {
    let able = abilities(remote).await?;
    let mut arguments = vec!["ofs-delta".to_owned(), "no-progress".to_owned(), "deepen 1".to_owned()];
    if able.filter {
        arguments.push(format!("filter blob:limit={}", limits.file_bytes + 1));
    }
    arguments.extend([format!("want {head}"), "done".to_owned()]);
    let mut packets = command(remote, "fetch", &arguments).await?;
    loop {
        match packets.next().await? {
            Packet::Line(line) if line.starts_with(b"packfile") => break,
            Packet::Line(line) => complaint(remote, &line)?,
            Packet::Mark => {}
            Packet::End => return Err(Failure::new(Fault::Transient, "the git server sent no pack")),
        }
    }
    receive(remote, &mut packets, into, limits).await
}

/// Writes the pack's bytes to the file; its checksum is verified when it is indexed.
async fn receive(remote: &Remote<'_>, packets: &mut Packets, into: &Path, limits: Limits) -> Result<(), Failure> {
    let file = tokio::fs::File::create(into).await.map_err(|e| io(&e))?;
    let mut file = tokio::io::BufWriter::new(file);
    let mut total = 0;
    loop {
        let Packet::Line(line) = packets.next().await? else { break };
        match line.split_first() {
            Some((1, data)) => {
                total += data.len() as u64;
                if total > limits.pack_bytes {
                    let most = limits.pack_bytes / 1024 / 1024;
                    let say = format!("the repository is larger than {most} MiB, packed and without its history");
                    return Err(Failure::new(Fault::Invalid, say));
                }
                file.write_all(data).await.map_err(|e| io(&e))?;
            }
            Some((3, text)) => {
                let said = remote.quoted(&String::from_utf8_lossy(text));
                return Err(Failure::new(Fault::Transient, format!("the git server failed: {said}")));
            }
            Some(_) | None => {}
        }
    }
    file.flush().await.map_err(|e| io(&e))
}
