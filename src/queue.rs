//! The queue of one lock in etcd: who is in it, and the way into it and out of it.
//!
//! Who enters creates a key under the name's prefix; the lowest create revision holds the lock. A request for several locks
//! at once creates its keys in all their queues in one transaction: with one create revision, so of two such requests one
//! is before the other in every queue in which both are, and they never wait for each other. No key is used twice about
//! which there was ever a doubt, so a delete that comes late hurts nobody (see `holds.rs`).

mod enter;
mod leave;
mod numbers;
mod outlive;
mod turn;

use crate::context::Context;
use crate::info::Info;
use crate::key;
use crate::lease::Lease;
use crate::share::{self, Share};
use crate::store::{Fault, KeyValue, Op, Range, RangeReply, Txn};
use crate::view::View;
use crate::{Error, Result};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) use self::enter::Entered;

/// The pause before something that somebody waits for is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// etcd takes 128 operations in one transaction: to enter so many queues takes two for each, and one more.
const MOST: usize = 60;

/// A place in a queue, or in several at once: keys of ours that have been there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) lease: Arc<Lease>,
    /// The number of the key; of several the first.
    pub(crate) number: u32,
    /// Whether a request about it may still be under way: the numbers are not used again then.
    pub(crate) doubted: bool,
    /// Its create revision: the token, once it holds.
    pub(crate) created: i64,
    /// Whether it outlives the lease: then it is there until somebody deletes it.
    pub(crate) outlives: bool,
    /// The numbers of its keys in the other queues, if it is in several.
    others: Option<Arc<Vec<u32>>>,
}

/// Why a place could not be had, or is no more.
#[derive(Debug)]
pub(crate) enum Lapse {
    /// The place or its lease has gone: one may enter again, at the tail.
    Gone(Error),
    /// For good.
    Failed(Error),
}

/// The queue of one lock.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    name: String,
    prefix: String,
    /// In what way one enters it; `None`: to have the lock alone.
    share: Option<Share>,
    context: Arc<Context>,
}

/// The queues in which one request stands at the same time: mostly one.
#[derive(Clone, Debug)]
pub(crate) struct Queues(Vec<Queue>);

impl Place {
    /// The numbers of its keys, one for each queue.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.number).chain(self.others.iter().flat_map(|others| others.iter().copied()))
    }

    pub(crate) fn is_in_several(&self) -> bool {
        self.others.is_some()
    }

    /// For how long it is certain to be there: reads the clock.
    pub(crate) fn remaining(&self) -> Duration {
        if self.outlives { Duration::MAX } else { self.lease.remaining() }
    }

    /// Whether it may soon not be there any more, since etcd has been silent for long.
    pub(crate) fn at_risk(&self) -> bool {
        !self.outlives && self.lease.at_risk()
    }

    /// That etcd has been silent for long, if so.
    pub(crate) fn silence(&self) -> Option<Error> {
        if self.outlives { None } else { self.lease.silence() }
    }

    /// Why it is not there any more, as far as that is known from its lease.
    pub(crate) fn ended(&self) -> Option<Error> {
        if self.outlives { None } else { self.lease.ended() }
    }
}

impl Queue {
    /// To share the lock if there is a limit (0: with any number). Fails with `Invalid` for a bad name.
    pub(crate) fn new(context: Arc<Context>, name: &str, limit: Option<u32>) -> Result<Self> {
        let prefix = context.keys.queue(name)?;
        let share = limit.map(|limit| Share::new(&prefix, limit));
        Ok(Queue { name: name.into(), prefix, share, context })
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.context.views.of(&self.name, &self.prefix)
    }

    /// Who holds the lock now.
    pub(crate) async fn holder(&self) -> Result<Info> {
        let by = self.context.by();
        let reply = self.context.store.range(self.oldest(), by).await.map_err(Fault::into_error)?;
        match reply.kvs.first() {
            Some(kv) if key::limit(&self.prefix, &kv.key).is_some() => self.holders(by).await,
            _ => Ok(self.info(&reply)),
        }
    }

    /// The same, of one that is shared: how many hold it is told by the order of all.
    async fn holders(&self, by: Instant) -> Result<Info> {
        let reads = [self.oldest(), Range::all(&*self.prefix).keys_only()];
        let read = Txn { then: reads.map(Op::Range).into(), ..Txn::default() };
        let reply = self.context.store.txn(read, by).await.map_err(Fault::into_error)?;
        let info = match reply.ranges[0].kvs.first() {
            Some(oldest) => share::info_of_queue(&self.name, &self.prefix, oldest, &reply.ranges[1].kvs),
            None => Info::free(&self.name),
        };
        Ok(Info { revision: reply.revision, ..info })
    }

    /// The key that has this number.
    pub(crate) fn key(&self, lease: &Lease, number: u32) -> String {
        let room = self.share.as_ref().map_or(&self.prefix, |share| &share.room);
        key::place(room, lease.id, number)
    }

    /// To read who is the first in it.
    fn oldest(&self) -> Range {
        Range::oldest(&*self.prefix)
    }

    /// What is read to know who is in the way of a new key.
    fn reads(&self) -> Vec<Range> {
        match &self.share {
            None => vec![self.oldest()],
            Some(share) => share.reads().collect(),
        }
    }

    /// Who that is, if anybody: of the key that was created at `created`, or of none, for 0.
    fn in_the_way(&self, read: &[RangeReply], created: i64) -> Option<Info> {
        let (kv, holders) = match &self.share {
            None => (read[0].kvs.first().filter(|kv| kv.created != created)?, 1),
            Some(share) => share.in_the_way(read, created)?,
        };
        let count = read.iter().map(|reply| reply.count).sum();
        Some(self.info_of(Some(kv), holders, read[0].revision, count))
    }

    /// With as many waiters as there are other keys.
    fn info(&self, read: &RangeReply) -> Info {
        self.info_of(read.kvs.first(), 1, read.revision, read.count)
    }

    fn info_of(&self, holder: Option<&KeyValue>, holders: usize, revision: i64, count: i64) -> Info {
        let count = usize::try_from(count).unwrap_or(0);
        Info { revision, ..Info::of_queue(&self.name, &self.prefix, holder, holders, count) }
    }
}

impl Queues {
    /// Fails with `Invalid` for a bad name.
    pub(crate) fn new<'a>(
        context: &Arc<Context>,
        names: impl Iterator<Item = &'a str>,
        limit: Option<u32>,
    ) -> Result<Self> {
        names.map(|name| Queue::new(context.clone(), name, limit)).collect::<Result<_>>().map(Queues)
    }

    /// Fails with `Invalid` for none, for one that is there twice, and for too many; and for several that are to be shared.
    pub(crate) fn checked(self) -> Result<Self> {
        if self.0.len() > 1 && self.is_shared() {
            return Err(Error::invalid("names has several: of several locks at once none can be shared"));
        }
        match self.0.len() {
            0 => return Err(Error::invalid("names is empty")),
            1..=MOST => (),
            many => return Err(Error::invalid(format!("names has too many: {many} of at most {MOST}"))),
        }
        let mut known = HashSet::new();
        if let Some(twice) = self.names().find(|name| !known.insert(*name)) {
            return Err(Error::invalid(format!("names has {twice:?} twice")));
        }
        Ok(self)
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.first().context
    }

    /// Whether they are to be shared.
    pub(crate) fn is_shared(&self) -> bool {
        self.limit().is_some()
    }

    /// With how many they are to be shared at most, if at all; 0: with any number.
    pub(crate) fn limit(&self) -> Option<u32> {
        self.0.first().and_then(|queue| queue.share.as_ref()).map(|share| share.limit)
    }

    /// The names of the locks.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|queue| &*queue.name)
    }

    /// The keys of a place.
    pub(crate) fn keys(&self, place: &Place) -> Vec<String> {
        self.0.iter().zip(place.numbers()).map(|(queue, number)| queue.key(&place.lease, number)).collect()
    }

    /// A lease to enter with.
    pub(crate) async fn lease(&self, by: Instant) -> Result<Arc<Lease>> {
        self.context().leases.get(by).await
    }

    fn first(&self) -> &Queue {
        &self.0[0]
    }

    /// What is read to know who is in the way.
    fn reads(&self) -> Vec<Op> {
        self.0.iter().flat_map(Queue::reads).map(Op::Range).collect()
    }

    /// Who is in the way of the keys that were created at `created`, of what was [read](Self::reads).
    fn in_the_way(&self, read: &[RangeReply], created: i64) -> Option<Info> {
        let of_each = read.chunks((read.len() / self.0.len()).max(1));
        self.0.iter().zip(of_each).find_map(|(queue, read)| queue.in_the_way(read, created))
    }
}
