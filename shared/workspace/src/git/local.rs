//! The one file that knows gix: fetching by HTTP, and reading and writing a repository of this machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use domain::path::RepoPath;
use engine::port::{EntryKind, TreeEntry};
use gix::bstr::ByteSlice as _;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};

use crate::git::object::{Kind, Object};
use crate::snapshot::{self, Limits};

fn invalid(what: &str, error: impl std::fmt::Display) -> Failure {
    let text: String = error.to_string().chars().take(200).collect();
    Failure::new(Fault::Invalid, format!("{what}: {text}"))
}

/// Opens a repository of this machine without any configuration but its own and no environment.
fn open(path: &Path) -> Result<gix::Repository, Failure> {
    gix::open_opts(path, gix::open::Options::isolated())
        .map_err(|error| invalid("the repository cannot be opened", error))
}

fn find(repo: &gix::Repository, branch: &BranchName) -> Result<Option<gix::ObjectId>, Failure> {
    let name = format!("refs/heads/{branch}");
    let found = repo.try_find_reference(name.as_str()).map_err(|error| invalid("the branch cannot be read", error))?;
    match found {
        Some(mut reference) => {
            let id = reference.peel_to_id().map_err(|error| invalid("the branch cannot be read", error))?;
            Ok(Some(id.detach()))
        }
        None => Ok(None),
    }
}

fn sha(id: gix::ObjectId) -> Result<CommitSha, Failure> {
    CommitSha::parse(&id.to_hex().to_string()).map_err(|error| invalid("a commit id", error))
}

/// The commit a branch points at.
pub(crate) fn head(path: &Path, branch: &BranchName) -> Result<Option<CommitSha>, Failure> {
    find(&open(path)?, branch)?.map(sha).transpose()
}

/// The branch that `HEAD` of a repository of this machine names.
pub fn default_branch(path: &Path) -> Result<BranchName, Failure> {
    let repo = open(path)?;
    let head = repo.head_name().map_err(|error| invalid("`HEAD` cannot be read", error))?;
    let name = head.ok_or_else(|| Failure::new(Fault::Invalid, "`HEAD` names no branch"))?;
    BranchName::parse(&name.shorten().to_str_lossy()).map_err(|error| invalid("the default branch", error))
}

/// Makes an empty bare repository whose `HEAD` names a branch, whatever this machine is configured to call it.
pub(crate) fn init(path: &Path, branch: &BranchName) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| invalid("the repository cannot be made", error))?;
    gix::init_bare(path).map_err(|error| invalid("the repository cannot be made", error))?;
    std::fs::write(path.join("HEAD"), format!("ref: refs/heads/{branch}\n"))
        .map_err(|error| invalid("the repository cannot be made", error))
}

/// Takes a snapshot of a branch's head in a repository of this machine.
pub(crate) fn take(path: &Path, branch: &BranchName, limits: Limits) -> Result<(CommitSha, Vec<u8>), Failure> {
    let repo = open(path)?;
    let id = find(&repo, branch)?
        .ok_or_else(|| Failure::new(Fault::Invalid, format!("the repository has no branch `{branch}`")))?;
    of_commit(&repo, id, limits)
}

/// Fetches one commit by HTTP into a directory of ours and takes a snapshot of it.
///
/// The authorization stands in gix's memory alone: it is marked as given by the API and never written.
pub(crate) fn fetch(
    url: &str,
    authorization: Option<String>,
    branch: &BranchName,
    into: &Path,
    limits: Limits,
    stop: &Arc<AtomicBool>,
) -> Result<(CommitSha, Vec<u8>), Failure> {
    // The whole chain of causes is looked at, and none of it is passed on.
    let failed = |error: gix::Error| fetch_failure(&format!("{error:?}"));
    let overrides = [
        "http.followRedirects=false",
        "protocol.allow=never",
        "protocol.http.allow=always",
        "protocol.https.allow=always",
    ];
    let options = gix::open::Options::isolated().config_overrides(overrides);
    let authorization = authorization.map(|value| format!("http.extraHeader=Authorization: {value}"));
    let only = format!("+refs/heads/{branch}:refs/remotes/origin/{branch}");
    let depth = std::num::NonZeroU32::MIN;
    let mut prepare =
        gix::clone::PrepareFetch::new(url, into, gix::create::Kind::Bare, gix::create::Options::default(), options)
            .map_err(failed)?
            .with_shallow(gix::remote::fetch::Shallow::DepthAtRemote(depth))
            .with_ref_name(Some(branch.as_str()))
            .map_err(failed)?
            .configure_remote(move |mut remote| {
                remote.replace_refspecs([only.as_str()], gix::remote::Direction::Fetch)?;
                Ok(remote.with_fetch_tags(gix::remote::fetch::Tags::None))
            })
            .with_in_memory_config_overrides(authorization);
    let (repo, _) = prepare.fetch_only(gix::progress::Discard, stop).map_err(failed)?;
    let name = format!("refs/remotes/origin/{branch}");
    let mut reference = repo
        .try_find_reference(name.as_str())
        .map_err(failed)?
        .ok_or_else(|| Failure::new(Fault::Invalid, format!("the repository has no branch `{branch}`")))?;
    let id = reference.peel_to_id().map_err(|error| invalid("the branch cannot be read", error))?.detach();
    of_commit(&repo, id, limits)
}

fn fetch_failure(text: &str) -> Failure {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let (fault, say) = if has(&["401", "uthenti", "redential"]) {
        (Fault::Auth, "the git server does not accept the credentials")
    } else if has(&["403"]) {
        (Fault::Permission, "the git server does not allow reading this repository")
    } else if has(&["404", "not found"]) {
        (Fault::Permission, "the git server has no such repository, or hides it")
    } else if has(&["429"]) {
        (Fault::RateLimited { retry_at: None }, "the git server asks to wait")
    } else {
        (Fault::Transient, "the repository could not be fetched")
    };
    Failure::new(fault, say)
}

fn of_commit(repo: &gix::Repository, id: gix::ObjectId, limits: Limits) -> Result<(CommitSha, Vec<u8>), Failure> {
    let commit = repo.find_commit(id).map_err(|error| invalid("the head is no commit", error))?;
    let root = commit.tree_id().map_err(|error| invalid("the commit has no tree", error))?.detach();
    let mut entries = Vec::new();
    let mut visited = 0;
    walk(repo, root, "", limits, &mut visited, &mut entries)?;
    let mut content = |entry: &TreeEntry| -> Result<Vec<u8>, Failure> {
        let id = gix::ObjectId::from_hex(entry.oid.as_bytes()).map_err(|error| invalid("an object id", error))?;
        let blob = repo.find_blob(id).map_err(|error| invalid("a file cannot be read", error))?;
        Ok(blob.data.clone())
    };
    let bytes = snapshot::write(sha(id)?, entries, limits, &mut content)?;
    Ok((sha(id)?, bytes))
}

/// Lists a tree, checking path, depth and count before anything is inflated.
fn walk(
    repo: &gix::Repository,
    tree: gix::ObjectId,
    prefix: &str,
    limits: Limits,
    visited: &mut usize,
    out: &mut Vec<TreeEntry>,
) -> Result<(), Failure> {
    let tree = repo.find_tree(tree).map_err(|error| invalid("a directory cannot be read", error))?;
    for entry in tree.iter() {
        let entry = entry.map_err(|error| invalid("a directory cannot be read", error))?;
        *visited += 1;
        if *visited > limits.entries {
            return Err(Failure::new(
                Fault::Invalid,
                format!("the repository has more than {} entries", limits.entries),
            ));
        }
        let name = entry.filename().to_str().map_err(|_| {
            Failure::new(
                Fault::Invalid,
                format!("a name below `{prefix}` is not UTF-8; such repositories cannot be worked on"),
            )
        })?;
        let path = RepoPath::parse(&format!("{prefix}{name}"))
            .map_err(|error| Failure::new(Fault::Invalid, format!("the repository cannot be worked on: {error}")))?;
        let id = entry.object_id();
        let kind = match entry.mode().kind() {
            gix::object::tree::EntryKind::Tree => {
                walk(repo, id, &format!("{path}/"), limits, visited, out)?;
                continue;
            }
            gix::object::tree::EntryKind::Blob => EntryKind::Regular,
            gix::object::tree::EntryKind::BlobExecutable => EntryKind::Executable,
            gix::object::tree::EntryKind::Link => EntryKind::Symlink,
            gix::object::tree::EntryKind::Commit => EntryKind::Submodule,
        };
        let size = match kind {
            EntryKind::Submodule => 0,
            EntryKind::Regular | EntryKind::Executable | EntryKind::Symlink => {
                repo.find_header(id).map_err(|error| invalid(&format!("`{path}` cannot be read"), error))?.size()
            }
        };
        out.push(TreeEntry { path, kind, oid: id.to_hex().to_string(), size });
    }
    Ok(())
}

/// Writes objects into a repository of this machine and moves a branch, expecting its old value.
pub(crate) fn write(
    path: &Path,
    branch: &BranchName,
    objects: &[Object],
    new: &CommitSha,
    expected: Option<&CommitSha>,
) -> Result<(), Failure> {
    let repo = open(path)?;
    for object in objects {
        let kind = match object.kind {
            Kind::Blob => gix::object::Kind::Blob,
            Kind::Tree => gix::object::Kind::Tree,
            Kind::Commit => gix::object::Kind::Commit,
        };
        gix::prelude::Write::write_buf(&repo.objects, kind, &object.bytes)
            .map_err(|error| Failure::new(Fault::Transient, format!("an object cannot be written: {error}")))?;
    }
    let expected = match expected {
        Some(old) => PreviousValue::MustExistAndMatch(target(old)?),
        None => PreviousValue::MustNotExist,
    };
    let log = LogChange { mode: RefLog::AndReference, force_create_reflog: false, message: "prfactory".into() };
    edit(&repo, branch, Change::Update { log, expected, new: target(new)? })
}

/// Removes a branch that points at an expected commit.
pub(crate) fn delete(path: &Path, branch: &BranchName, expected: &CommitSha) -> Result<(), Failure> {
    let repo = open(path)?;
    if find(&repo, branch)?.is_none() {
        return Ok(());
    }
    let expected = PreviousValue::MustExistAndMatch(target(expected)?);
    edit(&repo, branch, Change::Delete { expected, log: RefLog::AndReference })
}

fn target(commit: &CommitSha) -> Result<gix::refs::Target, Failure> {
    gix::ObjectId::from_hex(commit.as_str().as_bytes())
        .map(gix::refs::Target::Object)
        .map_err(|error| invalid("a commit id", error))
}

fn edit(repo: &gix::Repository, branch: &BranchName, change: Change) -> Result<(), Failure> {
    let name = gix::refs::FullName::try_from(format!("refs/heads/{branch}"))
        .map_err(|error| invalid("the branch name", error))?;
    let signature = gix::actor::SignatureRef {
        name: "PRFactory".into(),
        email: "prfactory@noreply.invalid".into(),
        time: "0 +0000",
    };
    repo.edit_references_as([RefEdit { change, name, deref: false }], Some(signature))
        .map(|_| ())
        .map_err(|_| crate::git::source::moved(branch))
}
