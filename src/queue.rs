//! The queue of one lock in etcd: enter it, wait for one's turn, leave it.
//!
//! Who enters creates a key under the name's prefix; the lowest create revision holds the lock. No key is ever used
//! twice, so a delete that comes late hurts nobody. How a lost answer to an enter is dealt with: see `epoch.rs`.

use crate::context::Context;
use crate::holds::Hold;
use crate::info::Info;
use crate::key;
use crate::lease::Lease;
use crate::pauses::Pauses;
use crate::store::{Compare, Deleted, Event, Fault, KeyRange, KeyValue, Op, Range, RangeReply, Txn, TxnReply, Watch};
use crate::view::{Rank, View};
use crate::{Error, Loss, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How old a hold is before its key is watched: most are over by then.
const WATCH_AFTER: Duration = Duration::from_millis(100);
/// The pause before something that somebody waits for is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A place in a queue: a key of ours that has been there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) key: String,
    /// Its create revision: the token, once it holds.
    pub(crate) created: i64,
    pub(crate) lease: Arc<Lease>,
}

/// The outcome of an enter.
#[derive(Debug)]
pub(crate) enum Entered {
    /// First in the queue: the lock is held.
    First(Place),
    /// Behind this holder.
    Behind(Place, Info),
    /// Not entered, since there is a holder and one does not want to wait.
    Busy(Info),
}

/// Why a place could not be had, or is no more.
#[derive(Debug)]
pub(crate) enum Lapse {
    /// The place or its lease has gone: one may enter again, at the tail.
    Gone(Error),
    /// For good.
    Failed(Error),
}

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) name: String,
    prefix: String,
    context: Arc<Context>,
}

impl Queue {
    /// Fails with `Invalid` for a bad name.
    pub(crate) fn new(context: Arc<Context>, name: &str) -> Result<Self> {
        let prefix = context.keys.queue(name)?;
        Ok(Queue { name: name.into(), prefix, context })
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.context.views.of(&self.name, &self.prefix)
    }

    /// The view, if somebody has had it opened.
    pub(crate) fn open_view(&self) -> Option<Arc<View>> {
        self.context.views.named(&self.name)
    }

    /// A lease to enter with.
    pub(crate) async fn lease(&self, by: Instant) -> Result<Arc<Lease>> {
        self.context.leases.get(by).await
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Who holds the lock now.
    pub(crate) async fn holder(&self) -> Result<Info> {
        let read = self.context.store.range(Range::oldest(&*self.prefix), self.context.by());
        let reply = read.await.map_err(Fault::into_error)?;
        Ok(self.info(&reply))
    }

    /// Creates a key at the tail; or, with `only_if_free`, only if it is the head too.
    ///
    /// Must be awaited to its end: dropped half-way, it could leave a key behind. It ends soon after `by`.
    pub(crate) async fn enter(
        &self,
        lease: &Arc<Lease>,
        record: Vec<u8>,
        only_if_free: bool,
        by: Instant,
    ) -> Result<Entered, Lapse> {
        let key = key::place(&self.prefix, lease.id, lease.next_place());
        loop {
            let epoch = lease.epoch.value();
            let txn = self.enter_txn(lease, &key, &record, epoch, only_if_free);
            let answer = match self.context.store.txn(txn, by).await {
                Ok(reply) if reply.succeeded => Ok(Some((reply.revision, self.info(&reply.ranges[0])))),
                Ok(reply) => match self.refused(&key, lease, epoch, reply) {
                    Refused::There(created, holder) => Ok(Some((created, holder))),
                    Refused::Busy(holder) => return Ok(Entered::Busy(holder)),
                    Refused::OtherEpoch => Ok(None),
                    Refused::NoEpoch => lease.epoch.fence(&*self.context.store, epoch, by).await.map(|()| None),
                },
                Err(Fault::Doubt(_)) => self.settle(lease, &key, epoch, by).await,
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(Some((created, holder))) => {
                    let place = Place { key, created, lease: lease.clone() };
                    return Ok(match holder.token == created {
                        true => Entered::First(place),
                        false => Entered::Behind(place, holder),
                    });
                }
                Ok(None) => (),
                Err(Fault::LeaseGone) => return Err(Lapse::Gone(lease_gone(lease))),
                Err(fault) => return Err(Lapse::Failed(fault.into_error())),
            }
        }
    }

    fn enter_txn(&self, lease: &Lease, key: &str, record: &[u8], epoch: i64, only_if_free: bool) -> Txn {
        let absent = match only_if_free {
            true => KeyRange::Prefix(self.prefix.clone()),
            false => KeyRange::Key(key.into()),
        };
        Txn {
            when: vec![Compare::Absent(absent), Compare::Modified(lease.epoch.key().into(), epoch)],
            then: vec![
                Op::Put { key: key.into(), value: record.into(), lease: lease.id },
                Op::Range(Range::oldest(&*self.prefix)),
            ],
            otherwise: vec![
                Op::Range(Range::oldest(&*self.prefix)),
                Op::Range(Range::key(key)),
                Op::Range(Range::key(lease.epoch.key())),
            ],
            ..Txn::default()
        }
    }

    /// Why an enter did not succeed, from what its transaction read instead.
    fn refused(&self, key: &str, lease: &Lease, epoch: i64, reply: TxnReply) -> Refused {
        let [oldest, own, epoch_key] = &reply.ranges[..] else { unreachable!("three were asked for") };
        if let Some(kv) = own.kvs.first() {
            debug_assert_eq!(kv.key, key.as_bytes());
            return Refused::There(kv.created, self.info(oldest));
        }
        match epoch_key.kvs.first() {
            None => Refused::NoEpoch,
            Some(kv) if kv.modified != epoch => {
                lease.epoch.adopt(kv.modified);
                Refused::OtherEpoch
            }
            Some(_) => Refused::Busy(self.info(oldest)),
        }
    }

    /// Finds out what became of an enter that got no answer: fences it off first, then looks. If that fails too, the
    /// key is taken out behind, whenever etcd can be reached again.
    async fn settle(
        &self,
        lease: &Arc<Lease>,
        key: &str,
        epoch: i64,
        by: Instant,
    ) -> Result<Option<(i64, Info)>, Fault> {
        let store = &self.context.store;
        let settled = async {
            lease.epoch.fence(&**store, epoch, by).await?;
            // In one request, so that they are of one revision.
            let read = Txn {
                then: vec![Op::Range(Range::oldest(&*self.prefix)), Op::Range(Range::key(key))],
                ..Txn::default()
            };
            let reply = store.txn(read, by).await?;
            let own = reply.ranges[1].kvs.first().map(|kv| kv.created);
            Ok(own.map(|created| (created, self.info(&reply.ranges[0]))))
        };
        settled.await.inspect_err(|_| self.forget(lease.clone(), key.into(), Some(epoch)))
    }

    /// Waits until a place is the first: then it holds the lock. May be dropped at any time.
    pub(crate) async fn turn(&self, place: &Place) -> Result<(), Lapse> {
        let view = self.view();
        let attention = view.attend(place);
        loop {
            let looked = match view.rank(place) {
                Rank::First => self.prove(place).await?,
                Rank::Gone => self.check_gone(place).await?,
                Rank::Failed(error) => return Err(Lapse::Failed(error)),
                Rank::NotSeenYet | Rank::Behind => Looked::AsBefore,
            };
            match looked {
                Looked::First => return Ok(()),
                Looked::AsBefore => tokio::select! { biased;
                    error = place.lease.wait_ended() => return Err(Lapse::Gone(error)),
                    () = attention.news() => (),
                },
                Looked::Differently => sleep(PAUSE).await,
            }
        }
    }

    /// The proof that a place is the first: a read at a revision at which it was there, and the oldest. No older key
    /// can appear later, so any member may answer, and no lost event of a watch can mislead.
    async fn prove(&self, place: &Place) -> Result<Looked, Lapse> {
        let oldest = Range::oldest(&*self.prefix);
        for read in [oldest.clone().serializable(), oldest] {
            let first = match self.context.store.range(read, self.context.by()).await {
                Ok(reply) => reply.revision >= place.created && is_first(&reply, place),
                Err(Fault::Refused(error)) => return Err(Lapse::Failed(error)),
                Err(_) => false,
            };
            if let Some(error) = place.lease.ended() {
                return Err(Lapse::Gone(error));
            }
            if first {
                return Ok(Looked::First);
            }
        }
        Ok(Looked::Differently)
    }

    /// The view does not show the place any more: is that so?
    async fn check_gone(&self, place: &Place) -> Result<Looked, Lapse> {
        match self.is_there(place).await {
            Ok(false) => Err(Lapse::Gone(deleted(place))),
            Ok(true) => Ok(Looked::Differently),
            Err(Fault::Refused(error)) => Err(Lapse::Failed(error)),
            Err(_) => Ok(Looked::Differently),
        }
    }

    /// Returns when the key of a held place has gone though its lease has not. May be dropped at any time.
    pub(crate) async fn deleted(&self, place: &Place) -> Error {
        let hold = place.lease.holds.add(place.key.clone());
        sleep(WATCH_AFTER).await;
        // Of those that are too many, the list of the lease's keys alone tells.
        let watched = self.context.watched.try_acquire();
        let mut pauses = Pauses::new();
        loop {
            match watched {
                Ok(_) => self.watch_place(place, &hold).await,
                Err(_) => hold.doubted().await,
            }
            if let Ok(false) = self.is_there(place).await {
                return deleted(place);
            }
            pauses.pause().await;
        }
    }

    /// Returns when the watch of a key has shown a deletion, or has failed.
    async fn watch_place(&self, place: &Place, hold: &Hold<'_>) {
        let key = KeyRange::Key(place.key.clone());
        let Ok(mut watch) = self.context.store.watch(key, None, self.context.by()).await else { return };
        // It may have gone before the watch began, and a watch can be silent.
        while let Ok(true) = self.is_there(place).await {
            tokio::select! { biased;
                () = until_deleted(&mut *watch) => return,
                () = hold.doubted() => (),
            }
        }
    }

    async fn is_there(&self, place: &Place) -> Result<bool, Fault> {
        let reply = self.context.store.range(Range::key(&*place.key), self.context.by()).await?;
        Ok(reply.kvs.first().is_some_and(|kv| kv.created == place.created))
    }

    /// Takes a place out of the queue and waits for etcd's confirmation. Must be awaited to its end.
    ///
    /// `Unavailable` says that there is none yet: it is then tried behind.
    pub(crate) async fn leave(&self, place: &Place) -> Result<Deleted> {
        match self.context.store.delete(place.key.clone(), self.context.by()).await {
            Ok(deleted) => Ok(deleted),
            Err(fault) => {
                self.forget(place.lease.clone(), place.key.clone(), None);
                Err(fault.into_error())
            }
        }
    }

    /// Deletes the key of a hold whose lease has ended by our clock, until etcd has confirmed it or ended the lease, too.
    pub(crate) async fn discard(&self, place: &Place) {
        let end = Instant::now() + place.lease.ttl();
        let mut pauses = Pauses::new();
        while Instant::now() < end && self.context.store.delete(place.key.clone(), self.context.by()).await.is_err() {
            pauses.pause().await;
        }
    }

    /// Takes a key out behind, until etcd has confirmed it or the lease has ended and the key with it. An enter of it
    /// that carried the epoch `in_doubt` is fenced off first, or it could come after the delete.
    ///
    /// It keeps no client: when the last one goes, the lease ends.
    fn forget(&self, lease: Arc<Lease>, key: String, in_doubt: Option<i64>) {
        let (store, timeout) = (self.context.store.clone(), self.context.timeout);
        self.context.runtime.spawn(async move {
            let take_out = async {
                let mut pauses = Pauses::new();
                loop {
                    let by = Instant::now() + timeout;
                    let fenced = match in_doubt {
                        Some(epoch) => lease.epoch.fence(&*store, epoch, by).await,
                        None => Ok(()),
                    };
                    // Even if the fence was refused, what is there now can go: an etcd without space takes no put.
                    let gone = store.delete(key.clone(), by).await;
                    if fenced.is_ok() && gone.is_ok() {
                        return;
                    }
                    pauses.pause().await;
                }
            };
            tokio::select! { biased;
                _ = lease.wait_ended() => (),
                () = take_out => (),
            }
        });
    }

    fn info(&self, oldest: &RangeReply) -> Info {
        Info { revision: oldest.revision, ..Info::of_queue(&self.name, oldest.kvs.first(), oldest.count) }
    }
}

enum Refused {
    /// An earlier try had entered.
    There(i64, Info),
    Busy(Info),
    OtherEpoch,
    NoEpoch,
}

/// Returns when the watch shows a deletion, or ends.
async fn until_deleted(watch: &mut dyn Watch) {
    while let Ok(events) = watch.next().await {
        if events.iter().any(|event| matches!(event, Event::Delete { .. })) {
            return;
        }
    }
}

/// What a closer look at a place showed.
enum Looked {
    First,
    AsBefore,
    /// Not what the view shows: one of the two is behind.
    Differently,
}

fn is_first(oldest: &RangeReply, place: &Place) -> bool {
    let is_ours = |kv: &KeyValue| kv.key == place.key.as_bytes() && kv.created == place.created;
    oldest.kvs.first().is_some_and(is_ours)
}

fn lease_gone(lease: &Lease) -> Error {
    lease.end(Fault::LeaseGone.into_error());
    lease.ended().expect("just ended")
}

fn deleted(place: &Place) -> Error {
    Error::lost(Loss::KeyDeleted, format!("somebody has deleted the key {}", place.key))
}
