//! The worst moments, each brought about on purpose: chance hits one of them once in ten thousand histories.

use super::model::Model;
use super::peer::{OwnClock, Peer};
use super::scenes::calm;
use crate::lock::Lock;
use crate::store::*;
use crate::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
    Begun,
    /// It is done once somebody has looked whether it is.
    Held(Txn),
    /// Another is refused.
    Done,
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
        let plot = std::mem::replace(&mut *self.plot(), Plot::None);
        match plot {
            Plot::Begun if is_enter => {
                *self.plot() = Plot::Held(txn);
                Err(Fault::Doubt(Error::new(ErrorKind::Unavailable, "no answer")))
            }
            Plot::Held(enter) if !writes => {
                *self.plot() = Plot::Done;
                let seen = self.model.txn(txn, by).await;
                self.model.txn(enter, by).await?;
                seen
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

    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Duration> {
        self.model.grant(lease, ttl, by)
    }

    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Vec<u8>>> {
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
}

struct Beats {
    beats: Box<dyn KeepAlive>,
    clock: Arc<OnceLock<Arc<OwnClock>>>,
}

impl KeepAlive for Beats {
    fn beat(&mut self, by: Instant) -> Pending<'_, Option<i64>> {
        Box::pin(async move {
            let answer = self.beats.beat(by).await;
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

/// An enter is done just when its sender has seen that it was not; and then that one gives up.
pub(super) async fn an_enter_comes_right_after_the_look() {
    let (store, peer) = arranged(1);
    Lock::new(peer.context(), "warm".into()).await.unwrap().unlock().await.unwrap();
    *store.plot() = Plot::Begun;
    let error = Lock::new(peer.context(), "a".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    sleep(Duration::from_secs(10)).await;
    let left = store.range(Range::all("/a/"), Instant::now()).await.unwrap().kvs;
    assert!(left.is_empty(), "{left:?}");
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
