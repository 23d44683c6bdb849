//! A small disk of its own, which can be filled and made read-only.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, mounted on a folder.
pub struct Disk {
    at: PathBuf,
}

/// Says whether this process may mount; `cargo xtask test` says so too when it may not.
pub fn may_mount() -> bool {
    let probe = tempfile::tempdir().unwrap();
    let may = mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], probe.path());
    if may {
        unmount(probe.path());
    } else {
        eprintln!("NOT CHECKED: full and read-only disks, because this process may not mount one");
    }
    may
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount").args(arguments).arg(at).output().is_ok_and(|output| output.status.success())
}

fn unmount(at: &Path) {
    // Lazily, because a process that was just killed may still hold a file.
    let _ = Command::new("umount").arg("-l").arg(at).output();
}

impl Disk {
    /// Mounts an empty disk of that many MiB on a folder.
    pub fn on(folder: &Path, mebibytes: u64) -> Self {
        assert!(mount(&["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"], folder));
        Self { at: folder.to_owned() }
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.at.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Makes room again.
    pub fn clear(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }

    /// Makes it read-only, or writable again; nobody may have a file of it open for writing.
    pub fn read_only(&self, on: bool) {
        assert!(mount(&["-o", if on { "remount,ro" } else { "remount,rw" }], &self.at));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.at);
    }
}
