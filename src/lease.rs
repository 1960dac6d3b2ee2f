//! The lease of a client: granted, kept alive, and known to be lost before etcd can know it.

mod keep;

pub(crate) use keep::deleted;

use crate::clock::Clock;
use crate::epoch::Epoch;
use crate::holds::Holds;
use crate::key::Keys;
use crate::store::Grant;
use crate::{Error, ErrorKind, Loss};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tracing::{debug, warn};

/// What a deadline lies before the end of the lease, at least: room for timers, and for those who have to stop.
const LEAST_MARGIN: Duration = Duration::from_millis(500);
/// A lease that was granted. It ends once and for all: there is no way back, only a new one.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) epoch: Epoch,
    /// What it holds.
    pub(crate) holds: Holds,
    grant: Grant,
    clock: Arc<dyn Clock>,
    /// Until when, in nanoseconds of the clock, the lease is certain to last; 0 once it has ended.
    deadline: AtomicU64,
    status: watch::Sender<Status>,
    /// Why it was not renewed lately.
    trouble: Mutex<Option<Error>>,
}

/// How a lease stands, for those who wait for a change. Those who want to know now ask [`Lease::remaining`].
#[derive(Clone, Debug)]
pub(crate) enum Status {
    Alive,
    AtRisk(Error),
    Ended(Error),
}

impl Lease {
    /// `sent` is the time before the request for it was sent: its TTL cannot have begun earlier.
    pub(crate) fn new(id: i64, grant: Grant, sent: Duration, clock: Arc<dyn Clock>, keys: &Keys) -> Self {
        let lease = Lease {
            id,
            epoch: Epoch::new(keys.epoch(id), id),
            holds: Holds::default(),
            grant,
            clock,
            deadline: AtomicU64::new(0),
            status: watch::Sender::new(Status::Alive),
            trouble: Mutex::new(None),
        };
        lease.deadline.store(nanos(sent + lease.life()), Ordering::Release);
        lease
    }

    /// For how long it is certain to last, by our clock; zero once it has ended. Reads the clock in the call.
    ///
    /// Who sees its end makes it final: no answer that comes after that revives it.
    pub(crate) fn remaining(&self) -> Duration {
        let mut deadline = self.deadline.load(Ordering::Acquire);
        loop {
            let now = nanos(self.clock.now());
            if now < deadline {
                return Duration::from_nanos(deadline - now);
            }
            match self.deadline.compare_exchange(deadline, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Duration::ZERO,
                Err(renewed) => deadline = renewed,
            }
        }
    }

    /// Whether it has gone without renewal for so long that it may soon end.
    pub(crate) fn at_risk(&self) -> bool {
        self.remaining() < self.risk()
    }

    /// Why it has ended; `None` while it lasts.
    pub(crate) fn ended(&self) -> Option<Error> {
        match &*self.status.borrow() {
            Status::Ended(error) => Some(error.clone()),
            _ if self.remaining().is_zero() => Some(self.expired()),
            _ => None,
        }
    }

    /// As granted.
    pub(crate) fn ttl(&self) -> Duration {
        self.grant.ttl
    }

    /// Whether a request to make it may still be under way.
    pub(crate) fn may_be_made_again(&self) -> bool {
        self.grant.doubted
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Returns when it has ended, with the reason.
    pub(crate) async fn wait_ended(&self) -> Error {
        let mut status = self.status();
        loop {
            if let Status::Ended(error) = &*status.borrow_and_update() {
                return error.clone();
            }
            // The sender lives in `self`.
            let _ = status.changed().await;
        }
    }

    /// Ends it here, for the first reason that is given.
    pub(crate) fn end(&self, reason: Error) {
        self.deadline.store(0, Ordering::Release);
        self.status.send_if_modified(|status| match status {
            Status::Ended(_) => false,
            _ => {
                debug!(lease = self.id, %reason, "lease ended");
                *status = Status::Ended(reason);
                true
            }
        });
    }

    /// Counts an answered beat that was sent at `sent`. False if it came too late: what was once seen to have ended
    /// stays so.
    fn renewed(&self, sent: Duration) -> bool {
        let until = nanos(sent + self.life());
        let renewed = self.deadline.fetch_update(Ordering::AcqRel, Ordering::Acquire, |deadline| {
            (nanos(self.clock.now()) < deadline).then_some(deadline.max(until))
        });
        if renewed.is_err() {
            return false;
        }
        *self.trouble() = None;
        self.status.send_if_modified(|status| match status {
            Status::AtRisk(_) => {
                *status = Status::Alive;
                true
            }
            _ => false,
        });
        true
    }

    /// For how long an answered beat lets it last: the TTL less a margin.
    fn life(&self) -> Duration {
        self.grant.ttl.saturating_sub(LEAST_MARGIN.max(self.grant.ttl / 10))
    }

    /// With less than this remaining it is at risk: as soon after a beat that was missed as its answer can be called late
    /// even at a TTL of 2 s, and early enough to stop what the lock protects.
    fn risk(&self) -> Duration {
        self.life() * 2 / 5
    }

    fn expired(&self) -> Error {
        self.with_trouble(Error::lost(Loss::Expired, "the lease could not be renewed in time"))
    }

    /// The error, with what has been in the way of renewal.
    fn with_trouble(&self, error: Error) -> Error {
        match &*self.trouble() {
            Some(trouble) => error.caused_by(trouble),
            None => error,
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Error>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That etcd has not answered for long, if so.
    pub(crate) fn silence(&self) -> Option<Error> {
        self.at_risk().then(|| self.risky())
    }

    fn risky(&self) -> Error {
        self.with_trouble(Error::new(ErrorKind::Unavailable, "the lease has not been renewed for long"))
    }

    fn tell_risk(&self) {
        let risk = self.risky();
        self.status.send_if_modified(|status| match status {
            Status::Alive => {
                warn!(lease = self.id, reason = %risk, "locks are at risk");
                *status = Status::AtRisk(risk);
                true
            }
            _ => false,
        });
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct HandClock(Mutex<Duration>);

    impl HandClock {
        fn set(&self, millis: u64) {
            *self.0.lock().unwrap() = Duration::from_millis(millis);
        }
    }

    impl Clock for HandClock {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    fn lease(ttl: u64) -> (Arc<HandClock>, Lease) {
        let clock = Arc::new(HandClock::default());
        clock.set(100_000);
        let keys = Keys::new(String::new()).unwrap();
        let lease = Lease::new(
            1,
            Grant { ttl: Duration::from_secs(ttl), doubted: false },
            Duration::from_millis(100_000),
            clock.clone(),
            &keys,
        );
        (clock, lease)
    }

    #[test]
    fn the_deadline_is_counted_from_the_sending_less_the_margin() {
        for (ttl, life) in [(2, 1500), (5, 4500), (10, 9000), (60, 54_000)] {
            let (clock, lease) = lease(ttl);
            assert_eq!(lease.remaining(), Duration::from_millis(life));
            clock.set(101_000);
            assert!(lease.renewed(Duration::from_millis(100_500)));
            assert_eq!(lease.remaining(), Duration::from_millis(life - 500));
        }
    }

    #[test]
    fn what_has_ended_never_comes_back() {
        let (clock, lease) = lease(10);
        clock.set(109_000);
        assert_eq!(lease.ended().unwrap().kind(), ErrorKind::Lost);
        assert!(!lease.renewed(Duration::from_millis(108_999)));
        assert_eq!(lease.remaining(), Duration::ZERO);
        lease.end(Error::new(ErrorKind::Cancelled, "disconnected"));
        clock.set(100_000);
        assert!(!lease.renewed(Duration::from_millis(100_000)));
        assert_eq!(lease.ended().unwrap().kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn an_older_answer_does_not_shorten_it() {
        let (_, lease) = lease(10);
        assert!(lease.renewed(Duration::from_millis(99_000)));
        assert_eq!(lease.remaining(), Duration::from_millis(9000));
    }

    #[test]
    fn risk_is_told_in_the_call() {
        let (clock, lease) = lease(10);
        clock.set(105_399);
        assert!(!lease.at_risk());
        clock.set(105_401);
        assert!(lease.at_risk());
    }
}
