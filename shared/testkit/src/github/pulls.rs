//! Pull requests and the remarks on their lines.

use serde_json::Value;

use super::answer::page;
use super::serve::{Ask, Reply, missing, refused};
use super::state::{Comment, Pull, Repo};
use super::{bot, repository, wire};

/// The commit that a pull request shows.
pub(super) fn shown(repo: &Repo, pull: &Pull) -> String {
    let now = if pull.open { repository::head(&repo.path, &pull.branch) } else { None };
    now.unwrap_or_else(|| pull.head.clone())
}

/// Carries out an operation on pull requests.
pub(super) fn answer(ask: &Ask<'_>, name: &str) -> Reply {
    match name {
        "list" | "create" | "get" | "update" => whole(ask, name),
        _ => remarks(ask, name),
    }
}

#[expect(clippy::too_many_lines, reason = "four operations on one thing")]
fn whole(ask: &Ask<'_>, name: &str) -> Reply {
    let mut state = ask.inner.state();
    let us = bot(&state);
    let Some(repo) = state.repo(&ask.repo()).cloned() else { return missing() };
    let number = ask.number("pull_number");
    match name {
        "list" => {
            let branch = ask.query("head").and_then(|head| head.split_once(':')).map(|(_, branch)| branch.to_owned());
            let base = ask.query("base");
            let open = ask.query("state").unwrap_or("open") == "open";
            let fits = |pull: &Pull| {
                branch.as_ref().is_none_or(|branch| pull.branch == *branch)
                    && base.is_none_or(|base| pull.base == base)
                    && (!open || pull.open)
            };
            let all = repo.pulls.iter().rev().filter(|(_, pull)| fits(pull));
            let all = all.map(|(number, pull)| wire::listed(&state, &repo, (*number, pull), &shown(&repo, pull)));
            (200, page(ask, all.collect()))
        }
        "create" => {
            let (branch, base) = (ask.text("head"), ask.text("base"));
            let same = |pull: &&Pull| pull.open && pull.branch == branch && pull.base == base;
            if repo.pulls.values().any(|pull| same(&pull)) {
                let owner = repo.name.split('/').next().unwrap_or_default();
                return refused(&format!("A pull request already exists for {owner}:{branch}."));
            }
            let Some(head) = repository::head(&repo.path, &branch) else {
                return refused("head is invalid");
            };
            let pull = Pull {
                title: ask.text("title"),
                body: ask.text("body"),
                branch,
                base,
                draft: ask.body.get("draft").and_then(Value::as_bool).unwrap_or(false),
                open: true,
                merged: false,
                asked: None,
                by: us,
                head: head.clone(),
            };
            let number = repo.next();
            let shown = wire::whole(&state, &repo, (number, &pull), &head, None);
            if let Some(repo) = state.repo_mut(&ask.repo()) {
                repo.pulls.insert(number, pull);
            }
            (201, shown)
        }
        _ => {
            if let Some(pull) = state.repo_mut(&ask.repo()).and_then(|repo| repo.pulls.get_mut(&number))
                && name == "update"
            {
                if let Some(body) = ask.body.get("body").and_then(Value::as_str) {
                    body.clone_into(&mut pull.body);
                }
                if ask.text("state") == "closed" {
                    pull.open = false;
                }
            }
            let Some(repo) = state.repo(&ask.repo()).cloned() else { return missing() };
            let Some(pull) = repo.pulls.get(&number) else { return missing() };
            let head = shown(&repo, pull);
            let mergeable = mergeable(&repo, pull, &head);
            if let Some(pull) = state.repo_mut(&ask.repo()).and_then(|repo| repo.pulls.get_mut(&number)) {
                pull.asked = repository::head(&repo.path, &pull.base).map(|base| (base, head.clone()));
            }
            (200, wire::whole(&state, &repo, (number, pull), &head, mergeable))
        }
    }
}

/// Whether a pull request can be merged; GitHub finds that out once somebody asks, and tells those who ask again.
fn mergeable(repo: &Repo, pull: &Pull, head: &str) -> Option<bool> {
    let (base, known) = pull.asked.as_ref().filter(|_| pull.open)?;
    if repository::head(&repo.path, &pull.base).as_ref() != Some(base) || known != head {
        return None;
    }
    Some(repository::git(&repo.path, &["merge-tree", "--write-tree", base, head], None, &[]).is_some())
}

fn remarks(ask: &Ask<'_>, name: &str) -> Reply {
    let mut state = ask.inner.state();
    let (us, fresh, now) = (bot(&state), state.id(), (ask.inner.clock)());
    let Some(repo) = state.repo_mut(&ask.repo()) else { return missing() };
    let (number, id) = (ask.number("pull_number"), ask.number("comment_id"));
    match name {
        "list-review-comments" => {
            let repo = repo.clone();
            let all = repo.remarks.iter().filter(|remark| remark.number == number);
            (200, page(ask, all.map(|remark| wire::remark(&state, &repo, remark)).collect()))
        }
        "list-comments-for-review" => {
            let review = ask.number("review_id");
            let repo = repo.clone();
            let all =
                repo.remarks.iter().filter(|r| r.number == number && r.review == Some(review) && r.reply_to.is_none());
            (200, page(ask, all.map(|remark| wire::reviewed(&state, &repo, remark)).collect()))
        }
        "create-reply-for-review-comment" => {
            let Some(first) = repo.remarks.iter().find(|remark| remark.id == id && remark.reply_to.is_none()).cloned()
            else {
                return missing();
            };
            let made = Comment::new(fresh, first.number, us, &ask.text("body"), now);
            let made = Comment { at: first.at, review: first.review, reply_to: Some(id), ..made };
            repo.remarks.push(made.clone());
            let repo = repo.clone();
            (201, wire::remark(&state, &repo, &made))
        }
        "get-review-comment" | "update-review-comment" => {
            let Some(remark) = repo.remarks.iter_mut().find(|remark| remark.id == id) else { return missing() };
            if name == "update-review-comment" {
                (remark.body, remark.updated) = (ask.text("body"), now);
            }
            let (remark, repo) = (remark.clone(), repo.clone());
            (200, wire::remark(&state, &repo, &remark))
        }
        "delete-review-comment" => {
            repo.remarks.retain(|remark| remark.id != id);
            (204, Value::Null)
        }
        _ => {
            state.wrong.push(format!("the stand-in does not know pulls/{name}"));
            missing()
        }
    }
}
