//! What etcd does with what reaches it: keys with revisions, leases, transactions, watches. One member, no disk.

use crate::store::{Compare, Event, Fault, KeyRange, KeyValue, Op, Range, RangeReply, Txn, TxnReply};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Etcd {
    pub(super) revision: i64,
    keys: BTreeMap<Vec<u8>, (KeyValue, i64)>,
    leases: BTreeMap<i64, Lease>,
    history: Vec<Event>,
    /// Up to this revision the history is forgotten.
    compacted: i64,
    watches: Vec<(KeyRange, mpsc::UnboundedSender<Vec<Event>>)>,
}

pub(super) type Events = mpsc::UnboundedReceiver<Vec<Event>>;

/// Which way a transaction goes, and those inside.
struct Way {
    succeeded: bool,
    inside: Vec<Way>,
}

#[derive(Clone)]
struct Lease {
    ttl: Duration,
    ends: Instant,
}

impl Etcd {
    /// As the real one, but for the time that it takes to notice: a lease ends to the moment.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let ended: Vec<_> = self.leases.iter().filter(|(_, lease)| lease.ends <= now).map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| _ = self.revoke(id));
    }

    pub(super) fn grant(&mut self, id: i64, ttl: Duration) -> Duration {
        self.leases.entry(id).or_insert(Lease { ttl, ends: Instant::now() + ttl }).ttl
    }

    pub(super) fn keep_alive(&mut self, id: i64) -> Result<(), Fault> {
        let lease = self.leases.get_mut(&id).ok_or(Fault::LeaseGone)?;
        lease.ends = Instant::now() + lease.ttl;
        Ok(())
    }

    pub(super) fn revoke(&mut self, id: i64) -> Result<(), Fault> {
        self.leases.remove(&id).ok_or(Fault::LeaseGone)?;
        let keys: Vec<_> =
            self.keys.iter().filter(|(_, (_, lease))| *lease == id).map(|(key, _)| key.clone()).collect();
        if !keys.is_empty() {
            self.revision += 1;
            let events = keys.into_iter().map(|key| self.remove(key)).collect();
            self.publish(events);
        }
        Ok(())
    }

    /// Has a lease end earlier: as if that much time had passed for its client alone.
    pub(super) fn age(&mut self, id: i64, by: Duration) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.ends = lease.ends.checked_sub(by).unwrap_or_else(Instant::now);
        }
    }

    pub(super) fn lease_keys(&self, id: i64) -> Result<Vec<Bytes>, Fault> {
        self.leases.get(&id).ok_or(Fault::LeaseGone)?;
        Ok(self.keys.iter().filter(|(_, (_, lease))| *lease == id).map(|(key, _)| key.clone().into()).collect())
    }

    pub(super) fn leases(&self) -> Vec<i64> {
        self.leases.keys().copied().collect()
    }

    pub(super) fn txn(&mut self, txn: &Txn) -> Result<TxnReply, Fault> {
        let chosen = self.choose(txn);
        if !self.leases_exist(txn, &chosen) {
            return Err(Fault::LeaseGone);
        }
        let (before, mut events) = (self.revision, Vec::new());
        let mut reply = self.run(txn, &chosen, before, &mut events);
        self.publish(events);
        reply.set_revision(self.revision);
        Ok(reply)
    }

    /// Which way each transaction goes, also of those inside: decided for all before anything is done.
    fn choose(&self, txn: &Txn) -> Way {
        let succeeded = txn.when.iter().all(|compare| self.holds(compare));
        let inside = txn.ops(succeeded).iter().filter_map(|op| match op {
            Op::Txn(txn) => Some(self.choose(txn)),
            _ => None,
        });
        Way { succeeded, inside: inside.collect() }
    }

    fn leases_exist(&self, txn: &Txn, way: &Way) -> bool {
        let mut inside = way.inside.iter();
        txn.ops(way.succeeded).iter().all(|op| match op {
            Op::Put { lease, .. } => *lease == 0 || self.leases.contains_key(lease),
            Op::Delete(_) | Op::Range(_) => true,
            Op::Txn(txn) => self.leases_exist(txn, inside.next().expect("one for each")),
        })
    }

    fn run(&mut self, txn: &Txn, way: &Way, before: i64, events: &mut Vec<Event>) -> TxnReply {
        let mut reply = TxnReply { succeeded: way.succeeded, ..TxnReply::default() };
        let mut inside = way.inside.iter();
        for op in txn.ops(way.succeeded) {
            match op {
                Op::Put { key, value, lease } => {
                    self.revision = before + 1;
                    events.push(self.put(key.clone().into_bytes(), value.clone(), *lease));
                }
                Op::Delete(key) => {
                    let there = self.keys.contains_key(key.as_bytes());
                    if there {
                        self.revision = before + 1;
                        events.push(self.remove(key.clone().into_bytes()));
                    }
                    reply.deleted.push(there);
                }
                Op::Range(range) => reply.ranges.push(self.range(range, self.revision)),
                Op::Txn(txn) => {
                    let way = inside.next().expect("one for each");
                    reply.txns.push(self.run(txn, way, before, events));
                }
            }
        }
        reply
    }

    /// Says whether the key was there.
    pub(super) fn delete(&mut self, key: &str) -> bool {
        let there = self.keys.contains_key(key.as_bytes());
        if there {
            self.revision += 1;
            let event = self.remove(key.into());
            self.publish(vec![event]);
        }
        there
    }

    pub(super) fn compact(&mut self) {
        self.compacted = self.revision;
    }

    /// What a backup holds. Whoever watches the original does not watch the copy.
    pub(super) fn backup(&self) -> Etcd {
        Etcd {
            keys: self.keys.clone(),
            leases: self.leases.clone(),
            history: self.history.clone(),
            watches: Vec::new(),
            ..*self
        }
    }

    /// The keys as they were at `revision`, or at the oldest that is known.
    pub(super) fn range(&self, range: &Range, revision: i64) -> RangeReply {
        let revision = revision.max(self.compacted);
        let mut kvs: Vec<_> = match revision == self.revision {
            true => self.keys.values().map(|(kv, _)| kv.clone()).collect(),
            false => self.past(revision),
        };
        kvs.retain(|kv| range.keys.contains(&kv.key));
        kvs.sort_by_key(|kv| kv.created);
        let count = kvs.len() as i64;
        if range.before > 0 {
            kvs.retain(|kv| kv.created < range.before.max(2));
            kvs.sort_by_key(|kv| std::cmp::Reverse(kv.created));
        }
        if range.limit > 0 {
            kvs.truncate(range.limit as usize);
        }
        if range.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        RangeReply { revision, kvs, count }
    }

    /// Many reads in one request, all as of `revision`.
    pub(super) fn reads(&self, reads: &[Range], revision: i64) -> TxnReply {
        let ranges: Vec<_> = reads.iter().map(|range| self.range(range, revision)).collect();
        let revision = ranges.first().map_or(self.revision, |reply| reply.revision);
        TxnReply { revision, succeeded: true, ranges, ..TxnReply::default() }
    }

    /// The lease of a key, if it is there; 0: it has none.
    pub(super) fn lease_of(&self, key: &str) -> Option<i64> {
        self.keys.get(key.as_bytes()).map(|(_, lease)| *lease)
    }

    pub(super) fn keys_under(&self, prefix: &str) -> Vec<String> {
        let keys = self.keys.keys().map(|key| String::from_utf8_lossy(key).into_owned());
        keys.filter(|key| key.starts_with(prefix)).collect()
    }

    pub(super) fn key(&self, key: &str) -> Option<i64> {
        self.keys.get(key.as_bytes()).map(|(kv, _)| kv.created)
    }

    /// Events from `from` on, or from now on, as they come.
    pub(super) fn watch(&mut self, keys: KeyRange, from: Option<i64>) -> Result<Events, Fault> {
        if from.is_some_and(|from| from <= self.compacted) {
            return Err(Fault::Compacted);
        }
        let (tell, told) = mpsc::unbounded_channel();
        let from = from.unwrap_or(self.revision + 1);
        let past: Vec<_> =
            self.history.iter().filter(|e| e.revision() >= from && keys.contains(e.key())).cloned().collect();
        for events in past.chunk_by(|a, b| a.revision() == b.revision()) {
            let _ = tell.send(events.to_vec());
        }
        self.watches.push((keys, tell));
        Ok(told)
    }

    fn holds(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Absent(range) => !self.keys.keys().any(|key| range.contains(key)),
            Compare::Modified(key, revision) => {
                self.keys.get(key.as_bytes()).map_or(0, |(kv, _)| kv.modified) == *revision
            }
            Compare::NoneSince(range, revision) => {
                self.keys.iter().all(|(key, (kv, _))| !range.contains(key) || kv.created <= *revision)
            }
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, lease: i64) -> Event {
        let created = self.keys.get(&key).map_or(self.revision, |(kv, _)| kv.created);
        let kv = KeyValue { key: key.clone(), value, created, modified: self.revision, lease };
        self.keys.insert(key, (kv.clone(), lease));
        Event::Put(kv)
    }

    fn remove(&mut self, key: Vec<u8>) -> Event {
        self.keys.remove(&key);
        Event::Delete { key, revision: self.revision }
    }

    fn publish(&mut self, events: Vec<Event>) {
        self.watches.retain(|(keys, watch)| {
            let seen: Vec<_> = events.iter().filter(|event| keys.contains(event.key())).cloned().collect();
            if seen.is_empty() { !watch.is_closed() } else { watch.send(seen).is_ok() }
        });
        self.history.extend(events);
    }

    fn past(&self, revision: i64) -> Vec<KeyValue> {
        let mut keys = BTreeMap::new();
        for event in self.history.iter().take_while(|event| event.revision() <= revision) {
            match event {
                Event::Put(kv) => _ = keys.insert(kv.key.clone(), kv.clone()),
                Event::Delete { key, .. } => _ = keys.remove(key),
            }
        }
        keys.into_values().collect()
    }
}

impl Txn {
    /// What it reads, if that is all that it does, whatever is there.
    pub(super) fn only_reads(&self) -> Option<Vec<Range>> {
        let read = |op: &Op| match op {
            Op::Range(range) => Some(range.clone()),
            _ => None,
        };
        if self.when.is_empty() { self.then.iter().map(read).collect() } else { None }
    }

    fn ops(&self, succeeded: bool) -> &[Op] {
        if succeeded { &self.then } else { &self.otherwise }
    }
}

impl TxnReply {
    fn set_revision(&mut self, revision: i64) {
        self.revision = revision;
        self.ranges.iter_mut().for_each(|reply| reply.revision = revision);
        self.txns.iter_mut().for_each(|reply| reply.set_revision(revision));
    }
}

impl KeyRange {
    fn contains(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::Key(one) => key == one.as_bytes(),
            KeyRange::Prefix(prefix) => key.starts_with(prefix.as_bytes()),
            KeyRange::Between(from, to) => (from.as_bytes()..to.as_bytes()).contains(&key),
        }
    }
}

impl Event {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Event::Put(kv) => &kv.key,
            Event::Delete { key, .. } => key,
        }
    }
}
