//! The way between a client and a store: slow, lossy, and sometimes late by seconds.

use super::keys::LossyKeys;
use super::weather::Weather;
use crate::store::*;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long an attempt is waited for, as the real one does at most in its first round.
const PATIENCE: Duration = Duration::from_secs(1);

/// What becomes of a request.
enum Fate {
    Answered,
    /// Never arrives.
    Lost,
    /// Is done, and the answer is lost.
    Unanswered,
    /// Arrives when nobody waits for it any more.
    Late(Duration),
    /// Refused by a member that has no leader.
    NotTaken,
    /// Refused for good, as without permission or space.
    Refused,
}

/// One client's connection.
pub(super) struct Connection {
    pub(super) store: Arc<dyn Store>,
    pub(super) weather: Arc<Weather>,
    /// Whether this client can reach the store at all.
    pub(super) cut: AtomicBool,
    /// Whether what it writes waits until this is over, as on a disk that has stalled: beats and reads are answered meanwhile.
    pub(super) stalled: AtomicBool,
}

impl Connection {
    pub(super) fn new(store: Arc<dyn Store>, weather: Arc<Weather>) -> Arc<Self> {
        Arc::new(Connection { store, weather, cut: AtomicBool::new(false), stalled: AtomicBool::new(false) })
    }

    /// Done when the disk writes again, whether anybody waits for it still or not.
    async fn written<T: Send + 'static>(
        self: Arc<Self>,
        request: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        if !self.stalled.load(Ordering::Relaxed) {
            return request.await;
        }
        let written = tokio::spawn(async move {
            while self.stalled.load(Ordering::Relaxed) {
                sleep(self.weather.latency()).await;
            }
            request.await
        });
        written.await.expect("it is not aborted")
    }

    fn fate(&self) -> Fate {
        if self.cut.load(Ordering::Relaxed) {
            return Fate::Lost;
        }
        if !self.weather.chance(8) {
            return Fate::Answered;
        }
        match self.weather.number(0..40) {
            0..10 => Fate::Lost,
            10..20 => Fate::Unanswered,
            20..30 => Fate::Late(self.weather.millis(0..15_000)),
            30..39 => Fate::NotTaken,
            _ => Fate::Refused,
        }
    }

    /// One attempt. `Err(true)`: in doubt.
    async fn attempt<T>(&self, request: impl Future<Output = Result<T, Fault>> + Send + 'static) -> Attempted<T>
    where
        T: Send + 'static,
    {
        sleep(self.weather.latency()).await;
        match self.fate() {
            Fate::NotTaken => return Err(false),
            Fate::Refused => return Ok(Err(Fault::Refused(Error::new(ErrorKind::Denied, "the network refuses")))),
            Fate::Answered => {
                let result = request.await;
                sleep(self.weather.latency()).await;
                return Ok(result);
            }
            Fate::Unanswered => _ = request.await,
            Fate::Late(by) => {
                tokio::spawn(async move {
                    sleep(by).await;
                    let _ = request.await;
                });
            }
            Fate::Lost => (),
        }
        sleep(PATIENCE).await;
        Err(true)
    }

    /// As the real store: what is harmless to repeat is repeated. Says, too, whether there was a doubt.
    pub(super) async fn call<T, F>(
        &self,
        repeat: bool,
        by: Instant,
        request: impl Fn(Arc<dyn Store>) -> F,
    ) -> Result<(T, bool), Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let mut doubted = false;
        loop {
            // An attempt that `by` ends has been sent or not; nobody knows.
            match timeout_at(by, self.attempt(request(self.store.clone()))).await {
                Ok(Ok(Err(Fault::Doubt(_)))) => doubted = true,
                Ok(Ok(Err(Fault::NotDone(_)))) => (),
                Ok(Ok(result)) => return result.map(|value| (value, doubted)),
                Ok(Err(doubt)) => doubted |= doubt,
                Err(_) => doubted = true,
            }
            if Instant::now() + Duration::from_millis(20) >= by || doubted && !repeat {
                return Err(if doubted { Fault::Doubt(unavailable()) } else { Fault::NotDone(unavailable()) });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

type Attempted<T> = Result<Result<T, Fault>, bool>;

/// When the store behind has to answer: it is not the one that is late.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(super) fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "the network does not answer")
}

impl Store for Arc<Connection> {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        let (repeat, writes, connection) = (txn.may_be_repeated(), txn.could_write(), self.clone());
        let request = move |store: Arc<dyn Store>| {
            let (txn, connection) = (txn.clone(), connection.clone());
            async move {
                let request = async move { store.txn(txn, soon()).await };
                if writes { connection.written(request).await } else { request.await }
            }
        };
        Box::pin(async move { Ok(self.call(repeat, by, request).await?.0) })
    }

    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply> {
        let request = move |store: Arc<dyn Store>| {
            let range = range.clone();
            async move { store.range(range, soon()).await }
        };
        Box::pin(async move { Ok(self.call(true, by, request).await?.0) })
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        let connection = self.clone();
        let request = move |store: Arc<dyn Store>| {
            let (key, connection) = (key.clone(), connection.clone());
            async move { connection.written(async move { store.delete(key, soon()).await }).await }
        };
        Box::pin(async move {
            Ok(match self.call(true, by, request).await? {
                (_, true) => Deleted::Unclear,
                (deleted, _) => deleted,
            })
        })
    }

    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Grant> {
        let request = move |store: Arc<dyn Store>| async move { store.grant(lease, ttl, soon()).await };
        Box::pin(async move {
            let (grant, doubted) = self.call(true, by, request).await?;
            Ok(Grant { doubted: grant.doubted || doubted, ..grant })
        })
    }

    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Bytes>> {
        let request = move |store: Arc<dyn Store>| async move { store.lease_keys(lease, soon()).await };
        Box::pin(async move { Ok(self.call(true, by, request).await?.0) })
    }

    fn revoke(&self, lease: i64, by: Instant) -> Pending<'_, ()> {
        let request = move |store: Arc<dyn Store>| async move { store.revoke(lease, soon()).await };
        Box::pin(async move { self.call(true, by, request).await.map(|((), _)| ()) })
    }

    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive> {
        Box::new(Beats { connection: self.clone(), lease })
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        Box::pin(async move {
            let request = move |store: Arc<dyn Store>| {
                let keys = keys.clone();
                async move { store.watch(keys, from, soon()).await }
            };
            let (watch, _) = self.call(true, by, request).await?;
            let silent_after = self.weather.chance(10).then(|| self.weather.number(0..5));
            Ok(Box::new(LossyWatch { connection: self.clone(), watch, silent_after, due: None }) as Box<dyn Watch>)
        })
    }

    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch> {
        Box::new(LossyKeys::new(self.clone(), limit))
    }
}

struct Beats {
    connection: Arc<Connection>,
    lease: i64,
}

impl KeepAlive for Beats {
    fn beat<'a>(&'a mut self, by: Instant, _tell: &'a (dyn Fn(Error) + Sync)) -> Pending<'a, Option<i64>> {
        // A stream for each: one that broke off tells nothing of the next.
        let mut beats = self.connection.store.keep_alive(self.lease);
        let request = async move { beats.beat(soon(), &|_| ()).await };
        Box::pin(async move {
            match timeout_at(by, self.connection.attempt(request)).await {
                Ok(Ok(result)) => result,
                _ => Err(Fault::Doubt(unavailable())),
            }
        })
    }
}

struct LossyWatch {
    connection: Arc<Connection>,
    watch: Box<dyn Watch>,
    /// After so many messages nothing comes any more, and nobody says so.
    silent_after: Option<u64>,
    /// What is under way, and when it arrives.
    due: Option<(Instant, Vec<Event>)>,
}

impl Watch for LossyWatch {
    fn begun(&self) -> i64 {
        self.watch.begun()
    }

    fn next(&mut self) -> Pending<'_, Vec<Event>> {
        Box::pin(async {
            if self.due.is_none() {
                let events = self.watch.next().await?;
                self.due = Some((Instant::now() + self.connection.weather.latency(), events));
            }
            sleep_until(self.due.as_ref().expect("just set").0).await;
            let (_, events) = self.due.take().expect("just set");
            let is_silent = self.silent_after.as_mut().is_some_and(|left| {
                let silent = *left == 0;
                *left = left.saturating_sub(1);
                silent
            });
            if is_silent || self.connection.cut.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            match self.connection.weather.chance(30) {
                true => Err(Fault::NotDone(unavailable())),
                false => Ok(events),
            }
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}
