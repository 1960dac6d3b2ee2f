//! One acquisition of one lock.

use crate::acquisition::Acquisition;
use crate::{Error, ErrorKind, Info, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Where a [`Guard`] stands. WAITING, then HELD ⇄ AT_RISK, then ENDED; ENDED is final. One in standby goes back to WAITING
/// when it is lost.
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
    /// The name of this state, the same in every language: "waiting", "held", "at_risk" or "ended".
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Held => "held",
            State::AtRisk => "at_risk",
            State::Ended => "ended",
        }
    }

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
    /// Why: what ended the guard ([`State::Ended`]; `None` when `unlock` did), what put it at risk, or how it lost its
    /// place in the queue, or in [standby](crate::Lock::standby) the lock, and had to enter again at the tail
    /// ([`State::Waiting`]).
    pub error: Option<Error>,
}

/// One acquisition of one lock, or one after the other if it is in [standby](crate::Lock::standby). Dropping it unlocks
/// without waiting, unless it is [persistent](crate::Lock::persistent).
///
/// Every method may be called from any task at any time.
#[must_use = "dropping a guard unlocks"]
pub struct Guard {
    acquisition: Arc<Acquisition>,
}

impl Guard {
    pub(crate) fn new(acquisition: Arc<Acquisition>) -> Self {
        Guard { acquisition }
    }

    /// The lock's name; of several the first.
    pub fn name(&self) -> &str {
        self.acquisition.name()
    }

    /// The names of all its locks: more than one if it is of [`lock_all`](crate::Client::lock_all).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.acquisition.names()
    }

    /// The fencing token while held, else 0. Each holder of a name gets a greater one: have what the lock protects
    /// refuse a token lower than one it has seen. It is the create revision of [`key`](Guard::key).
    pub fn token(&self) -> i64 {
        self.acquisition.place().map_or(0, |place| place.created)
    }

    /// The key in etcd that holds the lock; empty while it is not held.
    pub fn key(&self) -> String {
        self.acquisition.place().map_or_else(String::new, |place| self.acquisition.key(&place, 0))
    }

    /// The keys in etcd that hold its locks, one for each name; none while it is not held.
    pub fn keys(&self) -> Vec<String> {
        self.acquisition.place().map_or_else(Vec::new, |place| self.acquisition.keys(&place))
    }

    /// Where it stands. Reads the clock in the call: a guard whose time ran out is ENDED here, whatever was or was not
    /// heard from etcd.
    pub fn state(&self) -> State {
        self.acquisition.state()
    }

    /// Whether the lock is held now, as far as this process can know.
    pub fn held(&self) -> bool {
        self.state().held()
    }

    /// For how long the lock stays held if etcd stops answering now; zero when it is not held, and [`Duration::MAX`] of one
    /// that is held without a lease ([`persistent`](crate::Lock::persistent)).
    pub fn remaining(&self) -> Duration {
        self.acquisition.place().map_or(Duration::ZERO, |place| place.remaining())
    }

    /// From memory: while held, what [`Client::get`](crate::Client::get) would say of this guard; before, or when the
    /// wait has ended without it, who held the lock when last heard of (token 0: not known).
    pub fn info(&self) -> Info {
        let others = || self.acquisition.holder().unwrap_or_else(|| Info::free(self.name()));
        self.acquisition.held_info().unwrap_or_else(others)
    }

    /// `Ok` while the lock is held, else why not: `Lost`, `Cancelled`, or the error that ended the wait; `Timeout` while
    /// it still waits, but `Lost` while it waits to have again what it lost.
    pub fn check(&self) -> Result<()> {
        self.acquisition.check()
    }

    /// Waits until the lock is held, at most for `limit` (`None`: as long as it takes). A
    /// [`Timeout`](crate::ErrorKind::Timeout) by `limit` leaves the guard in the queue; any other error has ended it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the guard where it is, in the queue or held.
    pub async fn wait(&self, limit: impl Into<Option<Duration>>) -> Result<()> {
        match limit.into() {
            None => self.settled().await,
            // A timer would take a millisecond, and needs a runtime.
            Some(limit) if limit.is_zero() => match self.state() {
                State::Waiting => Err(self.acquisition.timed_out()),
                _ => self.known_if_held(),
            },
            Some(limit) => match timeout(limit, self.settled()).await {
                Ok(settled) => settled,
                Err(_) => Err(self.acquisition.timed_out()),
            },
        }
    }

    /// Returns when it is held, or has ended.
    async fn settled(&self) -> Result<()> {
        loop {
            self.acquisition.settled().await;
            match self.known_if_held() {
                // It was lost again meanwhile, and is to be had again.
                Err(_) if self.state() == State::Waiting => (),
                known => return known,
            }
        }
    }

    /// What `check` says; that it is held counts as told.
    fn known_if_held(&self) -> Result<()> {
        self.check().inspect(|()| self.acquisition.owner_knows())
    }

    /// The next change of state, in order; `None` after ENDED was told. The same state is never told twice running, but
    /// WAITING: told again, it says that the place in the queue was lost.
    ///
    /// Callers share one sequence: each change goes to one of them. A reader that is slow is told the latest changes;
    /// ENDED always.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> locker::Result<()> {
    /// # let etcd = locker_harness::Etcd::start();
    /// # let client = locker::Client::connect(etcd.endpoint()).await?;
    /// use locker::State;
    ///
    /// let guard = client.lock("x").start()?;
    /// let change = guard.changed().await.unwrap();
    /// assert_eq!((change.state, change.token), (State::Held, guard.token()));
    /// guard.unlock().await?;
    /// assert_eq!(guard.changed().await.unwrap().state, State::Ended);
    /// assert!(guard.changed().await.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change: one that it has not given goes to the next call.
    pub async fn changed(&self) -> Option<Change> {
        let change = self.acquisition.changed().await?;
        if change.state == State::Held {
            self.acquisition.owner_knows();
        }
        Some(change)
    }

    /// Returns when the guard has ended, with the reason: `Lost`; `Cancelled` after `unlock` or `disconnect`; or the
    /// error that ended the wait. One in [standby](crate::Lock::standby) does not end with a loss:
    /// [`changed`](Guard::changed) tells it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect: it tells the same whenever it is asked.
    pub async fn lost(&self) -> Error {
        self.acquisition.ended().await
    }

    /// Ends the guard whatever its state: leaves the queue, or releases the lock, and waits until etcd has confirmed
    /// it, at most for the client's timeout.
    ///
    /// Fails with `Lost` (it was lost before), `Cancelled` (it had been unlocked or its client disconnected before) or
    /// `Unavailable` (etcd has not confirmed: the hold is over here, and the release is tried until the lease has
    /// ended).
    ///
    /// # Cancel safety
    ///
    /// Nothing happens before the future is polled. From then on the hold is over, and dropping the future only drops the
    /// news: the lock is released behind.
    pub async fn unlock(&self) -> Result<()> {
        if !self.acquisition.give_up() {
            return Err(self.acquisition.unlocked());
        }
        match timeout(self.acquisition.timeout(), self.acquisition.finished()).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("etcd has not confirmed the release of {:?} yet", self.name()),
            )),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.acquisition.let_go();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("name", &self.name()).field("state", &self.state()).finish_non_exhaustive()
    }
}
