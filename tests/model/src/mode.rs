//! How many hold a lock together, and who keeps whom from it.

use crate::Rules;
use crate::etcd::Key;

/// The part of the queue in which a key stands: all that share are in one of their own, for each limit one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    Exclusive,
    /// At most so many hold together; [`ANY`]: without a limit.
    Shared(Limit),
}

pub type Limit = u8;

/// Any number of them hold together.
pub const ANY: Limit = 0;

impl Mode {
    pub fn is_shared(self) -> bool {
        self != Mode::Exclusive
    }

    /// Whether both share, each with another limit.
    pub fn contradicts(self, other: Mode) -> bool {
        self.is_shared() && other.is_shared() && self != other
    }
}

impl Key {
    /// Whether these, which are older, keep it from holding. The oldest comes first.
    pub fn is_barred_by(self, older: impl IntoIterator<Item = Key>, rules: &Rules) -> bool {
        let older: Vec<_> = older.into_iter().filter(|key| key.name == self.name).map(|key| key.mode).collect();
        let is_exclusive = |mode: &Mode| !mode.is_shared();
        match self.mode {
            Mode::Exclusive if rules.exclusive_waits_for_shared => !older.is_empty(),
            Mode::Exclusive => older.iter().any(is_exclusive),
            Mode::Shared(limit) => {
                let waits_for = if rules.first_come { older.len() } else { 1 };
                let by_exclusive = older.iter().take(waits_for).any(is_exclusive);
                let inside = older.iter().filter(|mode| **mode == self.mode).count();
                let by_limit = limit != ANY && inside >= usize::from(limit);
                by_exclusive && rules.shared_waits_for_exclusive || by_limit && rules.limit_counts
            }
        }
    }
}
