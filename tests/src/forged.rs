//! Repositories no honest git would make: objects written byte by byte.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A bare repository whose objects are forged.
pub struct Forged {
    path: PathBuf,
}

/// One entry of a tree: mode, name as bytes, object.
pub type Entry<'a> = (&'a str, &'a [u8], String);

/// The mode of a file.
pub const FILE: &str = "100644";
/// The mode of a directory.
pub const TREE: &str = "40000";

impl Forged {
    /// Forges in a repository that is there.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Runs git with something on its standard input.
    pub fn git(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut child = Command::new("git")
            .arg("--git-dir")
            .arg(&self.path)
            .args(arguments)
            .envs([("GIT_AUTHOR_DATE", "2026-02-02T00:00:00Z"), ("GIT_COMMITTER_DATE", "2026-02-02T00:00:00Z")])
            .envs([("GIT_AUTHOR_NAME", "x"), ("GIT_AUTHOR_EMAIL", "x@example.com")])
            .envs([("GIT_COMMITTER_NAME", "x"), ("GIT_COMMITTER_EMAIL", "x@example.com")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes a file.
    pub fn blob(&self, bytes: &[u8]) -> String {
        self.git(&["hash-object", "-w", "--stdin"], bytes)
    }

    /// Writes a file of zeros without holding it, as one with this many MiB.
    pub fn zeros(&self, mebibytes: u64) -> String {
        let text = format!(
            "head -c {} /dev/zero | git -c core.bigFileThreshold=1g --git-dir '{}' hash-object -w --stdin",
            mebibytes * 1024 * 1024,
            self.path.display()
        );
        let output = Command::new("sh").args(["-c", &text]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes a tree with whatever names it is given.
    pub fn tree(&self, entries: &[Entry<'_>]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, oid) in entries {
            bytes.extend_from_slice(format!("{mode} ").as_bytes());
            bytes.extend_from_slice(name);
            bytes.push(0);
            for at in (0..40).step_by(2) {
                bytes.push(u8::from_str_radix(oid.get(at..at + 2).unwrap(), 16).unwrap());
            }
        }
        self.git(&["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &bytes)
    }

    /// Writes a tree with a file worth changing and something beside it.
    pub fn beside(&self, extra: &[Entry<'_>]) -> String {
        let price = self.blob(b"TAX = 0.2\n\n\ndef total(net):\n    return net + net * TAX\n");
        let src = self.tree(&[(FILE, b"price.py", price)]);
        let mut entries = extra.to_vec();
        entries.push((TREE, b"src", src));
        entries.sort_by(|a, b| a.1.cmp(b.1));
        self.tree(&entries)
    }

    /// Commits a tree as the head of `main`.
    pub fn commit(&self, tree: &str) {
        let commit = self.git(&["commit-tree", tree, "-m", "forged"], b"");
        self.git(&["update-ref", "refs/heads/main", &commit], b"");
    }
}
