//! The lease of a client: granted, kept alive, and known to be lost before etcd can know it.

use crate::clock::Clock;
use crate::epoch::Epoch;
use crate::holds::Holds;
use crate::key::Keys;
use crate::store::{Fault, Store};
use crate::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

/// What a deadline lies before the end of the lease, at least: room for timers, and for those who have to stop.
const LEAST_MARGIN: Duration = Duration::from_millis(500);
/// The pause between two beats of which the first failed.
const PAUSE: Duration = Duration::from_millis(50);

/// How often the clock is looked at: timers stand still while the machine sleeps, and the clock does not.
const GLANCE: Duration = Duration::from_millis(500);
/// How often it is checked that etcd still has all keys that hold locks.
const LIST_KEYS: Duration = Duration::from_secs(5);

/// A lease that was granted. It ends once and for all: there is no way back, only a new one.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) epoch: Epoch,
    /// What it holds.
    pub(crate) holds: Holds,
    /// As granted, which may be more than was asked for.
    ttl: Duration,
    clock: Arc<dyn Clock>,
    /// Until when, in nanoseconds of the clock, the lease is certain to last; 0 once it has ended.
    deadline: AtomicU64,
    status: watch::Sender<Status>,
    /// Why it was not renewed lately.
    trouble: Mutex<Option<Error>>,
    /// How many places in queues it has been used for.
    places: AtomicU64,
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
    fn new(id: i64, ttl: Duration, sent: Duration, clock: Arc<dyn Clock>, keys: &Keys) -> Self {
        let lease = Lease {
            id,
            epoch: Epoch::new(keys.epoch(id), id),
            holds: Holds::default(),
            ttl,
            clock,
            deadline: AtomicU64::new(0),
            status: watch::Sender::new(Status::Alive),
            trouble: Mutex::new(None),
            places: AtomicU64::new(0),
        };
        lease.deadline.store(nanos(sent + lease.life()), Ordering::Release);
        lease
    }

    /// For how long it is certain to last, by our clock; zero once it has ended. Reads the clock in the call.
    pub(crate) fn remaining(&self) -> Duration {
        Duration::from_nanos(self.deadline.load(Ordering::Acquire)).saturating_sub(self.clock.now())
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

    /// A number for a place in a queue: no two are the same.
    pub(crate) fn next_place(&self) -> u64 {
        self.places.fetch_add(1, Ordering::Relaxed) + 1
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
        self.ttl.saturating_sub(LEAST_MARGIN.max(self.ttl / 10))
    }

    /// With less than this remaining it is at risk: as soon after a beat that was missed as its answer can be called late
    /// even at a TTL of 2 s, and early enough to stop what the lock protects.
    fn risk(&self) -> Duration {
        self.life() * 2 / 5
    }

    fn expired(&self) -> Error {
        self.say(ErrorKind::Lost, "the lease could not be renewed in time")
    }

    fn say(&self, kind: ErrorKind, what: &str) -> Error {
        match &*self.trouble() {
            Some(trouble) => Error::new(kind, format!("{what}: {trouble}")).with_source(trouble.clone()),
            None => Error::new(kind, what),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Error>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps it alive until it ends.
    async fn keep(self: Arc<Self>, store: Arc<dyn Store>) {
        tokio::select! {
            () = self.beat(&*store) => (),
            () = self.look_at_the_clock() => (),
            () = self.look_at_the_keys(&*store) => (),
            _ = self.wait_ended() => (),
        }
    }

    /// Sends a beat every third of the TTL; after one that failed, again at once.
    async fn beat(&self, store: &dyn Store) {
        let mut beats = store.keep_alive(self.id);
        let mut pause = self.ttl / 3;
        loop {
            sleep(pause).await;
            let sent = self.clock.now();
            match beats.beat(Instant::now() + self.remaining()).await {
                Ok(()) if self.renewed(sent) => pause = self.ttl / 3,
                Ok(()) => return self.end(self.expired()),
                Err(Fault::LeaseGone) => return self.end(Error::new(ErrorKind::Lost, "etcd has ended the lease")),
                Err(fault) => {
                    *self.trouble() = Some(fault.into_error());
                    pause = PAUSE;
                }
            }
        }
    }

    /// Tells when it comes to be at risk, and ends it when its time is over.
    async fn look_at_the_clock(&self) {
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return self.end(self.expired());
            }
            if remaining < self.risk() {
                self.tell_risk();
                sleep(remaining.min(GLANCE)).await;
            } else {
                sleep((remaining - self.risk() + Duration::from_millis(1)).min(GLANCE)).await;
            }
        }
    }

    /// Reads the list of its keys once in a while, and has those look for themselves that should be in it.
    async fn look_at_the_keys(&self, store: &dyn Store) {
        loop {
            sleep(LIST_KEYS).await;
            let Some(held) = self.holds.snapshot() else { continue };
            match store.lease_keys(self.id, Instant::now() + LIST_KEYS).await {
                Ok(found) => self.holds.doubt(held, found),
                // The next beat finds out whether that is so.
                Err(fault) => debug!(lease = self.id, ?fault, "the keys were not listed"),
            }
        }
    }

    fn tell_risk(&self) {
        let risk = self.say(ErrorKind::Unavailable, "the lease has not been renewed for long");
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

/// The leases of a client, one after the other: one at a time, granted when it is first needed.
#[derive(Debug)]
pub(crate) struct Leases {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keys: Keys,
    ttl: Duration,
    timeout: Duration,
    runtime: Handle,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
enum Slot {
    Empty,
    /// Being granted, or granted. Many may wait for one grant.
    Grant(Granted),
    Closed(Error),
}

type Granted = watch::Receiver<Option<Result<Arc<Lease>>>>;

impl Leases {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Keys,
        ttl: Duration,
        timeout: Duration,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Leases { store, clock, keys, ttl, timeout, runtime, slot: Mutex::new(Slot::Empty) })
    }

    /// The lease that lives now, or a new one, with its epoch written. May be dropped: a grant under way goes on.
    pub(crate) async fn get(self: &Arc<Self>, by: Instant) -> Result<Arc<Lease>> {
        let mut granted = self.grant()?;
        let answer = timeout_at(by, granted.wait_for(Option::is_some)).await;
        match answer {
            Ok(Ok(lease)) => lease.clone().expect("waited for"),
            Ok(Err(_)) => Err(Error::new(ErrorKind::Cancelled, "the runtime is shutting down")),
            Err(_) => {
                Err(Error::new(ErrorKind::Unavailable, "etcd is unavailable: no answer to the request for a lease"))
            }
        }
    }

    /// Ends the lease here and gives its id, for it to be revoked; refuses new ones.
    pub(crate) fn close(&self, reason: Error) -> Option<i64> {
        let slot = std::mem::replace(&mut *self.slot(), Slot::Closed(reason.clone()));
        match slot {
            Slot::Grant(granted) => match &*granted.borrow() {
                Some(Ok(lease)) => {
                    lease.end(reason);
                    Some(lease.id)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Fails with the reason after `close`.
    pub(crate) fn check_open(&self) -> Result<()> {
        match &*self.slot() {
            Slot::Closed(reason) => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    /// The grant to wait for: the one there is, unless it failed or its lease has ended.
    fn grant(self: &Arc<Self>) -> Result<Granted> {
        let mut slot = self.slot();
        match &*slot {
            Slot::Closed(reason) => return Err(reason.clone()),
            Slot::Grant(granted) if is_usable(granted) => return Ok(granted.clone()),
            _ => (),
        }
        let (tell, granted) = watch::channel(None);
        *slot = Slot::Grant(granted.clone());
        let leases = self.clone();
        self.runtime.spawn(async move {
            let lease = leases.make().await;
            // Closed meanwhile? Then nobody else will end it.
            let slot = leases.slot();
            match (&*slot, &lease) {
                (Slot::Closed(reason), Ok(lease)) => {
                    lease.end(reason.clone());
                    leases.abandon(lease.id);
                }
                _ => drop(tell.send(Some(lease))),
            }
        });
        Ok(granted)
    }

    async fn make(&self) -> Result<Arc<Lease>> {
        let by = Instant::now() + self.timeout;
        let id = random_id()?;
        let sent = self.clock.now();
        let ttl = self.store.grant(id, self.ttl, by).await.map_err(|fault| {
            if let Fault::Doubt(_) = fault {
                self.abandon(id);
            }
            fault.into_error()
        })?;
        let lease = Arc::new(Lease::new(id, ttl, sent, self.clock.clone(), &self.keys));
        debug!(lease = id, ?ttl, "lease granted");
        self.runtime.spawn(lease.clone().keep(self.store.clone()));
        if let Err(fault) = lease.epoch.fence(&*self.store, 0, by).await {
            let error = match fault {
                Fault::LeaseGone => {
                    Error::new(ErrorKind::Unavailable, "etcd is unavailable: the lease ended while it was made")
                }
                fault => fault.into_error(),
            };
            lease.end(error.clone());
            self.abandon(id);
            return Err(error);
        }
        Ok(lease)
    }

    /// The lease that lives now, for tests that disturb it.
    #[cfg(test)]
    pub(crate) fn current(&self) -> Option<i64> {
        match &*self.slot() {
            Slot::Grant(granted) => {
                granted.borrow().as_ref().and_then(|lease| lease.as_ref().ok()).map(|lease| lease.id)
            }
            _ => None,
        }
    }

    /// Revokes a lease behind; if that fails it ends with its TTL.
    pub(crate) fn abandon(&self, id: i64) {
        let (store, by) = (self.store.clone(), Instant::now() + self.timeout);
        self.runtime.spawn(async move { store.revoke(id, by).await });
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_usable(granted: &Granted) -> bool {
    match &*granted.borrow() {
        None => granted.has_changed().is_ok(),
        Some(Ok(lease)) => lease.ended().is_none(),
        Some(Err(_)) => false,
    }
}

/// A random positive number: a grant that is tried again then names the same lease.
fn random_id() -> Result<i64> {
    let random = getrandom::u64()
        .map_err(|error| Error::new(ErrorKind::Internal, format!("the system gives no random numbers: {error}")))?;
    Ok((random >> 1).max(1) as i64)
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
        let lease = Lease::new(1, Duration::from_secs(ttl), Duration::from_millis(100_000), clock.clone(), &keys);
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
