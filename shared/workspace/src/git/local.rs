//! The one file that knows gix: reading what was fetched, and reading and writing a repository of this machine.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use domain::path::RepoPath;
use engine::port::{EntryKind, TreeEntry};
use gix::bstr::ByteSlice as _;
use gix::progress::Discard;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use gix_pack::Bundle;
use gix_pack::bundle::write::Options;

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
    of_commit(&repo, id, limits, false)
}

/// Indexes a fetched pack in a directory of ours and takes a snapshot of a commit in it.
///
/// No allocation that the pack's bytes ask for is larger than the largest object allowed.
pub(crate) fn unpack(
    pack: &Path,
    into: &Path,
    head: &CommitSha,
    limits: Limits,
    stop: &AtomicBool,
) -> Result<Vec<u8>, Failure> {
    let repo = empty(into)?;
    let mut from = std::io::BufReader::new(std::fs::File::open(pack).map_err(|e| snapshot::io(&e))?);
    let options = Options {
        thread_limit: Some(1),
        alloc_limit_bytes: usize::try_from(limits.object_bytes).ok(),
        ..Options::default()
    };
    let no_bases = None::<gix::odb::Handle>;
    let objects = into.join("objects/pack");
    Bundle::write_to_directory(&mut from, Some(&objects), &mut Discard, stop, no_bases, gix::hash::Kind::Sha1, options)
        .map_err(|error| unusable(&format!("{error:?}"), limits))?;
    let id = gix::ObjectId::from_hex(head.as_str().as_bytes()).map_err(|error| invalid("a commit id", error))?;
    // What the pack is missing was left out on request: files that are too large to be read.
    of_commit(&repo, id, limits, true).map(|(_, bytes)| bytes)
}

/// The least that is a repository: one file and three directories, where a usual one has thirty.
fn empty(into: &Path) -> Result<gix::Repository, Failure> {
    let made = std::fs::create_dir_all(into.join("objects/pack"))
        .and_then(|()| std::fs::create_dir(into.join("refs")))
        .and_then(|()| std::fs::write(into.join("HEAD"), "ref: refs/heads/main\n"));
    made.map_err(|e| snapshot::io(&e))?;
    open(into)
}

fn unusable(text: &str, limits: Limits) -> Failure {
    if text.contains("too large to fit") || text.contains("llocation") {
        let most = limits.object_bytes / 1024 / 1024;
        let say =
            format!("the repository has a file or directory larger than {most} MiB that its server does not leave out");
        return Failure::new(Fault::Invalid, say);
    }
    Failure::new(Fault::Transient, "the git server sent a pack that is damaged")
}

fn of_commit(
    repo: &gix::Repository,
    id: gix::ObjectId,
    limits: Limits,
    partial: bool,
) -> Result<(CommitSha, Vec<u8>), Failure> {
    let commit = repo.find_commit(id).map_err(|error| invalid("the head is no commit", error))?;
    let root = commit.tree_id().map_err(|error| invalid("the commit has no tree", error))?.detach();
    let mut walk = Walk { repo, limits, partial, visited: 0, entries: Vec::new() };
    walk.tree(root, "")?;
    let entries = walk.entries;
    let mut content = |entry: &TreeEntry| -> Result<Vec<u8>, Failure> {
        let id = gix::ObjectId::from_hex(entry.oid.as_bytes()).map_err(|error| invalid("an object id", error))?;
        let blob = repo.find_blob(id).map_err(|error| invalid("a file cannot be read", error))?;
        Ok(blob.data.clone())
    };
    let bytes = snapshot::write(sha(id)?, entries, limits, &mut content)?;
    Ok((sha(id)?, bytes))
}

/// Lists a tree, checking path, depth and count before anything is inflated.
struct Walk<'a> {
    repo: &'a gix::Repository,
    limits: Limits,
    /// Whether large files may be missing.
    partial: bool,
    visited: usize,
    entries: Vec<TreeEntry>,
}

impl Walk<'_> {
    fn tree(&mut self, tree: gix::ObjectId, prefix: &str) -> Result<(), Failure> {
        let header = self.repo.find_header(tree).map_err(|error| invalid("a directory cannot be read", error))?;
        if header.size() > self.limits.object_bytes {
            return Err(Failure::new(Fault::Invalid, format!("the directory `{prefix}` is too large to be read")));
        }
        let tree = self.repo.find_tree(tree).map_err(|error| invalid("a directory cannot be read", error))?;
        for entry in tree.iter() {
            let entry = entry.map_err(|error| invalid("a directory cannot be read", error))?;
            self.visited += 1;
            if self.visited > self.limits.entries {
                let most = self.limits.entries;
                return Err(Failure::new(Fault::Invalid, format!("the repository has more than {most} entries")));
            }
            let name = entry.filename().to_str().map_err(|_| {
                let say = format!("a name below `{prefix}` is not UTF-8; such repositories cannot be worked on");
                Failure::new(Fault::Invalid, say)
            })?;
            if name.contains('/') {
                let say =
                    format!("the repository cannot be worked on: the name {name:?} below `{prefix}` has a slash in it");
                return Err(Failure::new(Fault::Invalid, say));
            }
            let path = RepoPath::parse(&format!("{prefix}{name}")).map_err(|error| {
                Failure::new(Fault::Invalid, format!("the repository cannot be worked on: {error}"))
            })?;
            let id = entry.object_id();
            let kind = match entry.mode().kind() {
                gix::object::tree::EntryKind::Tree => {
                    self.tree(id, &format!("{path}/"))?;
                    continue;
                }
                gix::object::tree::EntryKind::Blob => EntryKind::Regular,
                gix::object::tree::EntryKind::BlobExecutable => EntryKind::Executable,
                gix::object::tree::EntryKind::Link => EntryKind::Symlink,
                gix::object::tree::EntryKind::Commit => EntryKind::Submodule,
            };
            let size = self.size(kind, id, &path)?;
            self.entries.push(TreeEntry { path, kind, oid: id.to_hex().to_string(), size });
        }
        Ok(())
    }

    /// The size of a file; one that was left out is larger than what is read, and nobody knows by how much.
    fn size(&self, kind: EntryKind, id: gix::ObjectId, path: &RepoPath) -> Result<u64, Failure> {
        if kind == EntryKind::Submodule {
            return Ok(0);
        }
        match self.repo.try_find_header(id) {
            Ok(Some(header)) => Ok(header.size()),
            Ok(None) if self.partial => Ok(self.limits.file_bytes + 1),
            Ok(None) => Err(Failure::new(Fault::Invalid, format!("`{path}` is missing in the repository"))),
            Err(error) => Err(invalid(&format!("`{path}` cannot be read"), error)),
        }
    }
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
