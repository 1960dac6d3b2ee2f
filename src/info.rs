//! Who holds a lock, as others see it.

use std::time::{Duration, SystemTime};

/// Who holds a lock. A token of 0 says that nobody does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The lock.
    pub name: String,
    /// The holder's fencing token; 0 when the lock is free.
    pub token: i64,
    /// How it is held.
    pub mode: Mode,
    /// What its holder published with [`Lock::value`](crate::Lock::value). Of a foreign holder (`etcdctl lock`, Go's
    /// `concurrency`) the value of its key, as it is.
    pub value: String,
    /// Why it is held, if the holder said so with [`Lock::reason`](crate::Lock::reason).
    pub reason: String,
    /// The holder's host name.
    pub host: String,
    /// The holder's process id on that host; 0 when not known.
    pub pid: u32,
    /// The holder's program name.
    pub program: String,
    /// When its holder asked for it, by the clock of the holder's machine.
    pub since: Option<SystemTime>,
    /// How many wait behind the holder.
    pub waiters: u32,
    /// How long the holder's lease would last if it were not kept alive from now on; `None` when not asked for or when
    /// there is no lease.
    pub lease_left: Option<Duration>,
}

impl Info {
    /// Whether somebody holds the lock.
    pub fn held(&self) -> bool {
        self.token != 0
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Nobody holds it.
    #[default]
    Free,
    /// By one holder at a time.
    Exclusive,
    /// By something that is not locker: `etcdctl lock`, Go's `concurrency`, a key written by hand.
    Foreign,
}
