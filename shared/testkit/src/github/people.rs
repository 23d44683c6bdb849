//! What people do on GitHub; each act is an event that is delivered.

use serde_json::{Value, json};

use super::state::{Check, Comment, Issue, Pull, Repo, Status};
use super::{GithubHost, bot, pulls, repository, wire};

/// A remark on a line: file, line, words.
pub type Remark<'a> = (&'a str, u64, &'a str);

impl GithubHost {
    fn who(&self, login: &str) -> u64 {
        self.inner.state().login(login).map_or(0, |user| user.id)
    }

    fn whose(&self, repo: &str) -> u64 {
        self.inner.state().repo(repo).map_or(0, |repo| repo.id)
    }

    async fn send(&self, event: &str, repo: &str, by: u64, payload: Value) -> u16 {
        let id = self.whose(repo);
        self.inner.event(event, Some(id), by, payload).await
    }

    fn change<T>(&self, repo: &str, change: impl FnOnce(&mut Repo) -> T) -> Option<T> {
        self.inner.state().repo_mut(repo).map(change)
    }

    /// Opens an issue; nobody is told, since nobody asked to be.
    pub fn opens(&self, by: &str, repo: &str, title: &str, body: &str) -> u64 {
        let (by, now) = (self.who(by), (self.inner.clock)());
        let issue = Issue {
            title: title.to_owned(),
            body: body.to_owned(),
            by,
            labels: Vec::new(),
            open: true,
            updated: now,
            reactions: std::collections::BTreeSet::new(),
        };
        self.change(repo, |repo| {
            let number = repo.next();
            repo.issues.insert(number, issue);
            number
        })
        .unwrap_or(0)
    }

    /// Sets a label on an issue, or takes it off.
    pub async fn labels(&self, by: &str, repo: &str, number: u64, label: &str, on: bool) -> u16 {
        let (by, now) = (self.who(by), (self.inner.clock)());
        self.change(repo, |repo| {
            if let Some(issue) = repo.issues.get_mut(&number) {
                issue.labels.retain(|has| has != label);
                if on {
                    issue.labels.push(label.to_owned());
                }
                issue.updated = now;
            }
        });
        let payload = {
            let state = self.inner.state();
            let found = state.repo(repo).and_then(|repo| Some((repo, repo.issues.get(&number)?)));
            let issue = found.map(|(repo, issue)| wire::issue(&state, repo, number, issue)).unwrap_or_default();
            json!({ "action": if on { "labeled" } else { "unlabeled" }, "issue": issue, "label": { "name": label } })
        };
        self.send("issues", repo, by, payload).await
    }

    /// The issue of a comment, as the event shows it.
    fn around(&self, repo: &str, number: u64) -> Value {
        let state = self.inner.state();
        let Some(repo) = state.repo(repo) else { return Value::Null };
        if let Some(issue) = repo.issues.get(&number) {
            return wire::issue(&state, repo, number, issue);
        }
        let Some(pull) = repo.pulls.get(&number) else { return Value::Null };
        json!({ "number": number, "title": pull.title, "body": pull.body, "pull_request": { "url": "https://api.github.test" } })
    }

    /// Writes a comment on an issue or a pull request, and returns its number.
    pub async fn comments(&self, by: &str, repo: &str, number: u64, text: &str) -> u64 {
        let (id, payload, by) = self.written(by, repo, number, text);
        self.send("issue_comment", repo, by, payload).await;
        id
    }

    /// Writes a comment, and lets it be edited or deleted before the event arrives.
    pub async fn comments_and(&self, by: &str, repo: &str, number: u64, text: &str, after: Option<&str>) -> u64 {
        let (id, payload, by) = self.written(by, repo, number, text);
        let now = (self.inner.clock)() + std::time::Duration::from_secs(1);
        self.change(repo, |repo| match after {
            Some(text) => {
                for comment in repo.comments.iter_mut().filter(|comment| comment.id == id) {
                    text.clone_into(&mut comment.body);
                    comment.updated = now;
                }
            }
            None => repo.comments.retain(|comment| comment.id != id),
        });
        self.send("issue_comment", repo, by, payload).await;
        id
    }

    /// Writes a comment under a name that another account has by now: the event carries that account's number.
    pub async fn comments_under(&self, by: &str, repo: &str, number: u64, text: &str, was: u64) -> u64 {
        let (id, mut payload, by) = self.written(by, repo, number, text);
        payload["comment"]["user"]["id"] = json!(was);
        let shown = {
            let state = self.inner.state();
            let mut user = wire::user(state.user(by));
            user["id"] = json!(was);
            user
        };
        self.inner.event_of("issue_comment", Some(self.whose(repo)), shown, payload).await;
        id
    }

    /// Opens a pull request from somebody's fork, and returns its number.
    pub fn forks(&self, by: &str, repo: &str) -> u64 {
        let by = self.who(by);
        let pull = Pull {
            title: "From a fork".to_owned(),
            body: "Please merge.".to_owned(),
            branch: "fork/patch".to_owned(),
            base: "main".to_owned(),
            draft: false,
            open: true,
            merged: false,
            asked: None,
            by,
            head: "f".repeat(40),
        };
        self.change(repo, |repo| {
            let number = repo.next();
            repo.pulls.insert(number, pull);
            number
        })
        .unwrap_or(0)
    }

    fn written(&self, by: &str, repo: &str, number: u64, text: &str) -> (u64, Value, u64) {
        let (by, now) = (self.who(by), (self.inner.clock)());
        let id = self.inner.state().id();
        let comment = Comment::new(id, number, by, text, now);
        self.change(repo, |repo| repo.comments.push(comment.clone()));
        let issue = self.around(repo, number);
        let state = self.inner.state();
        let shown = state.repo(repo).map(|repo| wire::comment(&state, repo, &comment)).unwrap_or_default();
        (id, json!({ "action": "created", "issue": issue, "comment": shown }), by)
    }

    /// Submits a review with remarks on lines; returns the numbers of the remarks.
    pub async fn reviews(
        &self,
        by: &str,
        repo: &str,
        number: u64,
        (asks, body): (bool, &str),
        remarks: &[Remark<'_>],
    ) -> Vec<u64> {
        let (by, now) = (self.who(by), (self.inner.clock)());
        let review = self.inner.state().id();
        let mut ids = Vec::new();
        for (path, line, text) in remarks {
            let id = self.inner.state().id();
            let made = Comment::new(id, number, by, text, now);
            let made = Comment { at: Some(((*path).to_owned(), *line)), review: Some(review), ..made };
            self.change(repo, |repo| repo.remarks.push(made));
            ids.push(id);
        }
        self.change(repo, |repo| repo.reviews.insert(review, std::collections::BTreeSet::new()));
        let pull = json!({ "number": number });
        let payload = {
            let state = self.inner.state();
            json!({
                "action": "submitted",
                "pull_request": pull,
                "review": {
                    "id": review,
                    "node_id": format!("PRR_{review}"),
                    "state": if asks { "changes_requested" } else { "commented" },
                    "body": body,
                    "user": wire::user(state.user(by)),
                },
            })
        };
        for id in &ids {
            let payload = {
                let state = self.inner.state();
                let found = state.repo(repo).and_then(|repo| Some((repo, repo.remarks.iter().find(|r| r.id == *id)?)));
                let shown = found.map(|(repo, remark)| wire::remark(&state, repo, remark)).unwrap_or_default();
                json!({ "action": "created", "pull_request": pull, "comment": shown })
            };
            self.send("pull_request_review_comment", repo, by, payload).await;
        }
        self.send("pull_request_review", repo, by, payload).await;
        ids
    }

    /// A check of somebody else's on the head of a pull request begins, or ends with a conclusion.
    pub async fn checked(&self, repo: &str, number: u64, check: (&str, Option<&str>), said: &str) {
        let pull = self.pull(repo, number);
        let (branch, head) = pull.map(|pull| (pull.branch, pull.head)).unwrap_or_default();
        self.checked_at(repo, (&branch, &head), &[number], check, said).await;
    }

    /// The same on a branch that no pull request shows yet.
    pub async fn checked_early(&self, repo: &str, branch: &str, check: (&str, Option<&str>)) {
        let head = self.change(repo, |repo| repository::head(&repo.path, branch)).flatten().unwrap_or_default();
        self.checked_at(repo, (branch, &head), &[], check, "").await;
    }

    async fn checked_at(
        &self,
        repo: &str,
        (branch, head): (&str, &str),
        numbers: &[u64],
        (name, conclusion): (&str, Option<&str>),
        said: &str,
    ) {
        let fresh = self.inner.state().id();
        let head = head.to_owned();
        self.change(repo, |repo| {
            repo.checks.retain(|check| check.name != name || check.head != head);
            repo.checks.push(Check {
                id: fresh,
                name: name.to_owned(),
                head: head.clone(),
                app: 15_368,
                external: None,
                done: conclusion.is_some(),
                conclusion: conclusion.map(str::to_owned),
                title: name.to_owned(),
                summary: said.to_owned(),
            });
        });
        if let Some(conclusion) = conclusion {
            let payload = json!({
                "action": "completed",
                "check_suite": {
                    "app": { "id": 15_368 },
                    "head_branch": branch,
                    "head_sha": head,
                    "conclusion": conclusion,
                    "pull_requests": numbers.iter().map(|number| json!({ "number": number })).collect::<Vec<_>>(),
                },
            });
            let us = bot(&self.inner.state());
            self.send("check_suite", repo, us, payload).await;
        }
    }

    /// Merges a pull request into its base, or closes it.
    pub async fn closes(&self, by: &str, repo: &str, number: u64, merged: bool) -> u16 {
        let by = self.who(by);
        self.change(repo, |repo| {
            let head = repo.pulls.get(&number).map(|pull| pulls::shown(repo, pull)).unwrap_or_default();
            let path = repo.path.clone();
            if let Some(pull) = repo.pulls.get_mut(&number) {
                (pull.open, pull.merged) = (false, merged);
                pull.head.clone_from(&head);
                if merged {
                    repository::git(&path, &["update-ref", &format!("refs/heads/{}", pull.base), &head], None, &[]);
                }
            }
        });
        let payload = json!({ "action": "closed", "pull_request": { "number": number, "merged": merged } });
        self.send("pull_request", repo, by, payload).await
    }

    /// Pushes a commit with one file to a branch, by hand.
    pub async fn pushes(&self, by: &str, repo: &str, branch: &str, (path, text): (&str, &str)) -> String {
        let (who, at) = (self.who(by), (self.inner.clock)().as_second());
        let made = self.change(repo, |repo| {
            let head = repository::head(&repo.path, branch)?;
            let (tree, ..) = repository::commit(&repo.path, &head)?;
            let entry = json!({ "path": path, "mode": "100644", "type": "blob", "content": text });
            let tree = repository::tree(&repo.path, Some(&tree), &[entry])?;
            let made = repository::make(&repo.path, by, ("By hand", &tree, &[&head]), at)?;
            repository::git(&repo.path, &["update-ref", &format!("refs/heads/{branch}"), &made], None, &[])?;
            let number = repo.pulls.iter().find(|(_, pull)| pull.branch == branch && pull.open).map(|(n, _)| *n);
            Some((made, number))
        });
        let Some((made, number)) = made.flatten() else {
            return String::new();
        };
        self.send("push", repo, who, json!({ "ref": format!("refs/heads/{branch}"), "after": made })).await;
        if let Some(number) = number {
            let payload = json!({ "action": "synchronize", "after": made, "pull_request": { "number": number } });
            self.send("pull_request", repo, who, payload).await;
        }
        made
    }

    /// A system that knows no checks reports a status of the head of a pull request.
    pub async fn reports(&self, repo: &str, number: u64, (context, state): (&str, &str)) -> u16 {
        let pull = self.pull(repo, number);
        let head = pull.map(|pull| pull.head).unwrap_or_default();
        let with = self.change(repo, |repo| {
            repo.statuses.retain(|status| status.context != context || status.head != head);
            let (context, state) = (context.to_owned(), state.to_owned());
            repo.statuses.push(Status { head: head.clone(), context, state });
            let with = ["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads", "--contains", &head];
            repository::git(&repo.path, &with, None, &[])
        });
        let with = with.flatten().unwrap_or_default();
        let branch =
            |line: &str| line.split_once(' ').map(|(name, sha)| json!({ "name": name, "commit": { "sha": sha } }));
        let branches: Vec<Value> = with.lines().filter_map(branch).collect();
        let payload = json!({ "sha": head, "state": state, "context": context, "branches": branches });
        let us = bot(&self.inner.state());
        self.send("status", repo, us, payload).await
    }

    /// Gives a repository another name.
    pub async fn renames(&self, by: &str, repo: &str, name: &str) -> u16 {
        let by = self.who(by);
        self.change(repo, |repo| name.clone_into(&mut repo.name));
        self.send("repository", name, by, json!({ "action": "renamed" })).await
    }

    /// Removes the App, or suspends it.
    pub async fn removes(&self, by: &str, installation: u64, action: &str) -> u16 {
        let by = self.who(by);
        for one in self.inner.state().installations.iter_mut().filter(|one| one.id == installation) {
            one.live = false;
        }
        let payload = json!({ "action": action, "installation": { "id": installation } });
        self.inner.event("installation", None, by, payload).await
    }

    /// Changes what an installation may see.
    pub async fn offers(&self, by: &str, installation: u64, (added, removed): (&[u64], &[u64])) -> u16 {
        let by = self.who(by);
        let shown = |ids: &[u64]| -> Vec<Value> {
            let state = self.inner.state();
            let found = ids.iter().filter_map(|id| state.repos.iter().find(|repo| repo.id == *id));
            found.map(|repo| json!({ "id": repo.id, "full_name": repo.name, "private": repo.private })).collect()
        };
        let payload = json!({
            "action": if removed.is_empty() { "added" } else { "removed" },
            "installation": { "id": installation },
            "repositories_added": shown(added),
            "repositories_removed": shown(removed),
        });
        for one in self.inner.state().installations.iter_mut().filter(|one| one.id == installation) {
            one.repos.extend(added);
            one.repos.retain(|id| !removed.contains(id));
        }
        self.inner.event("installation_repositories", None, by, payload).await
    }

    /// Makes the deliveries that were asked for again; says how many.
    pub async fn redelivers(&self) -> usize {
        self.inner.redeliver().await
    }
}
