//! Git objects made from a snapshot's index and a change set: blobs, trees, one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use domain::change_set::{ChangeSet, FileChange, FileMode};
use domain::error::{Failure, Fault};
use domain::name::CommitSha;
use domain::path::RepoPath;
use engine::port::{CommitMeta, EntryKind, SourceTree};
use sha1::{Digest, Sha1};

/// Who writes our commits; fixed, so that the same change gives the same commit.
pub(crate) const AUTHOR: &str = "PRFactory <prfactory@noreply.invalid>";

/// Kinds of objects we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Blob,
    Tree,
    Commit,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Tree => "tree",
            Self::Commit => "commit",
        }
    }
}

/// One object, not yet stored anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) id: [u8; 20],
    pub(crate) bytes: Vec<u8>,
}

impl Object {
    fn new(kind: Kind, bytes: Vec<u8>) -> Self {
        let mut hash = Sha1::new();
        hash.update(format!("{} {}\0", kind.name(), bytes.len()));
        hash.update(&bytes);
        Self { kind, id: hash.finalize().into(), bytes }
    }
}

/// The object id of a blob, 40 hex digits.
pub(crate) fn blob_id(bytes: &[u8]) -> String {
    hex::encode(Object::new(Kind::Blob, bytes.to_vec()).id)
}

/// A commit with every object that the base does not have.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) commit: CommitSha,
    pub(crate) objects: Vec<Object>,
}

#[derive(Default)]
struct Directory {
    files: BTreeMap<String, (&'static str, [u8; 20])>,
    directories: BTreeMap<String, Directory>,
}

impl Directory {
    fn insert(&mut self, path: &RepoPath, mode: &'static str, id: [u8; 20]) {
        let mut parts: Vec<&str> = path.as_str().split('/').collect();
        let name = parts.pop().unwrap_or_default().to_owned();
        let mut at = self;
        for part in parts {
            at = at.directories.entry(part.to_owned()).or_default();
        }
        at.files.insert(name, (mode, id));
    }

    fn remove(&mut self, path: &str) {
        match path.split_once('/') {
            None => {
                self.files.remove(path);
            }
            Some((part, rest)) => {
                if let Some(inner) = self.directories.get_mut(part) {
                    inner.remove(rest);
                    if inner.files.is_empty() && inner.directories.is_empty() {
                        self.directories.remove(part);
                    }
                }
            }
        }
    }

    /// Writes this tree and all below; git sorts a directory as if its name ended in a slash.
    fn write(&self, out: &mut Vec<Object>) -> [u8; 20] {
        let mut entries: Vec<(String, &str, &str, [u8; 20])> = Vec::new();
        for (name, (mode, id)) in &self.files {
            entries.push((name.clone(), mode, name, *id));
        }
        for (name, directory) in &self.directories {
            entries.push((format!("{name}/"), "40000", name, directory.write(out)));
        }
        entries.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        let mut bytes = Vec::new();
        for (_, mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            bytes.extend_from_slice(&id);
        }
        let tree = Object::new(Kind::Tree, bytes);
        let id = tree.id;
        out.push(tree);
        id
    }
}

/// Builds the commit of a change set over a snapshot, with only the objects that are new.
pub(crate) fn build(tree: &dyn SourceTree, change_set: &ChangeSet, meta: &CommitMeta) -> Result<Built, Failure> {
    let mut root = Directory::default();
    for entry in tree.entries() {
        let mode = match entry.kind {
            EntryKind::Regular => "100644",
            EntryKind::Executable => "100755",
            EntryKind::Symlink => "120000",
            EntryKind::Submodule => "160000",
        };
        root.insert(&entry.path, mode, id_of(&entry.oid)?);
    }
    let mut before = Vec::new();
    root.write(&mut before);
    let known: BTreeSet<[u8; 20]> = before.iter().map(|object| object.id).collect();
    let mut objects = Vec::new();
    for (path, change) in &change_set.files {
        match change {
            FileChange::Delete => root.remove(path.as_str()),
            FileChange::Write { mode, text } => {
                let mode = match mode {
                    FileMode::Regular => "100644",
                    FileMode::Executable => "100755",
                };
                let blob = Object::new(Kind::Blob, text.clone().into_bytes());
                root.insert(path, mode, blob.id);
                objects.push(blob);
            }
        }
    }
    let mut trees = Vec::new();
    let tree_id = root.write(&mut trees);
    objects.extend(trees.into_iter().filter(|tree| !known.contains(&tree.id) || tree.id == tree_id));
    let commit = commit(tree_id, meta);
    let id = CommitSha::parse(&hex::encode(commit.id)).map_err(|e| Failure::new(Fault::Bug, e.to_string()))?;
    objects.push(commit);
    let mut seen = BTreeSet::new();
    objects.retain(|object| seen.insert(object.id));
    Ok(Built { commit: id, objects })
}

fn commit(tree: [u8; 20], meta: &CommitMeta) -> Object {
    let mut text = format!("tree {}\n", hex::encode(tree));
    for parent in &meta.parents {
        let _ = writeln!(text, "parent {parent}");
    }
    let at = meta.at.as_second();
    let _ = write!(text, "author {AUTHOR} {at} +0000\ncommitter {AUTHOR} {at} +0000\n\n");
    text.push_str(meta.message.trim_end());
    text.push('\n');
    Object::new(Kind::Commit, text.into_bytes())
}

fn id_of(text: &str) -> Result<[u8; 20], Failure> {
    let mut id = [0u8; 20];
    hex::decode_to_slice(text, &mut id)
        .map_err(|_| Failure::new(Fault::Bug, "a snapshot holds an object id that is none"))?;
    Ok(id)
}
