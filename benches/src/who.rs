//! The programs that are measured.

use crate::Result;
use crate::child::Child;
use std::path::Path;
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Ours, by language.
    Rust,
    C,
    Go,
    Python,
    /// The requests of a lock alone, as the core makes them, by the library that the core uses.
    Raw,
    /// The same by hand, on a blocking socket: what no client can be faster than.
    Limit,
    /// The peers.
    Concurrency,
    V3Lock,
    Etcd3,
    Redis,
}

impl Who {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Rust => "locker in Rust",
            Who::C => "locker in C",
            Who::Go => "locker in Go",
            Who::Python => "locker in Python",
            Who::Raw => "raw txn + delete",
            Who::Limit => "the limit, by hand",
            Who::Concurrency => "Go concurrency",
            Who::V3Lock => "v3lock by Go",
            Who::Etcd3 => "Python etcd3",
            Who::Redis => "redis-py",
        }
    }

    /// Starts it, in the root of the project; `benches/run` has built it.
    pub(crate) fn start(self, endpoints: &str) -> Result<Child> {
        let mut command = match self {
            Who::Rust | Who::Raw | Who::Limit => Command::new(std::env::current_exe()?),
            Who::C => Command::new("target/bench/worker-c"),
            Who::Go => Command::new("target/bench/worker-go"),
            Who::Concurrency | Who::V3Lock => Command::new("target/bench/peer-go"),
            Who::Python | Who::Etcd3 | Who::Redis => Command::new("target/bench/venv/bin/python"),
        };
        command.args(self.arguments()).arg(endpoints);
        Child::start(command)
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Who::Rust => &["worker", "locker"],
            Who::Raw => &["worker", "raw"],
            Who::Limit => &["worker", "limit"],
            Who::C | Who::Go => &[],
            Who::Concurrency => &["concurrency"],
            Who::V3Lock => &["v3lock"],
            Who::Python => &["benches/peers/python/locker_worker.py"],
            Who::Etcd3 => &["benches/peers/python/etcd3_peer.py"],
            Who::Redis => &["benches/peers/python/redis_peer.py"],
        }
    }
}

/// So many of a kind.
pub(crate) fn start_all(who: Who, count: usize, endpoints: &str) -> Result<Vec<Child>> {
    (0..count).map(|_| who.start(endpoints)).collect()
}

/// Whether a program of this name is installed.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join(program).is_file())
}
