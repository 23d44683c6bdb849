//! Commits through GitHub's own API: no git runs, nothing is pushed, and GitHub signs them for the App.

use async_trait::async_trait;
use domain::change_set::{ChangeSet, FileChange, FileMode};
use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use domain::ticket::Target;
use engine::port::{CommitMeta, Commits, Permit, SourceTree};
use engine::tenancy::TenantCtx;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::{Scope, revoke};
use super::{Github, Guest};

#[derive(Deserialize)]
struct Ref {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

#[derive(Deserialize)]
struct Commit {
    sha: String,
    message: String,
    tree: Object,
    parents: Vec<Object>,
}

fn sha(text: &str) -> Result<CommitSha, Failure> {
    CommitSha::parse(text).map_err(|error| Failure::new(Fault::Bug, error.to_string()))
}

/// The trailer by which a commit of ours says what it holds.
fn trailer(change_set: &ChangeSet) -> String {
    format!("PRFactory-Change-Set: {}", change_set.hash())
}

impl Guest {
    async fn head(&self, branch: &BranchName) -> Result<Option<CommitSha>, Failure> {
        let answer = self.api.get(&self.at(&format!("git/ref/heads/{branch}"))).await?;
        if answer.is_missing() {
            return Ok(None);
        }
        sha(&answer.read::<Ref>("reading a branch")?.object.sha).map(Some)
    }

    async fn commit(&self, commit: &CommitSha) -> Result<Commit, Failure> {
        self.api.get(&self.at(&format!("git/commits/{commit}"))).await?.read("reading a commit")
    }

    /// The tree of a change set; the same one has the same name, so that making it twice makes it once.
    async fn tree(&self, change_set: &ChangeSet) -> Result<String, Failure> {
        let base = self.commit(&change_set.base).await?;
        let entries: Vec<Value> = change_set.files.iter().map(|(path, change)| entry(path.as_str(), change)).collect();
        if entries.is_empty() {
            return Ok(base.tree.sha);
        }
        let body = json!({ "base_tree": base.tree.sha, "tree": entries });
        Ok(self.api.post(&self.at("git/trees"), body).await?.read::<Object>("making a tree")?.sha)
    }

    /// Whether a commit is the one that these arguments make: its own signature makes each name differ.
    async fn is(&self, head: &CommitSha, change_set: &ChangeSet, meta: &CommitMeta) -> Result<bool, Failure> {
        let found = self.commit(head).await?;
        let parents: Vec<&str> = found.parents.iter().map(|parent| parent.sha.as_str()).collect();
        let wanted: Vec<&str> = meta.parents.iter().map(CommitSha::as_str).collect();
        if parents != wanted || !found.message.lines().any(|line| line == trailer(change_set)) {
            return Ok(false);
        }
        Ok(found.tree.sha == self.tree(change_set).await?)
    }

    async fn push(
        &self,
        branch: &BranchName,
        (change_set, meta): (&ChangeSet, &CommitMeta),
        expected: Option<&CommitSha>,
        permit: &Permit,
    ) -> Result<CommitSha, Failure> {
        let now = self.head(branch).await?;
        if now.as_ref() != expected {
            let ours = match &now {
                Some(head) if self.is(head, change_set, meta).await? => Some(head.clone()),
                Some(_) | None => None,
            };
            return ours.ok_or_else(|| moved(branch));
        }
        let tree = self.tree(change_set).await?;
        // Without an author of ours: only then GitHub signs for the App.
        let body = json!({ "message": meta.message, "tree": tree, "parents": meta.parents });
        let made: Commit = self.api.post(&self.at("git/commits"), body).await?.read("making a commit")?;
        let made = sha(&made.sha)?;
        permit.holds()?;
        let moved_to = if expected.is_none() {
            let body = json!({ "ref": format!("refs/heads/{branch}"), "sha": made });
            self.api.post(&self.at("git/refs"), body).await
        } else {
            let body = json!({ "sha": made, "force": false });
            self.api.patch(&self.at(&format!("git/refs/heads/{branch}")), body).await
        };
        match moved_to {
            Ok(answer) if answer.is_refused() => match self.head(branch).await? {
                Some(head) if head == made => Ok(made),
                Some(_) | None => Err(moved(branch)),
            },
            Ok(answer) => answer.done("moving the branch").map(|()| made),
            Err(failure) if failure.fault == Fault::Unknown => match self.head(branch).await? {
                Some(head) if head == made => Ok(made),
                Some(_) | None => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }
}

fn moved(branch: &BranchName) -> Failure {
    let say = format!(
        "the branch `{branch}` has commits of somebody else, which are kept. Merge or remove them, then `retry`"
    );
    Failure::new(Fault::Invalid, say)
}

fn entry(path: &str, change: &FileChange) -> Value {
    match change {
        FileChange::Delete => json!({ "path": path, "mode": "100644", "type": "blob", "sha": null }),
        FileChange::Write { mode, text } => {
            let mode = match mode {
                FileMode::Regular => "100644",
                FileMode::Executable => "100755",
            };
            json!({ "path": path, "mode": mode, "type": "blob", "content": text })
        }
    }
}

#[async_trait]
impl Commits for Github {
    async fn push(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        _tree: &dyn SourceTree,
        change: (&ChangeSet, &CommitMeta),
        expected: Option<&CommitSha>,
        permit: &Permit,
    ) -> Result<CommitSha, Failure> {
        if !target.branch.is_ours() {
            return Err(Failure::new(Fault::Bug, "only a branch of ours is ever written"));
        }
        let guest = self.guest(ctx, &target.repo, Scope::Push).await?;
        let pushed = guest.push(&target.branch, change, expected, permit).await;
        revoke(&guest.api).await;
        pushed
    }

    async fn undo(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        _tree: &dyn SourceTree,
        (change_set, meta): (&ChangeSet, &CommitMeta),
    ) -> Result<bool, Failure> {
        let guest = self.guest(ctx, &target.repo, Scope::Push).await?;
        let undone = async {
            let Some(head) = guest.head(&target.branch).await? else {
                return Ok(false);
            };
            if !guest.is(&head, change_set, meta).await? {
                return Ok(false);
            }
            let gone = guest.api.delete(&guest.at(&format!("git/refs/heads/{}", target.branch))).await?;
            // Somebody else was faster: gone is gone.
            if !gone.is_refused() {
                gone.done("removing the branch")?;
            }
            Ok(true)
        };
        let undone = undone.await;
        revoke(&guest.api).await;
        undone
    }
}
