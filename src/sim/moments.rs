//! The worst moments, each brought about on purpose: chance hits one of them once in ten thousand histories.

use super::model::Model;
use super::peer::{OwnClock, Peer};
use super::scenes::calm;
use crate::lock::Lock;
use crate::store::*;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// For how long a process is stopped while a beat of it is answered.
const STOP: Duration = Duration::from_secs(1);

/// A model that answers at once, but for what is arranged.
#[derive(Clone, Debug)]
struct Arranged {
    model: Model,
    plot: Arc<Mutex<Plot>>,
    /// The clock of the process that is stopped while a beat of it is answered.
    clock: Arc<OnceLock<Arc<OwnClock>>>,
}

/// What becomes of an enter.
#[derive(Debug)]
enum Plot {
    None,
    /// The next one gets no answer.
    Begun(Moment),
    /// It is done at this moment.
    Held(Moment, Txn),
    /// Another is refused.
    Done,
}

/// When an enter is done that got no answer.
#[derive(Debug)]
enum Moment {
    /// Somebody has just looked whether it was done.
    AfterTheLook,
    /// An epoch is about to be written, as is not possible before this instant.
    BeforeTheEpoch(Instant),
}

impl Arranged {
    fn new(model: Model) -> Self {
        Arranged { model, plot: Arc::new(Mutex::new(Plot::None)), clock: Arc::default() }
    }

    fn plot(&self) -> MutexGuard<'_, Plot> {
        self.plot.lock().unwrap()
    }

    async fn run(&self, txn: Txn, by: Instant) -> Result<TxnReply, Fault> {
        let writes = txn.then.iter().any(|op| matches!(op, Op::Put { .. }));
        let is_enter = writes && !txn.when.is_empty();
        let silence = Err(Fault::Doubt(Error::new(ErrorKind::Unavailable, "no answer")));
        let plot = std::mem::replace(&mut *self.plot(), Plot::Done);
        match plot {
            Plot::Begun(moment) if is_enter => {
                *self.plot() = Plot::Held(moment, txn);
                silence
            }
            Plot::Held(Moment::AfterTheLook, enter) if !writes => {
                let seen = self.model.txn(txn, by).await;
                self.model.txn(enter, by).await?;
                seen
            }
            Plot::Held(Moment::BeforeTheEpoch(possible), enter) if writes && Instant::now() >= possible => {
                self.model.txn(enter, by).await?;
                self.model.txn(txn, by).await
            }
            plot @ Plot::Held(Moment::BeforeTheEpoch(_), _) if writes => {
                *self.plot() = plot;
                sleep_until(by).await;
                silence
            }
            Plot::Done if is_enter => Err(Fault::Refused(Error::new(ErrorKind::Denied, "no permission"))),
            plot => {
                *self.plot() = plot;
                self.model.txn(txn, by).await
            }
        }
    }
}

impl Store for Arranged {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        Box::pin(self.run(txn, by))
    }

    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply> {
        self.model.range(range, by)
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        self.model.delete(key, by)
    }

    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Grant> {
        self.model.grant(lease, ttl, by)
    }

    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Bytes>> {
        self.model.lease_keys(lease, by)
    }

    fn revoke(&self, lease: i64, by: Instant) -> Pending<'_, ()> {
        self.model.revoke(lease, by)
    }

    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive> {
        Box::new(Beats { beats: self.model.keep_alive(lease), clock: self.clock.clone() })
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        self.model.watch(keys, from, by)
    }

    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch> {
        self.model.watch_keys(limit)
    }
}

struct Beats {
    beats: Box<dyn KeepAlive>,
    clock: Arc<OnceLock<Arc<OwnClock>>>,
}

impl KeepAlive for Beats {
    fn beat<'a>(&'a mut self, by: Instant, tell: &'a (dyn Fn(Error) + Sync)) -> Pending<'a, Option<i64>> {
        Box::pin(async move {
            let answer = self.beats.beat(by, tell).await;
            if let Some(clock) = self.clock.get() {
                clock.jump(STOP);
            }
            answer
        })
    }
}

fn arranged(seed: u64) -> (Arranged, Peer) {
    let (weather, model, _) = calm(seed);
    let store = Arranged::new(model);
    let peer = Peer::new(Arc::new(store.clone()), &weather);
    (store, peer)
}

/// An enter gets no answer and is done at that moment; and its sender gives up.
async fn given_up(moment: Moment) -> (ErrorKind, Vec<KeyValue>) {
    let (store, peer) = arranged(1);
    Lock::new(peer.context(), "warm".into()).await.unwrap().unlock().await.unwrap();
    *store.plot() = Plot::Begun(moment);
    let error = Lock::new(peer.context(), "a".into()).await.unwrap_err();
    sleep(Duration::from_secs(10)).await;
    assert!(matches!(*store.plot(), Plot::Done), "it was not done: {:?}", store.plot());
    (error.kind(), store.range(Range::all("/a/"), Instant::now()).await.unwrap().kvs)
}

pub(super) async fn an_enter_comes_right_after_the_look() {
    assert_eq!(given_up(Moment::AfterTheLook).await, (ErrorKind::Denied, vec![]));
}

pub(super) async fn an_enter_comes_right_before_the_epoch() {
    // When nobody waits for it any more.
    let possible = Instant::now() + Duration::from_secs(7);
    assert_eq!(given_up(Moment::BeforeTheEpoch(possible)).await, (ErrorKind::Unavailable, vec![]));
}

/// A process is stopped between etcd's answer to a beat and its arrival.
pub(super) async fn a_stop_while_a_beat_is_answered(seed: u64) {
    let (store, peer) = arranged(seed);
    let guard = Lock::new(peer.context(), "a".into()).await.unwrap();
    let granted = guard.remaining();
    store.clock.set(peer.clock.clone()).unwrap();
    // The first beat is answered within this time.
    sleep(granted / 2).await;
    assert!(guard.remaining() + STOP <= granted, "{:?} remain of {granted:?}", guard.remaining());
}
