//! The way into a queue. How a lost answer to an enter is dealt with: see `epoch.rs`.

use super::leave::delete;
use super::{Lapse, PAUSE, Place, Queue, Queues};
use crate::Error;
use crate::info::Info;
use crate::lease::{Lease, deleted};
use crate::line::Sent;
use crate::store::{Compare, Fault, KeyRange, Op, Range, RangeReply, Txn, TxnReply};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

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
    There(i64, Option<Info>),
    /// It had, but some of its keys are gone.
    Torn,
    Busy(Info),
    OtherEpoch,
    NoEpoch,
}

/// What is there of the keys of one request.
enum Own {
    None,
    /// With their create revision.
    All(i64),
    /// Somebody has deleted the others.
    Some,
}

/// What one tries to put.
struct Entry<'a> {
    lease: &'a Arc<Lease>,
    keys: &'a [String],
    record: &'a [u8],
}

impl Queues {
    /// Creates keys at the tail; or, with `only_if_free`, only if that is the head too. Goes on from what was `sent`, if
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
        let mut numbers = Numbers::new(lease, &self.0, sent.as_ref().map(|sent| (sent.number, sent.former)));
        let keys = numbers.keys();
        let entry = Entry { lease, keys: &keys, record: &record };
        // Where there is a view, somebody has waited lately: the queue is hardly empty.
        let mut how = match (only_if_free, &sent) {
            (true, _) => How::IfFree,
            (false, None) if self.names().all(|name| self.context().views.named(name).is_none()) => How::Empty,
            _ => How::Behind,
        };
        let mut sent = sent.map(|sent| (sent.epoch, sent.answer));
        loop {
            let (epoch, answer) = match sent.take() {
                Some(sent) => sent,
                None => {
                    let epoch = lease.epoch.value();
                    (epoch, self.context().store.txn(self.enter_txn(how, &entry, epoch), by).await)
                }
            };
            let answer = match answer {
                Ok(reply) if reply.succeeded => Ok(Some((reply.revision, self.before(&reply.ranges, reply.revision)))),
                Ok(_) if how == How::Empty => {
                    how = How::Behind;
                    Ok(None)
                }
                Ok(reply) => match self.refused(lease, epoch, &reply) {
                    Refused::There(created, before) => Ok(Some((created, before))),
                    Refused::Torn => return Err(self.torn(lease, &keys, by).await),
                    Refused::Busy(holder) => {
                        numbers.give_back();
                        return Ok(Entered::Busy(holder));
                    }
                    Refused::OtherEpoch => Ok(None),
                    Refused::NoEpoch => lease.epoch.fence(&*self.context().store, epoch, by).await.map(|()| None),
                },
                Err(Fault::Doubt(_)) => {
                    numbers.doubted = true;
                    match self.settle(&numbers, &keys, epoch, by).await {
                        Ok((Own::All(created), before)) => Ok(Some((created, before))),
                        Ok((Own::None, _)) => Ok(None),
                        Ok((Own::Some, _)) => return Err(self.torn(lease, &keys, by).await),
                        Err(fault) => Err(fault),
                    }
                }
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(Some((created, before))) => {
                    let place = numbers.place(created);
                    return Ok(match before {
                        None => Entered::First(place),
                        Some(holder) => Entered::Behind(place, holder),
                    });
                }
                Ok(None) => (),
                Err(Fault::LeaseGone) => return Err(Lapse::Gone(lease_gone(lease))),
                Err(fault @ Fault::Refused(_)) => {
                    match fault.may_be_done() {
                        true => self.forget(lease.clone(), keys, None),
                        false => numbers.give_back(),
                    }
                    return Err(Lapse::Failed(fault.into_error()));
                }
                Err(fault) => return Err(Lapse::Failed(fault.into_error())),
            }
        }
    }

    fn enter_txn(&self, how: How, entry: &Entry, epoch: i64) -> Txn {
        let empty = self.enter_empty_txn(entry, epoch);
        match how {
            How::Empty => empty,
            How::Behind => self.enter_behind_txn(entry, epoch),
            How::IfFree => Txn { otherwise: self.enter_behind_txn(entry, epoch).otherwise, ..empty },
        }
    }

    /// Puts the keys if the queues are empty. It costs etcd least, and is how it is most of the time.
    fn enter_empty_txn(&self, entry: &Entry, epoch: i64) -> Txn {
        let empty = self.0.iter().map(|queue| Compare::Absent(KeyRange::Prefix(queue.prefix.clone())));
        Txn {
            when: empty.chain([entry.lease.epoch.is(epoch)]).collect(),
            then: entry.puts().collect(),
            ..Txn::default()
        }
    }

    /// Puts the keys at the tail, whoever is before them.
    fn enter_behind_txn(&self, entry: &Entry, epoch: i64) -> Txn {
        let absent = entry.keys.iter().map(|key| Compare::Absent(KeyRange::Key(key.into())));
        let own = entry.keys.iter().map(|key| Op::Range(Range::key(&**key)));
        let epoch_key = Op::Range(Range::key(entry.lease.epoch.key()));
        Txn {
            when: absent.chain([entry.lease.epoch.is(epoch)]).collect(),
            then: entry.puts().chain(self.read_oldest()).collect(),
            otherwise: self.read_oldest().chain(own).chain([epoch_key]).collect(),
            ..Txn::default()
        }
    }

    /// Leaves a place and enters anew with the key `number`, for another guard, in one request. The place is left also if
    /// the enter is refused. What an enter without an answer calls for is left to [`enter`](Self::enter). Of one lock only.
    pub(crate) async fn leave_for(
        &self,
        place: &Place,
        number: u32,
        epoch: i64,
        record: Vec<u8>,
    ) -> Result<TxnReply, Fault> {
        let key = self.first().key(&place.lease, number);
        let entry = Entry { lease: &place.lease, keys: &[key], record: &record };
        let mut txn = self.enter_behind_txn(&entry, epoch);
        let leave = Op::Delete(self.keys(place).remove(0));
        txn.then.insert(0, leave.clone());
        txn.otherwise.insert(0, leave);
        self.context().store.txn(txn, self.context().by()).await
    }

    /// Why an enter did not succeed, from what its transaction read instead.
    fn refused(&self, lease: &Lease, epoch: i64, reply: &TxnReply) -> Refused {
        let (oldest, rest) = reply.ranges.split_at(self.0.len());
        let (own, epoch_key) = rest.split_at(self.0.len());
        match (own_of(own), epoch_key[0].kvs.first()) {
            (Own::All(created), _) => Refused::There(created, self.before(oldest, created)),
            (Own::Some, _) => Refused::Torn,
            (Own::None, None) => Refused::NoEpoch,
            // From before a backup was restored: nothing that carries ours can succeed.
            (Own::None, Some(kv)) if kv.modified < epoch => Refused::NoEpoch,
            (Own::None, Some(kv)) if kv.modified != epoch => {
                lease.epoch.adopt(kv.modified);
                Refused::OtherEpoch
            }
            (Own::None, Some(_)) => {
                Refused::Busy(self.before(oldest, 0).unwrap_or_else(|| self.first().info(&oldest[0])))
            }
        }
    }

    /// Finds out what became of an enter that got no answer: fences it off first, then looks. If that fails too, the
    /// keys are taken out behind, whenever etcd can be reached again.
    async fn settle(
        &self,
        numbers: &Numbers<'_>,
        keys: &[String],
        epoch: i64,
        by: Instant,
    ) -> Result<(Own, Option<Info>), Fault> {
        let (store, lease) = (&self.context().store, numbers.lease);
        let settled = async {
            lease.epoch.fence(&**store, epoch, by).await?;
            // In one request, so that they are of one revision.
            let own = keys.iter().map(|key| Op::Range(Range::key(&**key)));
            let read = Txn { then: self.read_oldest().chain(own).collect(), ..Txn::default() };
            let reply = loop {
                let reply = store.txn(read.clone(), by).await?;
                if !numbers.were_used(&reply.ranges[self.0.len()..]) {
                    break reply;
                }
                sleep_until(by.min(Instant::now() + PAUSE)).await;
            };
            let (oldest, own) = reply.ranges.split_at(self.0.len());
            Ok(match own_of(own) {
                Own::All(created) => (Own::All(created), self.before(oldest, created)),
                own => (own, None),
            })
        };
        settled.await.inspect_err(|_| self.forget(lease.clone(), keys.to_vec(), Some(epoch)))
    }

    /// Takes out what is left of a request of which somebody has deleted some keys: before one tries again, who would find
    /// himself in the way.
    async fn torn(&self, lease: &Arc<Lease>, keys: &[String], by: Instant) -> Lapse {
        if delete(&*self.context().store, keys, by).await.is_err() {
            self.forget(lease.clone(), keys.to_vec(), None);
        }
        Lapse::Gone(deleted(&keys.join(" or ")))
    }

    /// Who is before the keys that were created at `created`, if that was read and somebody is.
    fn before(&self, oldest: &[RangeReply], created: i64) -> Option<Info> {
        let mut first = self.0.iter().zip(oldest).filter(|(_, oldest)| !oldest.kvs.is_empty());
        first.find(|(_, oldest)| oldest.kvs[0].created != created).map(|(queue, oldest)| queue.info(oldest))
    }
}

impl Entry<'_> {
    fn puts(&self) -> impl Iterator<Item = Op> {
        let put = |key: &String| Op::Put { key: key.clone(), value: self.record.into(), lease: self.lease.id };
        self.keys.iter().map(put)
    }
}

fn own_of(own: &[RangeReply]) -> Own {
    let mut created = own.iter().map(|own| own.kvs.first().map(|kv| kv.created));
    let first = created.next().flatten();
    match created.all(|other| other == first) {
        true => first.map_or(Own::None, Own::All),
        false => Own::Some,
    }
}

/// The numbers of keys that are to enter.
struct Numbers<'a> {
    lease: &'a Arc<Lease>,
    queues: &'a [Queue],
    first: u32,
    others: Vec<u32>,
    doubted: bool,
    /// What they were used for before was created no later.
    former: i64,
}

impl<'a> Numbers<'a> {
    /// With the number that the first was `given`, if it was.
    fn new(lease: &'a Arc<Lease>, queues: &'a [Queue], given: Option<(u32, i64)>) -> Self {
        let first = given.map_or_else(|| lease.holds.take(&queues[0].name), |(number, _)| number);
        let others = queues[1..].iter().map(|queue| lease.holds.take(&queue.name)).collect();
        // Asked only now that they are taken.
        let former = given.map_or_else(|| lease.holds.youngest(), |(_, former)| former);
        Numbers { lease, queues, first, others, doubted: false, former }
    }

    fn of_each(&self) -> impl Iterator<Item = (&'a Queue, u32)> {
        self.queues.iter().zip(std::iter::once(self.first).chain(self.others.iter().copied()))
    }

    fn keys(&self) -> Vec<String> {
        self.of_each().map(|(queue, number)| queue.key(self.lease, number)).collect()
    }

    fn place(self, created: i64) -> Place {
        let Numbers { lease, first: number, others, doubted, .. } = self;
        let others = (!others.is_empty()).then(|| Arc::new(others));
        lease.holds.had(created);
        Place { lease: lease.clone(), number, doubted, created, others }
    }

    /// Whether that is how they were once, in an answer from the past: some releases of etcd give one now and then.
    fn were_used(&self, own: &[RangeReply]) -> bool {
        own.iter().flat_map(|own| &own.kvs).any(|kv| kv.created <= self.former)
    }

    /// They have not entered, and will not.
    fn give_back(self) {
        if !self.doubted {
            self.of_each().for_each(|(queue, number)| self.lease.holds.give_back(number, &queue.name));
        }
    }
}

fn lease_gone(lease: &Lease) -> Error {
    lease.end(Fault::LeaseGone.into_error());
    lease.ended().expect("just ended")
}
