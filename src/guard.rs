//! One acquisition of one lock.

use crate::{Error, Info, Result};
use std::time::Duration;

/// Where a [`Guard`] stands. WAITING, then HELD ⇄ AT_RISK, then ENDED; ENDED is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// In the queue, or on its way there.
    Waiting,
    /// Held.
    Held,
    /// Held, but its lease has not been renewed for so long that it may soon be lost. Finish, or stop.
    AtRisk,
    /// Unlocked, lost, cancelled or failed.
    Ended,
}

impl State {
    /// Whether the lock is held: HELD or AT_RISK.
    pub fn held(self) -> bool {
        matches!(self, State::Held | State::AtRisk)
    }
}

/// A change of state, as [`Guard::changed`] tells it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// The new state.
    pub state: State,
    /// The fencing token while held, else 0.
    pub token: i64,
    /// Why: what ended the guard ([`State::Ended`]; `None` when `unlock` did), what put it at risk, or what sent it
    /// back into the queue ([`State::Waiting`]).
    pub error: Option<Error>,
}

/// One acquisition of one lock. Dropping it unlocks without waiting.
///
/// Every method may be called from any task at any time.
#[must_use = "dropping a guard unlocks"]
#[derive(Debug)]
pub struct Guard {}

impl Guard {
    /// The lock's name.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The fencing token while held, else 0. Each holder of a name gets a greater one: have what the lock protects
    /// refuse a token lower than one it has seen. It is the create revision of [`key`](Guard::key).
    pub fn token(&self) -> i64 {
        todo!()
    }

    /// The key in etcd that holds the lock; empty while there is none.
    pub fn key(&self) -> String {
        todo!()
    }

    /// Where it stands. Reads the clock in the call: a guard whose time ran out is ENDED here, whatever was or was not
    /// heard from etcd.
    pub fn state(&self) -> State {
        todo!()
    }

    /// Whether the lock is held now, as far as this process can know.
    pub fn held(&self) -> bool {
        self.state().held()
    }

    /// For how long the lock stays held if etcd stops answering now; zero when it is not held.
    pub fn remaining(&self) -> Duration {
        todo!()
    }

    /// What [`Client::get`](crate::Client::get) would say of this guard, from memory.
    pub fn info(&self) -> Info {
        todo!()
    }

    /// `Ok` while the lock is held, else why not: `Lost`, `Cancelled`, or the error that ended the wait.
    pub fn check(&self) -> Result<()> {
        todo!()
    }

    /// Waits until the lock is held, at most for `limit` (`None`: as long as it takes). A
    /// [`Timeout`](crate::ErrorKind::Timeout) by `limit` leaves the guard in the queue; any other error has ended it.
    pub async fn wait(&self, limit: impl Into<Option<Duration>>) -> Result<()> {
        let _: Option<Duration> = limit.into();
        todo!()
    }

    /// The next change of state, in order, never the same twice; `None` after ENDED was told. Callers share one
    /// sequence: each change goes to one of them. A reader that is slow is told the latest changes; ENDED always.
    pub async fn changed(&self) -> Option<Change> {
        todo!()
    }

    /// Returns when the lock is no longer held, with the reason: `Lost`, or `Cancelled` after `unlock` or `disconnect`.
    pub async fn lost(&self) -> Error {
        todo!()
    }

    /// Ends the guard whatever its state: leaves the queue, or releases the lock, and waits until etcd has confirmed
    /// it, at most for the client's timeout.
    ///
    /// Fails with `Lost` (it was lost before), `Cancelled` (it had been unlocked or its client disconnected before) or
    /// `Unavailable` (etcd has not confirmed: the hold is over here, and the release is tried until the lease has
    /// ended). Dropping the future does not undo it.
    pub async fn unlock(&self) -> Result<()> {
        todo!()
    }
}
