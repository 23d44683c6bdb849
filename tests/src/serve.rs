//! `prfactory serve` as a process of its own, which can be killed and measured.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::model::ScriptedModel;

use crate::world::MODEL_KEY;

/// A running `prfactory serve`.
pub struct Serve {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
}

/// The binary: named by `PRFACTORY_BIN`, or what cargo built beside this one.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PRFACTORY_BIN") {
        return path.into();
    }
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("prfactory")
}

impl Serve {
    /// Starts it on a free port and waits until it listens; what it logs goes to `serve.log` in the folder.
    pub fn start(data: &Path, model: &ScriptedModel, workers: usize, log: &str) -> Self {
        let mut command = Command::new(binary());
        if !log.is_empty() {
            command.env("PRFACTORY_LOG", log);
        }
        Self::started(command, data, &model.url(), workers)
    }

    /// Starts it as the last arguments of another program.
    pub fn started(mut command: Command, data: &Path, model: &str, workers: usize) -> Self {
        let log = File::options().create(true).append(true).open(data.join("serve.log")).unwrap();
        let mut child = command
            .args(["--json", "--data"])
            .arg(data)
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", &workers.to_string()])
            .env("ANTHROPIC_API_KEY", MODEL_KEY)
            .env("ANTHROPIC_BASE_URL", model)
            .env("PRFACTORY_MODEL", "scripted")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        let address = said["listening"].as_str().and_then(|text| text.parse().ok());
        let log = || std::fs::read_to_string(data.join("serve.log")).unwrap_or_default();
        let address = address.unwrap_or_else(|| panic!("serve did not start: {line} {}", log()));
        Self { address, child }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "the process is gone");
    }

    /// Kills it at once, as a power failure would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A file of `/proc` about it.
    fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap()
    }

    /// Seconds of processor time it has used.
    pub fn cpu_seconds(&self) -> f64 {
        // The name in parentheses may hold blanks; user and system time are the 12th and 13th field after it.
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }

    /// Bytes of memory: now, and at the most so far.
    pub fn memory(&self) -> (u64, u64) {
        let status = self.proc("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

/// How many files there are below a folder.
pub fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

/// Bytes of the files below a folder whose names begin so.
pub fn bytes_below(folder: &Path, start: &str) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path(), start),
        Ok(found) if entry.file_name().to_string_lossy().starts_with(start) => found.len(),
        // A file of SQLite's may come and go.
        Ok(_) | Err(_) => 0,
    };
    entries.map(size).sum()
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
