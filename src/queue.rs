//! The queue of one lock in etcd: enter it, wait for one's turn, leave it.
//!
//! Who enters creates a key under the name's prefix; the lowest create revision holds the lock. No key is used twice about
//! which there was ever a doubt, so a delete that comes late hurts nobody (see `holds.rs`). How a lost answer to an enter
//! is dealt with: see `epoch.rs`.

mod turn;

use crate::context::Context;
use crate::info::Info;
use crate::key;
use crate::lease::Lease;
use crate::line::Sent;
use crate::pauses::Pauses;
use crate::store::{Compare, Deleted, Fault, KeyRange, Op, Range, RangeReply, Txn, TxnReply};
use crate::view::View;
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The pause before something that somebody waits for is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A place in a queue: a key of ours that has been there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) lease: Arc<Lease>,
    /// The number of the key.
    pub(crate) number: u32,
    /// Whether a request about it may still be under way: the number is not used again then.
    pub(crate) doubted: bool,
    /// Its create revision: the token, once it holds.
    pub(crate) created: i64,
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

    pub(crate) fn key(&self, place: &Place) -> String {
        key::place(&self.prefix, place.lease.id, place.number)
    }

    /// A lease to enter with.
    pub(crate) async fn lease(&self, by: Instant) -> Result<Arc<Lease>> {
        self.context.leases.get(by).await
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Who holds the lock now.
    pub(crate) async fn holder(&self) -> Result<Info> {
        let read = self.context.store.range(Range::oldest(&*self.prefix), self.context.by());
        let reply = read.await.map_err(Fault::into_error)?;
        Ok(self.info(&reply))
    }

    /// Creates a key at the tail; or, with `only_if_free`, only if it is the head too. Goes on from what was `sent`, if
    /// anything was.
    ///
    /// Must be awaited to its end: dropped half-way, it could leave a key behind. It ends soon after `by`.
    pub(crate) async fn enter(
        &self,
        lease: &Arc<Lease>,
        record: Vec<u8>,
        only_if_free: bool,
        sent: Option<Sent>,
        by: Instant,
    ) -> Result<Entered, Lapse> {
        let given = sent.as_ref().map(|sent| sent.number);
        let mut number = Number::new(lease, given.unwrap_or_else(|| lease.holds.take(&self.name)), &self.name);
        let key = key::place(&self.prefix, lease.id, number.number);
        // Where there is a view, somebody has waited lately: the queue is hardly empty.
        let mut how = match (only_if_free, &sent) {
            (true, _) => How::IfFree,
            (false, None) if self.context.views.named(&self.name).is_none() => How::Empty,
            _ => How::Behind,
        };
        let mut sent = sent.map(|sent| (sent.epoch, sent.answer));
        loop {
            let (epoch, answer) = match sent.take() {
                Some(sent) => sent,
                None => {
                    let epoch = lease.epoch.value();
                    let txn = self.enter_txn(how, lease, &key, &record, epoch);
                    (epoch, self.context.store.txn(txn, by).await)
                }
            };
            let answer = match answer {
                Ok(reply) if reply.succeeded => Ok(Some((reply.revision, self.oldest(&reply)))),
                Ok(_) if how == How::Empty => {
                    how = How::Behind;
                    Ok(None)
                }
                Ok(reply) => match self.refused(&key, lease, epoch, reply) {
                    Refused::There(created, holder) => Ok(Some((created, Some(holder)))),
                    Refused::Busy(holder) => {
                        number.give_back();
                        return Ok(Entered::Busy(holder));
                    }
                    Refused::OtherEpoch => Ok(None),
                    Refused::NoEpoch => lease.epoch.fence(&*self.context.store, epoch, by).await.map(|()| None),
                },
                Err(Fault::Doubt(_)) => {
                    number.doubted = true;
                    self.settle(lease, &key, epoch, by).await
                }
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(Some((created, holder))) => {
                    let place = number.place(created);
                    return Ok(match holder.filter(|holder| holder.token != created) {
                        None => Entered::First(place),
                        Some(holder) => Entered::Behind(place, holder),
                    });
                }
                Ok(None) => (),
                Err(Fault::LeaseGone) => return Err(Lapse::Gone(lease_gone(lease))),
                Err(Fault::Refused(error)) => {
                    number.give_back();
                    return Err(Lapse::Failed(error));
                }
                Err(fault) => return Err(Lapse::Failed(fault.into_error())),
            }
        }
    }

    fn enter_txn(&self, how: How, lease: &Lease, key: &str, record: &[u8], epoch: i64) -> Txn {
        let empty = self.enter_empty_txn(lease, key, record, epoch);
        match how {
            How::Empty => empty,
            How::Behind => self.enter_behind_txn(lease, key, record, epoch),
            How::IfFree => Txn { otherwise: self.enter_behind_txn(lease, key, record, epoch).otherwise, ..empty },
        }
    }

    /// Puts the key if the queue is empty. It costs etcd least, and is how it is most of the time.
    fn enter_empty_txn(&self, lease: &Lease, key: &str, record: &[u8], epoch: i64) -> Txn {
        Txn {
            when: vec![Compare::Absent(KeyRange::Prefix(self.prefix.clone())), lease.epoch.is(epoch)],
            then: vec![Op::Put { key: key.into(), value: record.into(), lease: lease.id }],
            ..Txn::default()
        }
    }

    /// Puts the key at the tail, whoever is before it.
    fn enter_behind_txn(&self, lease: &Lease, key: &str, record: &[u8], epoch: i64) -> Txn {
        let oldest = Op::Range(Range::oldest(&*self.prefix));
        Txn {
            when: vec![Compare::Absent(KeyRange::Key(key.into())), lease.epoch.is(epoch)],
            then: vec![Op::Put { key: key.into(), value: record.into(), lease: lease.id }, oldest.clone()],
            otherwise: vec![oldest, Op::Range(Range::key(key)), Op::Range(Range::key(lease.epoch.key()))],
            ..Txn::default()
        }
    }

    /// Leaves a place and enters anew with the key `number`, for another guard, in one request. The place is left also if
    /// the enter is refused. What an enter without an answer calls for is left to [`enter`](Self::enter).
    pub(crate) async fn leave_for(
        &self,
        place: &Place,
        number: u32,
        epoch: i64,
        record: Vec<u8>,
    ) -> Result<TxnReply, Fault> {
        let key = key::place(&self.prefix, place.lease.id, number);
        let mut txn = self.enter_behind_txn(&place.lease, &key, &record, epoch);
        let leave = Op::Delete(self.key(place));
        txn.then.insert(0, leave.clone());
        txn.otherwise.insert(0, leave);
        self.context.store.txn(txn, self.context.by()).await
    }

    /// What it means that a place was left, and its key was there to be deleted or not. Its number can be used again.
    pub(crate) fn left(&self, place: &Place, was_there: bool) -> Deleted {
        if !place.doubted {
            place.lease.holds.give_back(place.number, &self.name);
        }
        if was_there { Deleted::Now } else { Deleted::Absent }
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
    ) -> Result<Option<(i64, Option<Info>)>, Fault> {
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
            Ok(own.map(|created| (created, self.oldest(&reply))))
        };
        settled.await.inspect_err(|_| self.forget(lease.clone(), key.into(), Some(epoch)))
    }

    /// Takes a place out of the queue and waits for etcd's confirmation. Must be awaited to its end.
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

    async fn delete(&self, place: &Place) -> Result<Deleted> {
        let key = self.key(place);
        self.context.store.delete(key.clone(), self.context.by()).await.map_err(|fault| {
            self.forget(place.lease.clone(), key, None);
            fault.into_error()
        })
    }

    /// Deletes the key of a hold whose lease has ended by our clock, until etcd has confirmed it or ended the lease, too.
    pub(crate) async fn discard(&self, place: &Place) {
        let (end, key) = (Instant::now() + place.lease.ttl(), self.key(place));
        let mut pauses = Pauses::new();
        while Instant::now() < end && self.context.store.delete(key.clone(), self.context.by()).await.is_err() {
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

    /// Who is the first, if that was read.
    fn oldest(&self, reply: &TxnReply) -> Option<Info> {
        reply.ranges.first().map(|oldest| self.info(oldest))
    }

    fn info(&self, oldest: &RangeReply) -> Info {
        Info { revision: oldest.revision, ..Info::of_queue(&self.name, oldest.kvs.first(), oldest.count) }
    }
}

/// In what way a queue is entered.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// As if nobody were there; if that is wrong, behind.
    Empty,
    Behind,
    /// Not at all if somebody is there.
    IfFree,
}

enum Refused {
    /// An earlier try had entered.
    There(i64, Info),
    Busy(Info),
    OtherEpoch,
    NoEpoch,
}

/// The number of a key that is to enter.
struct Number<'a> {
    lease: &'a Arc<Lease>,
    name: &'a str,
    number: u32,
    doubted: bool,
}

impl<'a> Number<'a> {
    fn new(lease: &'a Arc<Lease>, number: u32, name: &'a str) -> Self {
        Number { lease, name, number, doubted: false }
    }

    fn place(self, created: i64) -> Place {
        let Number { lease, number, doubted, .. } = self;
        Place { lease: lease.clone(), number, doubted, created }
    }

    /// It has not entered, and will not.
    fn give_back(self) {
        if !self.doubted {
            self.lease.holds.give_back(self.number, self.name);
        }
    }
}

fn lease_gone(lease: &Lease) -> Error {
    lease.end(Fault::LeaseGone.into_error());
    lease.ended().expect("just ended")
}
