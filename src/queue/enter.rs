//! The way into a queue. How a lost answer to an enter is dealt with: see `epoch.rs`.

use super::leave::delete;
use super::numbers::Numbers;
use super::{Lapse, PAUSE, Place, Queue, Queues};
use crate::Error;
use crate::info::Info;
use crate::lease::{Lease, deleted};
use crate::line::Sent;
use crate::share::Share;
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
    /// Not at all if somebody is in the way.
    IfFree,
    /// Not yet: first it is looked whether there is room, which is no condition that etcd knows.
    Look,
    /// Not at all if somebody has come since this revision, at which there was room.
    IfNoneSince(i64),
}

/// What an answer calls for.
enum Step {
    /// It has entered: with this create revision, behind this holder.
    Entered(i64, Option<Info>),
    /// It had, but some of its keys are gone.
    Torn,
    Busy(Info),
    /// It cannot be.
    Invalid(Error),
    Again(How),
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
        let mut how = self.how(only_if_free, sent.is_some());
        let mut sent = sent.map(|sent| (sent.epoch, sent.answer));
        loop {
            let step = match (how, sent.take()) {
                (How::Look, _) => self.look_for_room(by).await,
                (_, Some((epoch, answer))) => self.step(&mut numbers, &entry, how, epoch, answer, by).await,
                (_, None) => {
                    let epoch = lease.epoch.value();
                    let answer = self.context().store.txn(self.enter_txn(how, &entry, epoch), by).await;
                    self.step(&mut numbers, &entry, how, epoch, answer, by).await
                }
            };
            match step {
                Ok(Step::Entered(created, None)) => return Ok(Entered::First(numbers.place(created))),
                Ok(Step::Entered(created, Some(holder))) => {
                    return Ok(Entered::Behind(numbers.place(created), holder));
                }
                Ok(Step::Again(next)) => how = next,
                Ok(Step::Torn) => return Err(self.torn(lease, &keys, by).await),
                Ok(Step::Busy(holder)) => {
                    numbers.give_back();
                    return Ok(Entered::Busy(holder));
                }
                Ok(Step::Invalid(error)) => {
                    numbers.give_back();
                    return Err(Lapse::Failed(error));
                }
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

    /// In what way it is tried first.
    fn how(&self, only_if_free: bool, sent: bool) -> How {
        // Where there is a view, somebody has waited lately: the queue is hardly empty.
        let has_views = || self.names().any(|name| self.context().views.named(name).is_some());
        match (only_if_free, self.limit()) {
            (true, Some(limit)) if limit > 0 => How::Look,
            (true, _) => How::IfFree,
            (false, None) if !sent && !has_views() => How::Empty,
            _ => How::Behind,
        }
    }

    /// What the answer to an enter calls for.
    async fn step(
        &self,
        numbers: &mut Numbers<'_>,
        entry: &Entry<'_>,
        how: How,
        epoch: i64,
        answer: Result<TxnReply, Fault>,
        by: Instant,
    ) -> Result<Step, Fault> {
        match answer {
            Ok(reply) if reply.succeeded => {
                Ok(Step::Entered(reply.revision, self.in_the_way(&reply.ranges, reply.revision)))
            }
            Ok(_) if how == How::Empty => Ok(Step::Again(How::Behind)),
            Ok(reply) => self.why_not(entry, how, epoch, &reply, by).await,
            Err(Fault::Doubt(_)) => {
                numbers.doubted = true;
                Ok(match self.settle(numbers, entry.keys, epoch, by).await? {
                    (Own::All(created), before) => Step::Entered(created, before),
                    (Own::None, _) => Step::Again(how),
                    (Own::Some, _) => Step::Torn,
                })
            }
            Err(fault) => Err(fault),
        }
    }

    fn enter_txn(&self, how: How, entry: &Entry, epoch: i64) -> Txn {
        let behind = self.enter_behind_txn(entry, epoch);
        let puts = || entry.puts().collect();
        match how {
            How::Empty => self.enter_empty_txn(entry, epoch),
            How::IfFree => match &self.first().share {
                None => Txn { otherwise: behind.otherwise, ..self.enter_empty_txn(entry, epoch) },
                Some(share) => {
                    Txn { when: share.nobody_outside().chain(behind.when).collect(), then: puts(), ..behind }
                }
            },
            How::IfNoneSince(revision) => {
                let none_since = |queue: &Queue| Compare::NoneSince(KeyRange::Prefix(queue.prefix.clone()), revision);
                let when = self.0.iter().map(none_since).chain(behind.when).collect();
                Txn { when, then: puts(), ..behind }
            }
            How::Behind | How::Look => behind,
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
        let alike = self.shares().flat_map(Share::alike);
        let own = entry.keys.iter().map(|key| Op::Range(Range::key(&**key)));
        let epoch_key = Op::Range(Range::key(entry.lease.epoch.key()));
        Txn {
            when: absent.chain(alike).chain([entry.lease.epoch.is(epoch)]).collect(),
            then: entry.puts().chain(self.reads()).collect(),
            otherwise: self.reads().into_iter().chain(own).chain([epoch_key]).chain(self.reads_of_others()).collect(),
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
    async fn why_not(
        &self,
        entry: &Entry<'_>,
        how: How,
        epoch: i64,
        reply: &TxnReply,
        by: Instant,
    ) -> Result<Step, Fault> {
        let (read, rest) = reply.ranges.split_at(self.reads().len());
        let (own, rest) = rest.split_at(self.0.len());
        let (epoch_key, others) = (rest[0].kvs.first(), &rest[1..]);
        match (own_of(own), epoch_key) {
            (Own::All(created), _) => {
                let before = self.still_in_the_way(read, created, entry.keys, by).await;
                return Ok(Step::Entered(created, before));
            }
            (Own::Some, _) => return Ok(Step::Torn),
            (Own::None, Some(kv)) if kv.modified == epoch => (),
            (Own::None, Some(kv)) if kv.modified > epoch => {
                entry.lease.epoch.adopt(kv.modified);
                return Ok(Step::Again(how));
            }
            // None, or from before a backup was restored: nothing that carries ours can succeed.
            (Own::None, _) => {
                entry.lease.epoch.fence(&*self.context().store, epoch, by).await?;
                return Ok(Step::Again(how));
            }
        }
        Ok(self.no_room(read, others).unwrap_or(Step::Again(match how {
            How::IfNoneSince(_) => How::Look,
            how => how,
        })))
    }

    /// Who is in the way of keys that were there before it was read: with a limit, more may have come since.
    async fn still_in_the_way(&self, read: &[RangeReply], created: i64, keys: &[String], by: Instant) -> Option<Info> {
        let before = self.in_the_way(read, created)?;
        if let Some(share) = self.shares().find(|share| share.limit > 0) {
            let proof = self.context().store.txn(share.proof(&keys[0], created, false), by).await;
            if proof.is_ok_and(|reply| reply.revision >= created && share.is_proven(&reply.ranges, created)) {
                return None;
            }
        }
        Some(before)
    }

    /// Whether there is room for one who does not want to wait.
    async fn look_for_room(&self, by: Instant) -> Result<Step, Fault> {
        let reads = self.reads();
        let of_room = reads.len();
        let read = Txn { then: reads.into_iter().chain(self.reads_of_others()).collect(), ..Txn::default() };
        let reply = self.context().store.txn(read, by).await?;
        let (read, others) = reply.ranges.split_at(of_room);
        Ok(self.no_room(read, others).unwrap_or(Step::Again(How::IfNoneSince(reply.revision))))
    }

    /// Why there is none: others share the lock in another way, or somebody is in the way.
    fn no_room(&self, read: &[RangeReply], others: &[RangeReply]) -> Option<Step> {
        let queue = self.first();
        let same = queue.share.as_ref().map_or(Ok(()), |share| share.same_limit(&queue.name, others));
        match same {
            Err(error) => Some(Step::Invalid(error)),
            Ok(()) => self.in_the_way(read, 0).map(Step::Busy),
        }
    }

    fn shares(&self) -> impl Iterator<Item = &Share> {
        self.0.iter().filter_map(|queue| queue.share.as_ref())
    }

    fn reads_of_others(&self) -> impl Iterator<Item = Op> {
        self.shares().flat_map(Share::reads_of_others).map(Op::Range)
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
            let reads = self.reads();
            let of_queues = reads.len();
            let epoch_key = Op::Range(Range::key(lease.epoch.key()));
            let read = Txn { then: reads.into_iter().chain(own).chain([epoch_key]).collect(), ..Txn::default() };
            let reply = loop {
                let reply = store.txn(read.clone(), by).await?;
                // The fence may have been written more than once: with an older one the next enter would be in doubt, too.
                if let Some(kv) = reply.ranges[of_queues + keys.len()].kvs.first() {
                    lease.epoch.adopt(kv.modified);
                }
                if !numbers.were_used(&reply.ranges[of_queues..][..keys.len()]) {
                    break reply;
                }
                sleep_until(by.min(Instant::now() + PAUSE)).await;
            };
            let (read, own) = reply.ranges[..of_queues + keys.len()].split_at(of_queues);
            Ok(match own_of(own) {
                Own::All(created) => (Own::All(created), self.still_in_the_way(read, created, keys, by).await),
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

fn lease_gone(lease: &Lease) -> Error {
    lease.end(Fault::LeaseGone.into_error());
    lease.ended().expect("just ended")
}
