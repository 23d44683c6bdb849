//! Our own send-pack: one command, one pack, one report.

use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use reqwest::header::CONTENT_TYPE;

use crate::git::http::{Packet, Remote, packet};
use crate::git::object::Object;
use crate::git::pack::pack;

const NOTHING: &str = "0000000000000000000000000000000000000000";
/// Most lines of a report that are read; ours has two.
const MAX_REPORT: usize = 100;

/// Moves a branch from its old value to a new one, sending the objects that are new; `None` removes it.
pub(crate) async fn push(
    remote: &Remote<'_>,
    branch: &BranchName,
    old: Option<&CommitSha>,
    new: Option<&CommitSha>,
    objects: &[Object],
) -> Result<(), Failure> {
    let (from, to) = (old.map_or(NOTHING, CommitSha::as_str), new.map_or(NOTHING, CommitSha::as_str));
    let command = format!("{from} {to} refs/heads/{branch}\0 report-status atomic agent=prfactory");
    let mut bytes = format!("{}0000", packet(&command)).into_bytes();
    if new.is_some() {
        let pack =
            pack(objects).map_err(|error| Failure::new(Fault::Bug, format!("a pack cannot be made: {error}")))?;
        bytes.extend_from_slice(&pack);
    }
    let request = remote.client.post(remote.at("git-receive-pack"));
    let request = request.header(CONTENT_TYPE, "application/x-git-receive-pack-request").body(bytes);
    let mut packets = remote.send(request, false).await?;
    let mut report = Vec::new();
    while let Packet::Line(line) = packets.next().await?
        && report.len() < MAX_REPORT
    {
        report.push(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
    let accepted = format!("ok refs/heads/{branch}");
    if report.iter().any(|line| line == "unpack ok") && report.contains(&accepted) {
        return Ok(());
    }
    let said = remote.quoted(&report.join("; "));
    Err(Failure::new(Fault::Invalid, format!("the git server refused the push: {said}")))
}
