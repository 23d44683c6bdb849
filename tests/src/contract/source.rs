//! What `Snapshots`, `Workspace` and `Commits` promise together.

use std::sync::Arc;

use domain::Timestamp;
use domain::change_set::{ChangeSet, FileChange, FileMode};
use domain::path::RepoPath;
use domain::ticket::Target;
use engine::port::{CommitMeta, Commits, Snapshots, Workspace};
use engine::tenancy::TenantCtx;

use crate::contract::{granted, lapsed};

/// Runs the suite on a repository whose base branch holds `README.md` and whose ticket branch does not exist.
pub async fn source(
    ctx: &TenantCtx,
    target: &Target,
    snapshots: Arc<dyn Snapshots>,
    workspace: Arc<dyn Workspace>,
    commits: Arc<dyn Commits>,
) {
    let base = snapshots.head(ctx, target, &target.base).await.unwrap().unwrap();
    assert_eq!(snapshots.head(ctx, target, &target.branch).await.unwrap(), None);
    let stored = snapshots.fetch(ctx, target).await.unwrap();
    assert_eq!(stored.commit, base);
    let tree = workspace.open(ctx, &stored.blob).await.unwrap();
    assert_eq!(tree.commit(), &base);
    assert!(tree.entries().is_sorted_by_key(|entry| &entry.path));
    let readme = RepoPath::parse("README.md").unwrap();
    assert!(tree.read(&readme).unwrap().is_some());
    assert_eq!(tree.read(&RepoPath::parse("no/such/file").unwrap()).unwrap(), None);

    let write = |text: &str| FileChange::Write { mode: FileMode::Regular, text: text.to_owned() };
    let deep = RepoPath::parse("a/b/c.txt").unwrap();
    let files = [(deep.clone(), write("deep\n")), (readme.clone(), write("changed\n"))].into_iter().collect();
    let change_set = ChangeSet { base: base.clone(), files };
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let meta = CommitMeta { message: "Change".to_owned(), at, parents: vec![base.clone()] };
    let push = |change_set: ChangeSet, meta: CommitMeta, expected| {
        let (commits, tree) = (Arc::clone(&commits), Arc::clone(&tree));
        async move { commits.push(ctx, target, tree.as_ref(), (&change_set, &meta), expected, &granted()).await }
    };
    let late = commits.push(ctx, target, tree.as_ref(), (&change_set, &meta), None, &lapsed()).await;
    assert_eq!(late.unwrap_err().fault, domain::error::Fault::Transient, "a permit that lapsed permits nothing");
    assert_eq!(snapshots.head(ctx, target, &target.branch).await.unwrap(), None);
    let head = push(change_set.clone(), meta.clone(), None).await.unwrap();
    assert_eq!(snapshots.head(ctx, target, &target.branch).await.unwrap().as_ref(), Some(&head));
    assert_eq!(push(change_set.clone(), meta.clone(), None).await.unwrap(), head, "twice is once");
    let other = CommitMeta { message: "Another".to_owned(), ..meta.clone() };
    assert!(push(change_set.clone(), other.clone(), None).await.is_err(), "a branch that is there is not overwritten");
    let next = CommitMeta { parents: vec![head.clone()], ..other };
    let newer = push(change_set.clone(), next.clone(), Some(&head)).await.unwrap();
    assert!(push(change_set.clone(), meta.clone(), Some(&base)).await.is_err(), "the old value must fit");
    assert!(!commits.undo(ctx, target, tree.as_ref(), (&change_set, &meta)).await.unwrap(), "not the head: it stays");
    assert_eq!(snapshots.head(ctx, target, &target.branch).await.unwrap(), Some(newer));
    assert!(commits.undo(ctx, target, tree.as_ref(), (&change_set, &next)).await.unwrap());
    assert_eq!(snapshots.head(ctx, target, &target.branch).await.unwrap(), None);
    let mut foreign = target.clone();
    foreign.branch = target.base.clone();
    let refused = commits.push(ctx, &foreign, tree.as_ref(), (&change_set, &meta), Some(&base), &granted()).await;
    assert!(refused.is_err(), "only a branch of ours is ever written");
}
