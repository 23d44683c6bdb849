//! Git behind the API: objects and branches of a real bare repository, made by the real git.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::git::{PATH, program};

/// Runs git on a bare repository; `None` when it refuses.
pub(super) fn git(path: &Path, arguments: &[&str], input: Option<&str>, with: &[(&str, &str)]) -> Option<String> {
    let mut command = Command::new(program());
    command.arg("--git-dir").arg(path).args(arguments).env_clear().env("PATH", PATH);
    command.env("HOME", path).envs(with.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).ok()?;
    }
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The commit a branch points at.
pub(super) fn head(path: &Path, branch: &str) -> Option<String> {
    git(path, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")], None, &[])
}

/// A commit's tree, message and parents.
pub(super) fn commit(path: &Path, sha: &str) -> Option<(String, String, Vec<String>)> {
    let kind = git(path, &["cat-file", "-t", sha], None, &[])?;
    if kind != "commit" {
        return None;
    }
    let tree = git(path, &["show", "-s", "--format=%T", sha], None, &[])?;
    let parents = git(path, &["show", "-s", "--format=%P", sha], None, &[])?;
    let message = git(path, &["show", "-s", "--format=%B", sha], None, &[])?;
    Some((tree, message, parents.split_whitespace().map(str::to_owned).collect()))
}

/// Makes a tree of another one and changes to it.
pub(super) fn tree(path: &Path, base: Option<&str>, entries: &[Value]) -> Option<String> {
    let index = tempfile::NamedTempFile::new_in(path).ok()?;
    let file = index.path().to_str()?.to_owned();
    std::fs::remove_file(index.path()).ok()?;
    let with = [("GIT_INDEX_FILE", file.as_str())];
    match base {
        Some(base) => git(path, &["read-tree", base], None, &with)?,
        None => git(path, &["read-tree", "--empty"], None, &with)?,
    };
    let mut lines = String::new();
    for entry in entries {
        let name = entry.get("path")?.as_str()?;
        let mode = entry.get("mode")?.as_str()?;
        if entry.get("sha").is_some_and(Value::is_null) {
            let _ = writeln!(lines, "0 {}\t{name}", "0".repeat(40));
            continue;
        }
        let sha = match entry.get("content").and_then(Value::as_str) {
            Some(content) => git(path, &["hash-object", "-w", "--stdin"], Some(content), &[])?,
            None => entry.get("sha")?.as_str()?.to_owned(),
        };
        let _ = writeln!(lines, "{mode} {sha}\t{name}");
    }
    git(path, &["update-index", "--index-info"], Some(&lines), &with)?;
    let made = git(path, &["write-tree"], None, &with);
    // The index goes away with its guard, or was never written.
    drop(index);
    made
}

/// Makes a commit by somebody, now.
pub(super) fn make(path: &Path, who: &str, (message, tree, parents): (&str, &str, &[&str]), at: i64) -> Option<String> {
    let date = format!("{at} +0000");
    let mail = format!("{who}@users.noreply.github.test");
    let with = [
        ("GIT_AUTHOR_NAME", who),
        ("GIT_AUTHOR_EMAIL", mail.as_str()),
        ("GIT_AUTHOR_DATE", date.as_str()),
        ("GIT_COMMITTER_NAME", "GitHub"),
        ("GIT_COMMITTER_EMAIL", "noreply@github.test"),
        ("GIT_COMMITTER_DATE", date.as_str()),
    ];
    let mut arguments = vec!["commit-tree", tree];
    for parent in parents {
        arguments.extend(["-p", parent]);
    }
    git(path, &arguments, Some(message), &with)
}

/// Whether one commit is behind another.
pub(super) fn is_behind(path: &Path, old: &str, new: &str) -> bool {
    git(path, &["merge-base", "--is-ancestor", old, new], None, &[]).is_some()
}

/// A reference as the API shows one.
pub(super) fn reference(branch: &str, sha: &str) -> Value {
    super::wire::like(
        "git/get-ref",
        200,
        &[
            ("/ref", json!(format!("refs/heads/{branch}"))),
            ("/object/sha", json!(sha)),
            ("/object/type", json!("commit")),
        ],
    )
}
