//! Those who share a lock: readers together, or so many at most as its limit says.
//!
//! Their keys lie in the lock's queue, under `s/` and their limit (0: none), one for each guard. Such a key holds the lock
//! when no older one lies outside of `s/`, and fewer older ones inside than the limit. Whoever looks at the whole queue, as
//! those do who want the lock alone and everything that is not locker, waits for each older key: so they exclude these, and
//! these exclude them, in one order. Nobody enters beside another limit: that is a condition of the transaction.

use crate::info::Info;
use crate::key;
use crate::store::{Compare, KeyRange, KeyValue, Op, Range, RangeReply, Txn};
use crate::{Error, Result};

/// How one shares a lock, and where.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    queue: String,
    /// How many may hold it; 0: any number.
    pub(crate) limit: u32,
    /// The start of their keys.
    pub(crate) room: String,
}

impl Share {
    pub(crate) fn new(queue: &str, limit: u32) -> Self {
        Share { queue: queue.into(), limit, room: key::shared(queue, limit) }
    }

    /// Before and behind those who share.
    fn outside(&self) -> [KeyRange; 2] {
        let (from, to) = key::all_shared(&self.queue);
        let mut end = self.queue.clone();
        end.pop();
        [KeyRange::Between(self.queue.clone(), from), KeyRange::Between(to, end + "0")]
    }

    /// Those who share with another limit.
    fn others(&self) -> [KeyRange; 2] {
        let (from, to) = key::all_shared(&self.queue);
        let mut end = self.room.clone();
        end.pop();
        [KeyRange::Between(from, self.room.clone()), KeyRange::Between(end + "0", to)]
    }

    /// What holds if nobody shares it with another limit.
    pub(crate) fn alike(&self) -> impl Iterator<Item = Compare> {
        self.others().into_iter().map(Compare::Absent)
    }

    /// What holds if nobody wants it alone.
    pub(crate) fn nobody_outside(&self) -> impl Iterator<Item = Compare> {
        self.outside().into_iter().map(Compare::Absent)
    }

    /// What is read to know who is before a new key.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Range> {
        let ranges = self.outside().into_iter().chain([KeyRange::Prefix(self.room.clone())]);
        ranges.map(|keys| Range::of(keys).first())
    }

    /// What is read to know of other limits.
    pub(crate) fn reads_of_others(&self) -> impl Iterator<Item = Range> {
        self.others().into_iter().map(|keys| Range::of(keys).first())
    }

    /// From [`reads`](Self::reads), whether somebody is in the way of the key that was created at `created`; of a key that is
    /// not there yet, for 0: then who has been there for the longest time, and how many hold it with him. Says rather once
    /// too often that somebody is.
    pub(crate) fn in_the_way<'a>(&self, read: &'a [RangeReply], created: i64) -> Option<(&'a KeyValue, usize)> {
        let (outside, inside) = read.split_at(2);
        let is_before = |kv: &&KeyValue| created == 0 || kv.created < created;
        let alone = outside.iter().flat_map(|reply| &reply.kvs).filter(is_before).min_by_key(|kv| kv.created);
        let first = inside[0].kvs.first().filter(is_before);
        let others = inside[0].count - i64::from(created != 0);
        let is_full = self.limit > 0 && others >= i64::from(self.limit);
        match (alone, first) {
            (Some(alone), Some(first)) if first.created < alone.created => Some((first, 1)),
            (Some(alone), _) => Some((alone, 1)),
            (None, first) => first.filter(|_| is_full).map(|first| (first, self.limit as usize)),
        }
    }

    /// What is read for the proof that a key holds the lock.
    pub(crate) fn proof(&self, key: &str, created: i64, serializable: bool) -> Txn {
        let inside = Range { before: created, limit: self.limit.into(), ..Range::all(&*self.room).keys_only() };
        let reads = self.outside().into_iter().map(|keys| Range::of(keys).first()).chain([Range::key(key)]);
        let reads = reads.chain((self.limit > 0).then_some(inside));
        let then = reads.map(|range| Op::Range(Range { serializable, ..range })).collect();
        Txn { then, ..Txn::default() }
    }

    /// Whether [`proof`](Self::proof) is one. No older key can appear later, so it may be a read from the past, as long as
    /// the key was there.
    pub(crate) fn is_proven(&self, read: &[RangeReply], created: i64) -> bool {
        let is_older = |reply: &RangeReply| reply.kvs.iter().any(|kv| kv.created < created);
        let is_there = read[2].kvs.first().is_some_and(|kv| kv.created == created);
        let has_room = read.get(3).is_none_or(|inside| (inside.kvs.len() as u64) < u64::from(self.limit));
        is_there && has_room && !read[..2].iter().any(is_older)
    }

    /// Fails with `Invalid` if somebody shares it with another limit: names both.
    pub(crate) fn same_limit(&self, name: &str, others: &[RangeReply]) -> Result<()> {
        let Some(other) = others.iter().flat_map(|reply| &reply.kvs).next() else { return Ok(()) };
        Err(Error::invalid(match key::limit(&self.queue, &other.key) {
            Some(limit) => {
                format!("limit is {}, but those who are in the queue of {name:?} say {}", of(self.limit), of(limit))
            }
            None => format!(
                "{name:?} cannot be shared: there is a key that is not of locker, {}",
                String::from_utf8_lossy(&other.key)
            ),
        }))
    }
}

/// In words.
fn of(limit: u32) -> String {
    if limit == 0 { "none (shared)".into() } else { limit.to_string() }
}

/// How many hold a lock, of the keys in its queue in their order.
pub(crate) fn holders<'a>(queue: &str, mut keys: impl Iterator<Item = &'a [u8]>) -> usize {
    let Some(first) = keys.next() else { return 0 };
    match key::limit(queue, first) {
        None => 1,
        Some(limit) => {
            let most = if limit == 0 { usize::MAX } else { limit as usize };
            1 + keys.take(most - 1).take_while(|key| key::limit(queue, key) == Some(limit)).count()
        }
    }
}

/// The holder of the lock `name`, from its whole queue.
pub(crate) fn info_of_queue(name: &str, queue: &str, oldest: &KeyValue, keys: &[KeyValue]) -> Info {
    let holders = holders(queue, keys.iter().map(|kv| &*kv.key));
    Info::of_queue(name, queue, Some(oldest), holders, keys.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_is_told_from_the_order_of_the_keys() {
        let count = |keys: &[&str]| holders("x/", keys.iter().map(|key| key.as_bytes()));
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&["x/1-1", "x/1-2"]), 1);
        assert_eq!(count(&["x/1-1", "x/s/0/1-2"]), 1);
        assert_eq!(count(&["x/s/0/1-1", "x/s/0/2-1", "x/s/0/2-2", "x/1-9", "x/s/0/1-4"]), 3);
        assert_eq!(count(&["x/s/2/1-1", "x/s/2/2-1", "x/s/2/2-2"]), 2);
        assert_eq!(count(&["x/s/1/1-1", "x/s/1/2-1"]), 1);
        assert_eq!(count(&["x/s/2/1-1"]), 1);
    }
}
