//! That the model of etcd does what etcd does: both are asked the same, call by call, and must answer the same.

use super::model::Model;
use super::weather::Weather;
use crate::etcd::{Access, Cluster};
use crate::store::*;
use locker_harness::{Etcd as RealEtcd, PATIENCE};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How many calls are made.
const CALLS: usize = 2000;
const KEYS: [&str; 5] = ["/a/1", "/a/2", "/a/3", "/b/1", "/e"];
const RANGES: [&str; 4] = ["/a/", "/b/", "/", "/none"];

fn by() -> Instant {
    Instant::now() + PATIENCE
}

/// Something to ask of a store.
#[derive(Clone, Debug)]
enum Call {
    Txn(Txn),
    Range(Range),
    Delete(String),
    Grant(i64),
    LeaseKeys(i64),
    Revoke(i64),
    Beat(i64),
}

impl Call {
    /// What a store answers, in words that can be compared.
    async fn ask(self, store: &dyn Store) -> String {
        match self {
            Call::Txn(txn) => say(store.txn(txn, by()).await),
            Call::Range(range) => say(store.range(range, by()).await),
            Call::Delete(key) => say(store.delete(key, by()).await),
            Call::Grant(lease) => say(store.grant(lease, Duration::from_secs(600), by()).await),
            Call::LeaseKeys(lease) => say(store.lease_keys(lease, by()).await.map(|mut keys| {
                keys.sort();
                keys
            })),
            Call::Revoke(lease) => say(store.revoke(lease, by()).await),
            // The first beat on a stream gives no revision.
            Call::Beat(lease) => say(store.keep_alive(lease).beat(by(), &|_| ()).await.map(drop)),
        }
    }
}

fn say<T: Debug>(answer: Result<T, Fault>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(Fault::LeaseGone) => "the lease is gone".into(),
        Err(Fault::Compacted) => "compacted".into(),
        Err(fault) => panic!("{fault:?}"),
    }
}

/// Makes up calls, mostly sensible ones.
struct Caller {
    weather: Weather,
    leases: Vec<i64>,
    revision: i64,
}

impl Caller {
    fn call(&mut self) -> Call {
        match self.weather.number(0..20) {
            0..9 => Call::Txn(self.txn()),
            9..13 => Call::Range(self.range()),
            13..16 => Call::Delete(self.key()),
            16 => {
                self.leases.push(self.weather.number(1..1 << 60) as i64);
                Call::Grant(self.leases[self.leases.len() - 1])
            }
            17 => Call::LeaseKeys(self.lease()),
            18 if self.weather.number(0..3) == 0 => Call::Revoke(self.lease()),
            _ => Call::Beat(self.lease()),
        }
    }

    fn key(&self) -> String {
        self.weather.pick(&KEYS).unwrap().into()
    }

    /// One of the last few: some of them were revoked.
    fn lease(&self) -> i64 {
        let last = &self.leases[self.leases.len().saturating_sub(4)..];
        self.weather.pick(last).unwrap_or(1)
    }

    /// Now and then with others inside, which write other keys: etcd refuses two writes of one key.
    fn txn(&self) -> Txn {
        match self.weather.number(0..3) {
            0 => {
                let inside = || KEYS.chunks(2).map(|keys| Op::Txn(self.plain_txn(keys))).collect();
                Txn { when: self.compares(), then: inside(), otherwise: inside(), ..Txn::default() }
            }
            _ => self.plain_txn(&KEYS),
        }
    }

    fn plain_txn(&self, keys: &[&str]) -> Txn {
        Txn { when: self.compares(), then: self.ops(keys), otherwise: self.ops(keys), ..Txn::default() }
    }

    fn compares(&self) -> Vec<Compare> {
        let lately = || (self.revision - self.weather.number(0..8) as i64).max(0);
        let compares = (0..self.weather.number(0..3)).map(|_| match self.weather.number(0..4) {
            0 => Compare::Absent(KeyRange::Key(self.key())),
            1 => Compare::Absent(self.keys()),
            2 => Compare::NoneSince(self.keys(), lately()),
            _ => Compare::Modified(self.key(), lately()),
        });
        compares.collect()
    }

    /// A put and a delete at most, of two of `keys`.
    fn ops(&self, keys: &[&str]) -> Vec<Op> {
        let mut ops: Vec<_> = (0..self.weather.number(0..3)).map(|_| Op::Range(self.range())).collect();
        let at = || self.weather.number(0..ops.len() as u64 + 1) as usize;
        let (put_at, delete_at) = (at(), at());
        let first = self.weather.number(0..keys.len() as u64) as usize;
        if self.weather.number(0..3) > 0 {
            let value = self.weather.number(0..100).to_string().into_bytes();
            ops.insert(put_at, Op::Put { key: keys[first].into(), value, lease: self.lease() });
        }
        if self.weather.number(0..3) == 0 && keys.len() > 1 {
            ops.insert(delete_at, Op::Delete(keys[(first + 1) % keys.len()].into()));
        }
        ops
    }

    /// More than one.
    fn keys(&self) -> KeyRange {
        match self.weather.number(0..2) {
            0 => KeyRange::Prefix(self.weather.pick(&RANGES).unwrap().into()),
            _ => KeyRange::Between(self.key(), self.key() + "0"),
        }
    }

    fn range(&self) -> Range {
        match self.weather.number(0..5) {
            0 => Range::key(self.key()),
            4 => {
                let limit = self.weather.number(0..3) as i64;
                let created = (self.revision - self.weather.number(0..8) as i64).max(0);
                Range { limit, before: created, ..Range::of(self.keys()).keys_only() }
            }
            3 => {
                let created = (self.revision - self.weather.number(0..8) as i64).max(1);
                Range::youngest_before(self.weather.pick(&RANGES).unwrap(), created)
            }
            1 => Range::oldest(self.weather.pick(&RANGES).unwrap()),
            _ => Range::all(self.weather.pick(&RANGES).unwrap()),
        }
    }
}

/// The events of a watch up to the revision `until`.
async fn events(watch: &mut dyn Watch, until: i64) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        for event in timeout(PATIENCE, watch.next()).await.expect("an event").unwrap() {
            events.push(format!("{event:?}"));
            if event.revision() >= until {
                return events;
            }
        }
    }
}

#[tokio::test]
async fn the_model_answers_as_etcd_does() {
    let etcd = RealEtcd::start();
    let real = Cluster::open(&etcd.endpoint(), &Access::default(), Duration::from_secs(10), by()).await.unwrap();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let calm = Weather::new(seed, 1);
    calm.calm_down();
    let model = Model::new(Arc::new(calm));
    // Where a new etcd begins.
    model.step(|etcd| etcd.revision = 1);
    let all = || KeyRange::Prefix("/".into());
    let stores: [&dyn Store; 2] = [&model, &real];
    let mut from_now =
        [stores[0].watch(all(), None, by()).await.unwrap(), stores[1].watch(all(), None, by()).await.unwrap()];

    let mut caller = Caller { weather: Weather::new(seed, 1), leases: Vec::new(), revision: 1 };
    for n in 0..CALLS {
        let call = caller.call();
        let (modelled, answered) = (call.clone().ask(&model).await, call.clone().ask(&real).await);
        assert_eq!(modelled, answered, "call {n}: {call:?}");
        caller.revision = model.step(|etcd| etcd.revision);
    }

    let last = Txn { then: vec![Op::Put { key: "/last".into(), value: vec![], lease: 0 }], ..Txn::default() };
    let until = real.txn(last.clone(), by()).await.unwrap().revision;
    assert_eq!(model.txn(last, by()).await.unwrap().revision, until);
    let [of_model, of_real] = &mut from_now;
    assert_eq!(
        events(&mut **of_model, until).await,
        events(&mut **of_real, until).await,
        "the watch from the beginning"
    );
    let half = Some(until / 2);
    let mut past =
        [stores[0].watch(all(), half, by()).await.unwrap(), stores[1].watch(all(), half, by()).await.unwrap()];
    let [of_model, of_real] = &mut past;
    assert_eq!(events(&mut **of_model, until).await, events(&mut **of_real, until).await, "a watch from the past");

    etcd.ctl(&["compact", &until.to_string()]);
    model.step(|etcd| etcd.compact());
    for store in stores {
        let mut watch = store.watch(all(), half, by()).await.unwrap();
        assert_eq!(say(watch.next().await), "compacted");
    }
}

/// What two streams tell next, `count` news of each. News of one moment come in any order.
async fn same_news(streams: &mut [Box<dyn KeyWatch>; 2], count: usize) {
    let [mut modelled, mut told] = [Vec::new(), Vec::new()];
    for (stream, news) in streams.iter_mut().zip([&mut modelled, &mut told]) {
        for _ in 0..count {
            news.push(format!("{:?}", timeout(PATIENCE, stream.next()).await.expect("news").unwrap()));
        }
        news.sort();
    }
    assert_eq!(modelled, told);
}

#[tokio::test]
async fn the_model_watches_keys_as_etcd_does() {
    let etcd = RealEtcd::start();
    let real = Cluster::open(&etcd.endpoint(), &Access::default(), Duration::from_secs(10), by()).await.unwrap();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let calm = Weather::new(seed, 1);
    calm.calm_down();
    let model = Model::new(Arc::new(calm));
    model.step(|etcd| etcd.revision = 1);
    let stores: [&dyn Store; 2] = [&model, &real];
    let mut streams = stores.map(|store| store.watch_keys(PATIENCE));
    let dice = Weather::new(seed, 1);
    // What is watched, and whether each key is there.
    let (mut watched, mut there) = ([false; KEYS.len()], [false; KEYS.len()]);
    for _ in 0..CALLS / 4 {
        let n = dice.number(0..KEYS.len() as u64) as usize;
        let key = KEYS[n];
        match dice.number(0..8) {
            0..2 => {
                streams.iter_mut().for_each(|stream| stream.add(key, None));
                watched[n] = true;
                same_news(&mut streams, 1).await;
            }
            2 => {
                streams.iter_mut().for_each(|stream| stream.remove(key));
                watched[n] = false;
            }
            3..6 => {
                let put = Op::Put { key: key.into(), value: vec![], lease: 0 };
                for store in stores {
                    store.txn(Txn { then: vec![put.clone()], ..Txn::default() }, by()).await.unwrap();
                }
                there[n] = true;
            }
            _ => {
                for store in stores {
                    store.delete(key.into(), by()).await.unwrap();
                }
                same_news(&mut streams, usize::from(watched[n] && there[n])).await;
                (watched[n], there[n]) = (watched[n] && !there[n], false);
            }
        }
    }
    let until = model.step(|etcd| etcd.revision);
    for key in KEYS {
        // Deletions since half of the history, of which the first is told, if there were any.
        streams.iter_mut().for_each(|stream| stream.add(key, Some(until / 2)));
    }
    same_news(&mut streams, KEYS.len() * 2).await;
    etcd.ctl(&["compact", &until.to_string()]);
    model.step(|etcd| etcd.compact());
    streams.iter_mut().for_each(|stream| stream.add(KEYS[0], Some(until / 2)));
    same_news(&mut streams, 2).await;
}
