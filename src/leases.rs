//! The leases of a client, one after the other: one at a time, granted when it is first needed.

use crate::clock::Clock;
use crate::key::Keys;
use crate::lease::Lease;
use crate::pauses::Pauses;
use crate::store::{Fault, Store};
use crate::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

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

/// For how long a request that had no answer is thought to be still under way.
const LATE: Duration = Duration::from_secs(30);

/// What is left of a client that was closed.
pub(crate) enum Left {
    Nothing,
    /// To be revoked.
    Lease(Arc<Lease>),
    /// A grant under way, whose lease will be revoked as soon as it is there. Its outcome is the reason of the end, if
    /// that was confirmed.
    Grant(Granted),
}

pub(crate) type Granted = watch::Receiver<Option<Result<Arc<Lease>>>>;

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

    /// Ends the lease here, for the reason `lost`, and refuses new ones, for the reason `refuse`.
    pub(crate) fn close(&self, refuse: Error, lost: Error) -> Left {
        let mut slot = self.slot();
        let left = match &*slot {
            Slot::Grant(granted) => match &*granted.borrow() {
                Some(Ok(lease)) => {
                    lease.end(lost);
                    Left::Lease(lease.clone())
                }
                Some(Err(_)) => Left::Nothing,
                None => Left::Grant(granted.clone()),
            },
            Slot::Empty => Left::Nothing,
            Slot::Closed(_) => return Left::Nothing,
        };
        *slot = Slot::Closed(refuse);
        left
    }

    /// The same, with what is left to be revoked behind.
    pub(crate) fn close_behind(&self, refuse: Error, lost: Error) {
        if let Left::Lease(lease) = self.close(refuse, lost) {
            self.abandon(lease.id, lease.may_be_made_again());
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
            leases.deliver(lease, tell).await;
        });
        Ok(granted)
    }

    /// Hands a lease to those who wait for it; or ends it, if there is nobody any more.
    async fn deliver(&self, lease: Result<Arc<Lease>>, tell: watch::Sender<Option<Result<Arc<Lease>>>>) {
        let closed = match &*self.slot() {
            Slot::Closed(reason) => reason.clone(),
            _ => return drop(tell.send(Some(lease))),
        };
        if let Ok(lease) = lease {
            lease.end(closed.clone());
            if let Err(error) = self.revoke(&lease).await {
                return drop(tell.send(Some(Err(error))));
            }
        }
        let _ = tell.send(Some(Err(closed)));
    }

    async fn make(&self) -> Result<Arc<Lease>> {
        let by = Instant::now() + self.timeout;
        let id = random_id()?;
        let sent = self.clock.now();
        let grant = self.store.grant(id, self.ttl, by).await.map_err(|fault| {
            if let Fault::Doubt(_) = fault {
                self.abandon(id, true);
            }
            fault.into_error()
        })?;
        let lease = Arc::new(Lease::new(id, grant, sent, self.clock.clone(), &self.keys));
        debug!(lease = id, ?grant, "lease granted");
        self.runtime.spawn(lease.clone().keep(self.store.clone()));
        if let Err(fault) = lease.epoch.fence(&*self.store, 0, by).await {
            let error = match fault {
                Fault::LeaseGone => {
                    Error::new(ErrorKind::Unavailable, "etcd is unavailable: the lease ended while it was made")
                }
                fault => fault.into_error(),
            };
            lease.end(error.clone());
            self.abandon(id, grant.doubted);
            return Err(error);
        }
        Ok(lease)
    }

    /// The last lease that was granted, which may have ended.
    pub(crate) fn current(&self) -> Option<Arc<Lease>> {
        match &*self.slot() {
            Slot::Grant(granted) => granted.borrow().as_ref().and_then(|lease| lease.as_ref().ok()).cloned(),
            _ => None,
        }
    }

    /// Revokes a lease; what is left to do if that is not confirmed in time, or not the end of it, is done behind.
    pub(crate) async fn revoke(&self, lease: &Lease) -> Result<()> {
        let revoked = match self.store.revoke(lease.id, Instant::now() + self.timeout).await {
            Ok(()) | Err(Fault::LeaseGone) => Ok(()),
            Err(fault) => Err(fault.into_error()),
        };
        if revoked.is_err() || lease.may_be_made_again() {
            self.abandon(lease.id, lease.may_be_made_again());
        }
        revoked
    }

    /// Revokes a lease behind. If it `may_be_made_again` that is done again and again for a while, since a revoke that
    /// comes before the grant finds nothing. One made even later ends by itself, and has no keys.
    fn abandon(&self, id: i64, may_be_made_again: bool) {
        let (store, timeout) = (self.store.clone(), self.timeout);
        let end = Instant::now() + timeout + self.ttl.min(LATE);
        self.runtime.spawn(async move {
            let mut pauses = Pauses::new();
            while Instant::now() < end {
                match store.revoke(id, Instant::now() + timeout).await {
                    Ok(()) | Err(Fault::LeaseGone) if !may_be_made_again => return,
                    _ => pauses.pause().await,
                }
            }
        });
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
    Ok((random()? >> 1).max(1) as i64)
}

#[cfg(not(test))]
fn random() -> Result<u64> {
    getrandom::u64()
        .map_err(|error| Error::new(ErrorKind::Internal, format!("the system gives no random numbers: {error}")))
}

/// A simulation is to take the same course each time.
#[cfg(test)]
fn random() -> Result<u64> {
    Ok(fastrand::u64(..))
}
