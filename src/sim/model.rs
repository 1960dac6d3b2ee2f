//! The model of etcd as a store that always answers, and at once.

use super::etcd::{Etcd, Events};
use super::keys::ModelKeys;
use super::weather::Weather;
use crate::store::*;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Looks at what a step has led to.
pub(super) type Inspector = Box<dyn FnMut(&Etcd) + Send>;

#[derive(Clone)]
pub(super) struct Model(Arc<Inner>);

struct Inner {
    etcd: Mutex<Etcd>,
    weather: Arc<Weather>,
    inspect: Mutex<Option<Inspector>>,
}

impl Model {
    pub(super) fn new(weather: Arc<Weather>) -> Self {
        Model(Arc::new(Inner { etcd: Mutex::default(), weather, inspect: Mutex::new(None) }))
    }

    /// Has somebody look at everything after each step.
    pub(super) fn inspect(&self, inspector: Option<Inspector>) {
        *self.0.inspect.lock().unwrap() = inspector;
    }

    /// One step of the model, and a look at what it has led to.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut Etcd) -> T) -> T {
        let mut etcd = self.0.etcd.lock().unwrap();
        etcd.expire();
        self.look(&etcd);
        let result = step(&mut etcd);
        self.look(&etcd);
        result
    }

    fn look(&self, etcd: &Etcd) {
        if let Some(inspect) = &mut *self.0.inspect.lock().unwrap() {
            inspect(etcd);
        }
    }

    /// By how many revisions an answer is old. A member that is behind answers what it knows; in some releases now and then
    /// even to one who wants the latest.
    fn behind(&self, serializable: bool) -> i64 {
        let weather = &self.0.weather;
        let is_behind = weather.chance(if serializable { 3 } else { 100 });
        if is_behind { weather.number(0..5) as i64 } else { 0 }
    }

    fn answer<T: Send + 'static>(&self, step: impl FnOnce(&mut Etcd) -> Result<T, Fault>) -> Pending<'_, T> {
        Box::pin(ready(self.step(step)))
    }
}

impl Store for Model {
    fn txn(&self, txn: Txn, _by: Instant) -> Pending<'_, TxnReply> {
        match txn.only_reads() {
            Some(reads) => {
                let behind = self.behind(reads.iter().all(|range| range.serializable));
                self.answer(move |etcd| Ok(etcd.reads(&reads, (etcd.revision - behind).max(0))))
            }
            None => self.answer(|etcd| etcd.txn(&txn)),
        }
    }

    fn range(&self, range: Range, _by: Instant) -> Pending<'_, RangeReply> {
        let behind = self.behind(range.serializable);
        self.answer(|etcd| Ok(etcd.range(&range, (etcd.revision - behind).max(0))))
    }

    fn delete(&self, key: String, _by: Instant) -> Pending<'_, Deleted> {
        self.answer(|etcd| Ok(if etcd.delete(&key) { Deleted::Now } else { Deleted::Absent }))
    }

    fn grant(&self, lease: i64, ttl: Duration, _by: Instant) -> Pending<'_, Grant> {
        self.answer(|etcd| Ok(Grant { ttl: etcd.grant(lease, ttl), doubted: false }))
    }

    fn lease_keys(&self, lease: i64, _by: Instant) -> Pending<'_, Vec<Bytes>> {
        self.answer(|etcd| etcd.lease_keys(lease))
    }

    fn revoke(&self, lease: i64, _by: Instant) -> Pending<'_, ()> {
        self.answer(|etcd| etcd.revoke(lease))
    }

    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive> {
        Box::new(Beats(self.clone(), lease))
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, _by: Instant) -> Pending<'_, Box<dyn Watch>> {
        self.answer(|etcd| {
            let (begun, events) = (etcd.revision, etcd.watch(keys, from));
            Ok(Box::new(Running { begun, events }) as Box<dyn Watch>)
        })
    }

    fn watch_keys(&self, _limit: Duration) -> Box<dyn KeyWatch> {
        Box::new(ModelKeys::new(self.clone()))
    }
}

struct Beats(Model, i64);

impl KeepAlive for Beats {
    fn beat<'a>(&'a mut self, _by: Instant, _tell: &'a (dyn Fn(Error) + Sync)) -> Pending<'a, Option<i64>> {
        let lease = self.1;
        self.0.answer(move |etcd| etcd.keep_alive(lease).map(|()| Some(etcd.revision)))
    }
}

struct Running {
    begun: i64,
    /// That its history is compacted is told only once it runs.
    events: Result<Events, Fault>,
}

impl Watch for Running {
    fn begun(&self) -> i64 {
        self.begun
    }

    fn next(&mut self) -> Pending<'_, Vec<Event>> {
        Box::pin(async {
            // Over when another etcd, from a backup, has taken the place of this one.
            let over = || Fault::NotDone(Error::new(ErrorKind::Unavailable, "the watch is over"));
            match &mut self.events {
                Ok(events) => events.recv().await.ok_or_else(over),
                Err(fault) => Err(fault.clone()),
            }
        })
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}
