//! How a lock is wanted, as Python says it.

use crate::arguments::{Count, Flag, Seconds, Text};
use crate::error::{Failure, Result};
use pyo3::prelude::*;
use std::time::Duration;

/// The keywords of lock() and its kin that say how a lock is wanted. Not each of them has all.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Wish {
    pub(crate) value: Option<Text>,
    pub(crate) reason: Option<Text>,
    #[pyo3(default)]
    pub(crate) timeout: Option<Seconds>,
    #[pyo3(default = Flag::default(false))]
    pub(crate) shared: Flag,
    #[pyo3(default)]
    pub(crate) limit: Option<Count>,
}

/// The same, with nothing wrong in it.
pub(crate) struct Checked {
    value: Option<String>,
    reason: Option<String>,
    timeout: Option<Duration>,
    shared: bool,
    limit: Option<u32>,
}

impl Wish {
    /// Without a wait for others.
    pub(crate) fn not_waiting(self) -> Self {
        Wish { timeout: Some(Seconds::default(Duration::ZERO)), ..self }
    }

    pub(crate) fn checked(self) -> Result<Checked> {
        let checked = Checked {
            value: self.value.map(|value| value.named("value")).transpose()?,
            reason: self.reason.map(|reason| reason.named("reason")).transpose()?,
            timeout: self.timeout.map(|timeout| timeout.named("timeout")).transpose()?,
            shared: self.shared.named("shared")?,
            limit: self.limit.map(|limit| limit.named("limit")).transpose()?,
        };
        // Of the core the later one counts, but keywords have no order.
        if checked.shared && checked.limit.is_some() {
            return Err(Failure::Invalid("limit: must not be given with shared, which says that there is none".into()));
        }
        Ok(checked)
    }
}

impl Checked {
    pub(crate) fn apply(self, lock: locker::Lock) -> locker::Lock {
        let lock = self.value.into_iter().fold(lock, locker::Lock::value);
        let lock = self.reason.into_iter().fold(lock, locker::Lock::reason);
        let lock = self.timeout.into_iter().fold(lock, locker::Lock::timeout);
        let lock = if self.shared { lock.shared() } else { lock };
        self.limit.into_iter().fold(lock, locker::Lock::limit)
    }
}
