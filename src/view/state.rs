//! The queue of one lock, as reads and events show it, and who is told of what.

use super::{Holders, Rank};
use crate::info::Info;
use crate::store::{Event, KeyValue, RangeReply};
use crate::{Error, ErrorKind};
use crate::{key, share};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct State {
    /// What all keys of the queue start with.
    prefix: String,
    /// The revision of the last read or event; 0: nothing was read yet.
    pub(super) revision: i64,
    /// Whether it was read since the watch began. Before that, events wait in `early`.
    pub(super) read: bool,
    /// In the order of the queue.
    queue: BTreeMap<(i64, Vec<u8>), KeyValue>,
    created: HashMap<Vec<u8>, i64>,
    pub(super) early: Vec<Event>,
    /// Who holds the lock, if anybody has wanted to know since the last change.
    holder: Option<Arc<Info>>,
    /// Until when, by the clock, that may be told as the present; `None`: not at all, the watch has broken.
    pub(super) good_until: Option<Duration>,
    watchers: Vec<Weak<Holders>>,
    /// Those who wait for their turn, by their keys.
    pub(super) attending: BTreeMap<Vec<u8>, Arc<Notify>>,
    /// Why it has ended.
    pub(super) ended: Option<Error>,
}

impl State {
    pub(super) fn new(prefix: &str) -> Self {
        State { prefix: prefix.into(), ..State::default() }
    }

    /// How many hold the lock: the first so many.
    fn holders(&self) -> usize {
        share::holders(&self.prefix, self.queue.values().map(|kv| &*kv.key))
    }

    fn oldest(&self) -> Option<&KeyValue> {
        self.queue.first_key_value().map(|(_, kv)| kv)
    }

    /// Where the place with this key, `created` then, stands. A key that was created again is another place.
    pub(super) fn rank(&self, key: &[u8], created: i64) -> Rank {
        if let Some(error) = &self.ended {
            return Rank::Failed(error.clone());
        }
        let holds = || match key::limit(&self.prefix, key) {
            None => self.oldest().is_some_and(|kv| kv.created == created && kv.key == key),
            Some(_) => self.queue.values().take(self.holders()).any(|kv| kv.key == key),
        };
        match self.created.get(key) {
            _ if self.revision < created => Rank::NotSeenYet,
            Some(there) if *there == created && holds() => Rank::First,
            Some(there) if *there == created => Rank::Behind,
            _ => Rank::Gone,
        }
    }

    /// Who holds the lock: made once for all who want to know, and not at all if nobody does.
    pub(super) fn holder(&mut self, name: &str) -> Arc<Info> {
        if let Some(holder) = &self.holder {
            return holder.clone();
        }
        let holder = Info::of_queue(name, &self.prefix, self.oldest(), self.holders(), self.queue.len());
        let holder = Arc::new(Info { revision: self.revision, ..holder });
        self.holder = Some(holder.clone());
        holder
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watchers.iter().any(|watcher| watcher.strong_count() > 0)
    }

    /// Those that have gone are forgotten when there is no room for one more: looked for each time, many would take long.
    pub(super) fn add_watcher(&mut self, holders: &Arc<Holders>) {
        if self.watchers.len() == self.watchers.capacity() {
            self.watchers.retain(|watcher| watcher.strong_count() > 0);
            self.watchers.reserve(self.watchers.len().max(1));
        }
        self.watchers.push(Arc::downgrade(holders));
    }

    /// A watch has begun: from where the last one broke off, or now.
    pub(super) fn begin(&mut self, resumed: bool) {
        self.read = resumed;
        self.early.clear();
    }

    /// Makes a change, and tells those whom it concerns: the places that come to be the first, and the watchers if the
    /// holder has changed or what it says, or how many they are.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        // No `Option`: what is compared of a `None` is not initialised, and valgrind says so.
        let head = |state: &Self| state.oldest().map_or((0, 0, 0), |kv| (kv.created, kv.modified, state.holders()));
        let before = head(self);
        change(self);
        self.holder = None;
        if !self.attending.is_empty() {
            let holding = self.queue.values().take(self.holders());
            holding.filter_map(|kv| self.attending.get(&kv.key)).for_each(|place| place.notify_one());
        }
        if head(self) == before || self.watchers.is_empty() {
            return;
        }
        let holder = self.holder(name);
        self.watchers.retain(|watcher| match watcher.upgrade() {
            Some(holders) => {
                holders.push(Ok(holder.clone()));
                true
            }
            None => false,
        });
    }

    pub(super) fn apply(&mut self, name: &str, events: &[Event]) {
        for events in events.chunk_by(|a, b| a.revision() == b.revision()) {
            let revision = events[0].revision();
            if revision > self.revision {
                self.revision = revision;
                self.change(name, |state| events.iter().for_each(|event| state.apply_one(event)));
            }
        }
    }

    fn apply_one(&mut self, event: &Event) {
        match event {
            Event::Put(kv) => self.insert(kv.clone()),
            Event::Delete { key, .. } => self.apply_delete(key),
        }
    }

    fn insert(&mut self, kv: KeyValue) {
        self.remove(&kv.key);
        self.created.insert(kv.key.clone(), kv.created);
        self.queue.insert((kv.created, kv.key.clone()), kv);
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(created) = self.created.remove(key) {
            self.queue.remove(&(created, key.to_vec()));
        }
    }

    fn apply_delete(&mut self, key: &[u8]) {
        self.remove(key);
        if let Some(place) = self.attending.get(key) {
            place.notify_one();
        }
    }

    pub(super) fn replace(&mut self, reply: RangeReply) {
        self.queue.clear();
        self.created.clear();
        self.revision = reply.revision;
        reply.kvs.into_iter().for_each(|kv| self.insert(kv));
        // Rare, and any of them may have gone.
        self.attending.values().for_each(|place| place.notify_one());
    }

    /// Nothing has changed up to this revision.
    pub(super) fn come_to(&mut self, revision: i64) {
        if revision > self.revision {
            self.revision = revision;
            self.holder = None;
            self.attending.values().for_each(|place| place.notify_one());
        }
    }

    /// Tells everybody that it is over; `error` says why, unless the client was disconnected.
    pub(super) fn end(&mut self, error: Option<Error>) {
        for holders in self.watchers.drain(..).filter_map(|watcher| watcher.upgrade()) {
            if let Some(error) = &error {
                holders.push(Err(error.clone()));
            }
            holders.close();
        }
        self.good_until = None;
        self.ended = Some(error.unwrap_or_else(|| Error::new(ErrorKind::Cancelled, "the client is disconnected")));
        self.attending.values().for_each(|place| place.notify_one());
    }

    /// Whether the read tells something that this state has not, or not yet.
    pub(super) fn differs_from(&self, reply: &RangeReply) -> bool {
        reply.revision > self.revision && !self.is_as_in(reply)
    }

    fn is_as_in(&self, reply: &RangeReply) -> bool {
        reply.kvs.len() == self.queue.len()
            && reply.kvs.iter().zip(self.queue.values()).all(|(a, b)| a.key == b.key && a.modified == b.modified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, created: i64, modified: i64) -> Event {
        Event::Put(KeyValue { key: key.into(), value: Vec::new(), created, modified, lease: 1 })
    }

    fn delete(key: &str, revision: i64) -> Event {
        Event::Delete { key: key.into(), revision }
    }

    #[test]
    fn a_key_that_is_used_again_is_another_place() {
        let mut state = State { revision: 1, ..State::default() };
        let mut ranks = |events: &[Event], places: &[(&str, i64)]| {
            state.apply("x", events);
            places
                .iter()
                .map(|(key, created)| format!("{:?}", state.rank(key.as_bytes(), *created)))
                .collect::<Vec<_>>()
        };
        assert_eq!(ranks(&[put("a", 2, 2), put("b", 3, 3)], &[("a", 2), ("b", 3)]), ["First", "Behind"]);
        // What is written into a key makes no other place of it.
        assert_eq!(ranks(&[put("a", 2, 4)], &[("a", 2), ("b", 3)]), ["First", "Behind"]);
        assert_eq!(ranks(&[delete("a", 5)], &[("a", 2), ("b", 3), ("a", 6)]), ["Gone", "First", "NotSeenYet"]);
        let again = [("a", 2), ("b", 3), ("a", 6)];
        assert_eq!(ranks(&[put("a", 6, 6)], &again), ["Gone", "First", "Behind"]);
        assert_eq!(ranks(&[delete("b", 7)], &again), ["Gone", "Gone", "First"]);
        // Deleted and created with nothing heard in between.
        assert_eq!(ranks(&[put("a", 9, 9)], &[("a", 6), ("a", 9)]), ["Gone", "First"]);
    }

    #[test]
    fn watchers_that_have_gone_are_forgotten() {
        let mut state = State::default();
        let staying = Arc::new(Holders::new());
        state.add_watcher(&staying);
        (0..1000).for_each(|_| state.add_watcher(&Arc::new(Holders::new())));
        assert!(state.watchers.len() < 10, "{} are kept", state.watchers.len());
        state.apply("x", &[put("a", 2, 2)]);
        assert_eq!((state.watchers.len(), Arc::strong_count(&staying)), (1, 1));
    }
}
