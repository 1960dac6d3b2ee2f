//! The queue of one lock in etcd: who is in it, and the way into it and out of it.
//!
//! Who enters creates a key under the name's prefix; the lowest create revision holds the lock. A request for several locks
//! at once creates its keys in all their queues in one transaction: with one create revision, so of two such requests one
//! is before the other in every queue in which both are, and they never wait for each other. No key is used twice about
//! which there was ever a doubt, so a delete that comes late hurts nobody (see `holds.rs`).

mod enter;
mod leave;
mod turn;

use crate::context::Context;
use crate::info::Info;
use crate::key;
use crate::lease::Lease;
use crate::store::{Fault, Op, Range, RangeReply};
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

    /// Who holds the lock now.
    pub(crate) async fn holder(&self) -> Result<Info> {
        let read = self.context.store.range(self.oldest(), self.context.by());
        let reply = read.await.map_err(Fault::into_error)?;
        Ok(self.info(&reply))
    }

    /// The key that has this number.
    pub(crate) fn key(&self, lease: &Lease, number: u32) -> String {
        key::place(&self.prefix, lease.id, number)
    }

    /// To read who is the first in it.
    fn oldest(&self) -> Range {
        Range::oldest(&*self.prefix)
    }

    fn info(&self, oldest: &RangeReply) -> Info {
        Info { revision: oldest.revision, ..Info::of_queue(&self.name, oldest.kvs.first(), oldest.count) }
    }
}

impl Queues {
    /// Fails with `Invalid` for a bad name.
    pub(crate) fn new<'a>(context: &Arc<Context>, names: impl Iterator<Item = &'a str>) -> Result<Self> {
        names.map(|name| Queue::new(context.clone(), name)).collect::<Result<_>>().map(Queues)
    }

    /// Fails with `Invalid` for none, for one that is there twice, and for too many.
    pub(crate) fn checked(self) -> Result<Self> {
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

    fn read_oldest(&self) -> impl Iterator<Item = Op> {
        self.0.iter().map(|queue| Op::Range(queue.oldest()))
    }
}
