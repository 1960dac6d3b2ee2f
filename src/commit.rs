//! Gathers the requests of one client that enter and leave queues at the same time into one.
//!
//! What a transaction costs etcd is mostly the same for one that holds sixty others as for a single one. So while some are
//! under way, those that come meanwhile wait for the next and travel in it together, each with its own conditions. Who
//! comes when nothing is under way does not wait: a lone caller pays nothing.
//!
//! etcd looks at all conditions of a request before it does any of it. So a request never has two parts for one queue:
//! both would find it empty.

mod part;

use self::part::{Done, Part, What, is_about_several, shared_condition};
use crate::store::*;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How many requests are under way at once, at most. While one carries several, another goes beside it only where those who
/// wait fill it, or where the first takes long: then it is not what a request costs that they wait for.
const LANES: usize = 2;
/// What takes longer than this is worth another request beside it.
const LONG: Duration = Duration::from_millis(2);
/// Before a request is sent, those whom the last one has answered have so many turns to come back: their next steps then
/// travel in it too.
const TURNS: usize = 4;

/// A store that gathers.
#[derive(Clone, Debug)]
pub(crate) struct Commit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    runtime: Handle,
    /// How many parts a request has at most.
    parts: usize,
    traffic: Mutex<Traffic>,
}

#[derive(Debug, Default)]
struct Traffic {
    under_way: usize,
    /// How many of those carry several parts.
    shared: usize,
    waiting: VecDeque<Part>,
}

impl Commit {
    /// Must be called within the runtime on which it will live.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let (runtime, parts) = (Handle::current(), store.most_inside());
        Commit(Arc::new(Inner { store, runtime, parts, traffic: Mutex::default() }))
    }

    async fn send(&self, what: What, by: Instant) -> Result<Done, Fault> {
        let (id, done) = match self.0.enqueue(what, by) {
            Ok(waiting) => waiting,
            Err(what) => {
                let _lane = Lane { inner: self.0.clone(), is_used: true, is_shared: false };
                return what.send_alone(&*self.0.store, by).await;
            }
        };
        let mut done = pin!(done);
        let told = match timeout_at(by.min(Instant::now() + LONG), &mut done).await {
            Ok(told) => Ok(told),
            Err(_) => {
                self.0.send_beside();
                timeout_at(by, done).await
            }
        };
        match told {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Fault::Doubt(Error::new(ErrorKind::Cancelled, "the runtime of the client is gone"))),
            Err(_) if self.0.withdraw(id) => Err(Fault::NotDone(too_slow())),
            Err(_) => Err(Fault::Doubt(too_slow())),
        }
    }
}

fn too_slow() -> Error {
    Error::new(ErrorKind::Unavailable, "etcd is unavailable: too many calls wait for its answers")
}

impl Inner {
    /// Gives it back if it need not wait: then a lane is its own.
    fn enqueue(
        self: &Arc<Self>,
        what: What,
        by: Instant,
    ) -> Result<(u64, oneshot::Receiver<Result<Done, Fault>>), What> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut traffic = self.traffic();
        // Not one after the other as long as there are few: callers in step with each other may get in each other's way for
        // ever, as those of std::lock in C++ do.
        let opens_a_lane = traffic.under_way < LANES && (traffic.shared == 0 || traffic.waiting.len() >= self.parts);
        traffic.under_way += usize::from(opens_a_lane);
        if opens_a_lane && traffic.waiting.is_empty() {
            return Err(what);
        }
        let (id, (tell, done)) = (NEXT.fetch_add(1, Ordering::Relaxed), oneshot::channel());
        traffic.waiting.push_back(Part { id, what, by, tell });
        drop(traffic);
        if opens_a_lane {
            self.send_next();
        }
        Ok((id, done))
    }

    /// Has those who wait travel in a lane that is theirs.
    fn send_next(self: &Arc<Self>) {
        let lane = Lane { inner: self.clone(), is_used: false, is_shared: false };
        self.runtime.spawn(lane.go());
    }

    /// The same beside a request that takes long, if there is room.
    fn send_beside(self: &Arc<Self>) {
        let mut traffic = self.traffic();
        if traffic.under_way < LANES && !traffic.waiting.is_empty() {
            traffic.under_way += 1;
            drop(traffic);
            self.send_next();
        }
    }

    /// Waits until nobody comes any more of those who come at once.
    async fn gather(&self) {
        let (mut waiting, mut turns) = (0, 0);
        while turns < TURNS {
            tokio::task::yield_now().await;
            let now = self.traffic().waiting.len();
            turns = if now == waiting || now > self.parts { turns + 1 } else { 0 };
            waiting = now;
        }
    }

    /// Whether it was still waiting.
    fn withdraw(&self, id: u64) -> bool {
        let mut traffic = self.traffic();
        let place = traffic.waiting.iter().position(|part| part.id == id);
        place.and_then(|place| traffic.waiting.remove(place)).is_some()
    }

    async fn send_parts(self: &Arc<Self>, mut parts: Vec<Part>) {
        if parts.len() == 1
            && let Some(part) = parts.pop()
        {
            let done = part.what.send_alone(&*self.store, part.by).await;
            let _ = part.tell.send(done);
        } else if let Err((parts, fault)) = self.send_together(parts).await {
            self.send_apart(parts, fault);
        }
    }

    /// If not all of it was done: why, unless it was a condition.
    async fn send_together(&self, parts: Vec<Part>) -> Result<(), (Vec<Part>, Option<Fault>)> {
        let by = parts.iter().map(|part| part.by).max().expect("there are some");
        let when = shared_condition(&parts);
        let then = parts.iter().map(|part| part.what.to_op(when.as_ref())).collect();
        match self.store.txn(Txn { when: when.into_iter().collect(), then, ..Txn::default() }, by).await {
            Ok(reply) if !reply.succeeded => Err((parts, None)),
            Ok(reply) => {
                let (mut entered, mut deleted) = (reply.txns.into_iter(), reply.deleted.into_iter());
                for part in parts {
                    let done = match part.what {
                        What::Enter(_) => Done::Entered(entered.next().expect("one for each")),
                        What::Leave(_) => Done::Left(match deleted.next().expect("one for each") {
                            true => Deleted::Now,
                            false => Deleted::Absent,
                        }),
                    };
                    let _ = part.tell.send(Ok(done));
                }
                Ok(())
            }
            Err(fault) => Err((parts, Some(fault))),
        }
    }

    /// What becomes of the parts of a request that was not done, or maybe not.
    fn send_apart(self: &Arc<Self>, parts: Vec<Part>, fault: Option<Fault>) {
        for part in parts {
            match (&fault, &part.what) {
                (Some(fault @ Fault::NotDone(_)), _) | (Some(fault @ Fault::Doubt(_)), What::Enter(_)) => {
                    let _ = part.tell.send(Err(fault.clone()));
                }
                // To delete once more is harmless; and for one bad part etcd refuses all.
                _ => {
                    let (store, doubted) = (self.store.clone(), fault.as_ref().is_some_and(Fault::may_be_done));
                    self.runtime.spawn(async move {
                        let done = part.what.send_alone(&*store, part.by).await;
                        let _ = part.tell.send(done.map(|done| if doubted { done.doubted() } else { done }));
                    });
                }
            }
        }
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traffic {
    /// Those who travel together next, so many at `most`: the first of each queue.
    fn board(&mut self, most: usize) -> Vec<Part> {
        let (mut queues, mut aboard, mut left) = (HashSet::new(), Vec::new(), VecDeque::new());
        for part in self.waiting.drain(..).filter(|part| !part.tell.is_closed()) {
            match aboard.len() < most && queues.insert(part.what.queue().to_string()) {
                true => aboard.push(part),
                false => left.push_back(part),
            }
        }
        self.waiting = left;
        aboard
    }
}

/// Room for one request. When it is free, those who wait use it.
struct Lane {
    inner: Arc<Inner>,
    /// Whether its request was sent; if not, the runtime has ended.
    is_used: bool,
    /// Whether that carries several parts.
    is_shared: bool,
}

impl Lane {
    /// Sends those who wait; where there are several, those who come after it, too.
    async fn go(mut self) {
        loop {
            self.inner.gather().await;
            let parts = self.board();
            if !parts.is_empty() {
                self.inner.send_parts(parts).await;
            }
            if !self.is_shared {
                return;
            }
        }
    }

    fn board(&mut self) -> Vec<Part> {
        let mut traffic = self.inner.traffic();
        let parts = traffic.board(self.inner.parts);
        traffic.shared -= usize::from(self.is_shared);
        self.is_shared = parts.len() > 1;
        traffic.shared += usize::from(self.is_shared);
        self.is_used = true;
        parts
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut traffic = self.inner.traffic();
        traffic.shared -= usize::from(self.is_shared);
        if self.is_used && !traffic.waiting.is_empty() {
            drop(traffic);
            self.inner.send_next();
        } else {
            traffic.under_way -= 1;
        }
    }
}

impl Store for Commit {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        // What is about several queues goes alone: of each there is one part at most.
        if txn.may_be_repeated() || is_about_several(&txn) {
            return self.0.store.txn(txn, by);
        }
        Box::pin(async move {
            match self.send(What::Enter(txn), by).await? {
                Done::Entered(reply) => Ok(reply),
                Done::Left(_) => unreachable!("it was no leave"),
            }
        })
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        Box::pin(async move {
            match self.send(What::Leave(key), by).await? {
                Done::Left(deleted) => Ok(deleted),
                Done::Entered(_) => unreachable!("it was no enter"),
            }
        })
    }

    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply> {
        self.0.store.range(range, by)
    }

    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Grant> {
        self.0.store.grant(lease, ttl, by)
    }

    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Bytes>> {
        self.0.store.lease_keys(lease, by)
    }

    fn revoke(&self, lease: i64, by: Instant) -> Pending<'_, ()> {
        self.0.store.revoke(lease, by)
    }

    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive> {
        self.0.store.keep_alive(lease)
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        self.0.store.watch(keys, from, by)
    }

    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch> {
        self.0.store.watch_keys(limit)
    }
}
