//! A client's epoch: what keeps a request that got lost from taking effect later.
//!
//! When no answer comes to a transaction that enters a queue, it may still be applied, seconds later, after the client
//! has given up on it: a ghost in the queue, on a lease that is kept alive. So every enter compares the mod revision of
//! one key of the client, its epoch. After a doubt the client writes that key anew; once *one* such write has been
//! acknowledged, no enter that carries an older epoch can succeed any more. Only then may it look whether the enter in
//! doubt had succeeded before.

use crate::store::{Compare, Fault, Op, Store, Txn};
use crate::{Error, ErrorKind};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::{Instant, timeout_at};

/// The epoch of the client with one lease. The key is on that lease, so it goes when the lease goes.
#[derive(Debug)]
pub(crate) struct Epoch {
    key: String,
    lease: i64,
    /// The highest mod revision of the key that we know of; 0 before it was first written.
    value: AtomicI64,
    writing: tokio::sync::Mutex<()>,
}

impl Epoch {
    pub(crate) fn new(key: String, lease: i64) -> Self {
        Epoch { key, lease, value: AtomicI64::new(0), writing: tokio::sync::Mutex::new(()) }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// What an enter has to carry now.
    pub(crate) fn value(&self) -> i64 {
        self.value.load(Ordering::Acquire)
    }

    /// The condition that it is `epoch` still.
    pub(crate) fn is(&self, epoch: i64) -> Compare {
        Compare::Modified(self.key.clone(), epoch)
    }

    /// Takes over a mod revision that was read from etcd: a write that was in doubt had been applied.
    pub(crate) fn adopt(&self, seen: i64) {
        self.value.fetch_max(seen, Ordering::AcqRel);
    }

    /// Makes sure that no enter which carries `epoch` can succeed from now on.
    ///
    /// Any later value that we know of has been committed, and so does it: of many enters in doubt at once, one writes.
    pub(crate) async fn fence(&self, store: &dyn Store, epoch: i64, by: Instant) -> Result<(), Fault> {
        let Ok(_one_at_a_time) = timeout_at(by, self.writing.lock()).await else {
            return Err(Fault::NotDone(Error::new(
                ErrorKind::Unavailable,
                "etcd is unavailable: it confirms no epoch",
            )));
        };
        if self.value() <= epoch {
            let write = Op::Put { key: self.key.clone(), value: Vec::new(), lease: self.lease };
            // Only an acknowledged write counts. One that is applied late is harmless: it is adopted when seen.
            let txn = Txn { then: vec![write], repeatable: true, ..Txn::default() };
            self.adopt(store.txn(txn, by).await?.revision);
        }
        Ok(())
    }
}
