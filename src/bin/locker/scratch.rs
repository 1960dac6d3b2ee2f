//! A temporary directory that is removed even when its owner could not.

use std::fs::{self, DirEntry, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tempfile::TempDir;

/// What a file system in memory must have free: etcd allocates 64 MiB for each part of its log, in advance, and keeps
/// up to five of them and a spare one; the rest is for data.
const ROOM: u64 = 1 << 30;
const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "locker-dev-";
const LOCK: &str = "lock";

/// A directory in memory where there is room, else where temporary files are. Removed when dropped; if its owner was
/// killed, when somebody makes the next one.
pub(crate) struct Scratch {
    directory: TempDir,
    /// Locked for as long as the owner lives, whatever ends it.
    _alive: File,
}

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let memory = Path::new(MEMORY);
        let roomy = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) >= ROOM);
        if roomy && let Ok(scratch) = Scratch::new_in(memory) {
            return Ok(scratch);
        }
        Scratch::new_in(&std::env::temp_dir())
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        loop {
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let alive = File::create_new(directory.path().join(LOCK))?;
            // Another's sweep may have come between these two lines and the next; then that directory is its prey.
            if alive.try_lock().is_ok() {
                return Ok(Scratch { directory, _alive: alive });
            }
        }
    }
}

/// Removes the directories of ours whose owners are dead.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten().filter(is_ours) {
        if let Ok(lock) = File::open(entry.path().join(LOCK))
            && lock.try_lock().is_ok()
        {
            // If it fails, somebody else removes it just now, or the next one will.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_ours(entry: &DirEntry) -> bool {
    let named = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
    named && entry.metadata().is_ok_and(|it| it.is_dir() && it.uid() == rustix::process::geteuid().as_raw())
}
