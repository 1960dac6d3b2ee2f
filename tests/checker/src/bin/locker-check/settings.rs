//! What the driver tells its workers, by the environment.

use crate::Result;
use locker_check::history::History;
use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The prefix of all locks of a run.
pub(crate) const PREFIX: &str = "/check/";

/// What a worker is told.
pub(crate) struct Settings {
    pub(crate) endpoints: String,
    pub(crate) history: History,
    /// The directory of the things that locks protect.
    pub(crate) things: PathBuf,
    /// How many locks there are.
    pub(crate) locks: u32,
    pub(crate) ttl: Duration,
    /// How many clients a worker in Rust has, and how many tasks that share them.
    pub(crate) clients: usize,
    pub(crate) tasks: usize,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self> {
        fastrand::seed(number("CHECK_SEED")?);
        Ok(Settings {
            endpoints: text("LOCKER_ENDPOINTS")?,
            history: History::open(&PathBuf::from(text("CHECK_HISTORY")?))?,
            things: text("CHECK_THINGS")?.into(),
            locks: number("CHECK_LOCKS")?,
            ttl: Duration::from_millis(number("CHECK_TTL")?),
            clients: number("CHECK_CLIENTS")?,
            tasks: number("CHECK_TASKS")?,
        })
    }

    /// A lock at random.
    pub(crate) fn lock(&self) -> u32 {
        fastrand::u32(1..=self.locks)
    }

    /// The same; now and then two.
    pub(crate) fn locks(&self) -> Vec<u32> {
        let lock = self.lock();
        match fastrand::u32(..6) {
            0 if self.locks > 1 => vec![lock, lock % self.locks + 1],
            _ => vec![lock],
        }
    }
}

/// How long to wait for a lock: mostly long enough, at times hardly, at times not at all.
pub(crate) fn patience() -> Duration {
    Duration::from_millis(match fastrand::u32(..10) {
        0 => 0,
        1 | 2 => fastrand::u64(5..105),
        _ => 3000,
    })
}

/// How long to hold it: mostly short, at times long.
pub(crate) fn work() -> Duration {
    Duration::from_millis(if fastrand::u32(..12) == 0 { fastrand::u64(100..400) } else { fastrand::u64(5..35) })
}

pub(crate) fn text(name: &str) -> Result<String> {
    env::var(name).map_err(|_| format!("{name} is not set").into())
}

pub(crate) fn number<T: FromStr>(name: &str) -> Result<T> {
    text(name)?.parse().map_err(|_| format!("{name} is no number").into())
}
