//! The way out of a queue.

use super::{Place, Queues};
use crate::Result;
use crate::lease::Lease;
use crate::pauses::Pauses;
use crate::store::{Deleted, Fault, Op, Store, Txn};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Queues {
    /// Takes a place out of its queues and waits for etcd's confirmation. Must be awaited to its end.
    ///
    /// `Unavailable` says that there is none yet: it is then tried behind.
    pub(crate) async fn leave(&self, place: &Place) -> Result<Deleted> {
        match self.delete(place).await? {
            Deleted::Unclear => Ok(Deleted::Unclear),
            deleted => Ok(self.left(place, deleted == Deleted::Now)),
        }
    }

    /// The same, when an earlier request to leave it may yet be done.
    pub(crate) async fn leave_in_doubt(&self, place: &Place) -> Result<Deleted> {
        self.delete(place).await.map(|_| Deleted::Unclear)
    }

    /// What it means that a place was left, and its keys were there to be deleted or not. Its numbers can be used again.
    pub(crate) fn left(&self, place: &Place, was_there: bool) -> Deleted {
        if !place.doubted {
            self.names().zip(place.numbers()).for_each(|(name, number)| place.lease.holds.give_back(number, name));
        }
        if was_there { Deleted::Now } else { Deleted::Absent }
    }

    async fn delete(&self, place: &Place) -> Result<Deleted> {
        let keys = self.keys(place);
        delete(&*self.context().store, &keys, self.context().by()).await.map_err(|fault| {
            self.leave_behind(place);
            let error = fault.into_error();
            match place.outlives {
                true => error.hinted(&self.receipt(place)),
                false => error,
            }
        })
    }

    /// Takes out behind what may be left of a place: its lease may live for long.
    pub(crate) fn leave_behind(&self, place: &Place) {
        match place.outlives {
            true => self.forget_for_good(self.keys(place)),
            false => self.forget(place.lease.clone(), self.keys(place), None),
        }
    }

    /// Deletes what is there still of a hold whose lease has ended by our clock, until etcd has confirmed it or ended the
    /// lease, too.
    pub(crate) async fn discard(&self, place: &Place) {
        let (end, keys) = (Instant::now() + place.lease.ttl(), self.keys(place));
        let mut pauses = Pauses::new();
        while Instant::now() < end && delete(&*self.context().store, &keys, self.context().by()).await.is_err() {
            pauses.pause().await;
        }
    }

    /// Takes keys out behind, until etcd has confirmed it or the lease has ended and the keys with it. An enter of them
    /// that carried the epoch `in_doubt` is fenced off first, or it could come after the delete.
    ///
    /// It keeps no client: when the last one goes, the lease ends.
    pub(super) fn forget(&self, lease: Arc<Lease>, keys: Vec<String>, in_doubt: Option<i64>) {
        let (store, timeout) = (self.context().store.clone(), self.context().timeout);
        self.context().runtime.spawn(async move {
            let fence = in_doubt.map(|epoch| (&*lease, epoch));
            tokio::select! { biased;
                _ = lease.wait_ended() => (),
                () = take_out(&*store, &keys, fence, timeout) => (),
            }
        });
    }

    /// The same of keys that no lease ends: until etcd has confirmed it.
    fn forget_for_good(&self, keys: Vec<String>) {
        let (store, timeout) = (self.context().store.clone(), self.context().timeout);
        self.context().runtime.spawn(async move { take_out(&*store, &keys, None, timeout).await });
    }
}

/// Deletes keys until etcd has confirmed it, and that no enter can come later that carried this epoch of their lease.
async fn take_out(store: &dyn Store, keys: &[String], fence: Option<(&Lease, i64)>, timeout: Duration) {
    let mut pauses = Pauses::new();
    loop {
        let by = Instant::now() + timeout;
        let fenced = match fence {
            Some((lease, epoch)) => lease.epoch.fence(store, epoch, by).await,
            None => Ok(()),
        };
        // Even if the fence was refused, what is there now can go: an etcd without space takes no put.
        let gone = delete(store, keys, by).await;
        if fenced.is_ok() && gone.is_ok() {
            return;
        }
        pauses.pause().await;
    }
}

/// Deletes the keys of one place, all at the same time.
pub(super) async fn delete(store: &dyn Store, keys: &[String], by: Instant) -> Result<Deleted, Fault> {
    if let [key] = keys {
        return store.delete(key.clone(), by).await;
    }
    let txn = Txn { then: keys.iter().cloned().map(Op::Delete).collect(), ..Txn::default() };
    match store.txn(txn.clone(), by).await {
        Ok(reply) if reply.deleted.iter().all(|was_there| *was_there) => Ok(Deleted::Now),
        Ok(_) => Ok(Deleted::Absent),
        Err(Fault::Doubt(_)) => store.txn(Txn { repeatable: true, ..txn }, by).await.map(|_| Deleted::Unclear),
        Err(fault) => Err(fault),
    }
}
