//! The way between a client and the model of etcd: slow, lossy, and sometimes late by seconds.

use super::etcd::{Etcd, Events};
use crate::clock::Clock;
use crate::store::{
    self, Deleted, Event, Fault, KeepAlive, KeyRange, Pending, RangeReply, Store, Txn, TxnReply, Watch,
};
use crate::{Error, ErrorKind};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long an attempt is waited for, as the real one does at most in its first round.
const PATIENCE: Duration = Duration::from_secs(1);

/// All that the clients of one run share.
pub(super) struct World {
    etcd: Mutex<Etcd>,
    dice: Mutex<fastrand::Rng>,
    /// Whether faults happen.
    pub(super) stormy: AtomicBool,
    /// Looks at everything after each step of the model.
    pub(super) inspect: Mutex<Option<Inspector>>,
}

type Inspector = Box<dyn FnMut(&Etcd) + Send>;

impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(World {
            etcd: Mutex::default(),
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            stormy: AtomicBool::new(true),
            inspect: Mutex::new(None),
        })
    }

    /// One step of the model, and a look at what it has led to.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut Etcd) -> T) -> T {
        let mut etcd = self.etcd.lock().unwrap();
        etcd.expire();
        self.look(&etcd);
        let result = step(&mut etcd);
        self.look(&etcd);
        result
    }

    fn look(&self, etcd: &Etcd) {
        if let Some(inspect) = &mut *self.inspect.lock().unwrap() {
            inspect(etcd);
        }
    }

    pub(super) fn number(&self, range: Range<u64>) -> u64 {
        self.dice.lock().unwrap().u64(range)
    }

    pub(super) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }

    pub(super) fn pick<T: Clone>(&self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.number(0..of.len() as u64) as usize].clone())
    }

    /// True once in so many times, in stormy weather.
    pub(super) fn chance(&self, once_in: u64) -> bool {
        self.stormy.load(Ordering::Relaxed) && self.number(0..once_in) == 0
    }

    fn latency(&self) -> Duration {
        let slow = self.chance(20);
        Duration::from_micros(self.number(if slow { 10_000..400_000 } else { 100..3000 }))
    }
}

/// A clock that runs at its own rate, and that jumps when its process was stopped.
#[derive(Debug)]
pub(super) struct OwnClock {
    begun: Instant,
    rate: f64,
    jumped: AtomicU64,
}

impl OwnClock {
    pub(super) fn new(rate: f64) -> Arc<Self> {
        Arc::new(OwnClock { begun: Instant::now(), rate, jumped: AtomicU64::new(0) })
    }

    pub(super) fn jump(&self, by: Duration) {
        self.jumped.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for OwnClock {
    fn now(&self) -> Duration {
        let jumped = Duration::from_nanos(self.jumped.load(Ordering::Relaxed));
        Duration::from_secs(1000) + self.begun.elapsed().mul_f64(self.rate) + jumped
    }
}

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
    world: Arc<World>,
    /// Whether this client can reach etcd at all.
    pub(super) cut: AtomicBool,
}

impl Connection {
    pub(super) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Connection { world, cut: AtomicBool::new(false) })
    }

    fn fate(&self) -> Fate {
        if self.cut.load(Ordering::Relaxed) {
            return Fate::Lost;
        }
        if !self.world.chance(8) {
            return Fate::Answered;
        }
        match self.world.number(0..40) {
            0..10 => Fate::Lost,
            10..20 => Fate::Unanswered,
            20..30 => Fate::Late(self.world.millis(0..15_000)),
            30..39 => Fate::NotTaken,
            _ => Fate::Refused,
        }
    }

    /// One attempt. `Err(true)`: in doubt.
    async fn attempt<T, S>(&self, step: S) -> Result<Result<T, Fault>, bool>
    where
        T: Send + 'static,
        S: FnOnce(&mut Etcd) -> Result<T, Fault> + Send + 'static,
    {
        sleep(self.world.latency()).await;
        match self.fate() {
            Fate::NotTaken => return Err(false),
            Fate::Refused => return Ok(Err(Fault::Refused(Error::new(ErrorKind::Denied, "the model refuses")))),
            Fate::Answered => {
                let result = self.world.step(step);
                sleep(self.world.latency()).await;
                return Ok(result);
            }
            Fate::Unanswered => drop(self.world.step(step)),
            Fate::Late(by) => {
                let world = self.world.clone();
                tokio::spawn(async move {
                    sleep(by).await;
                    let _ = world.step(step);
                });
            }
            Fate::Lost => (),
        }
        sleep(PATIENCE).await;
        Err(true)
    }

    /// As the real store: what is harmless to repeat is repeated. Says, too, whether there was a doubt.
    async fn call<T, S>(&self, repeat: bool, by: Instant, step: S) -> Result<(T, bool), Fault>
    where
        T: Send + 'static,
        S: FnOnce(&mut Etcd) -> Result<T, Fault> + Clone + Send + 'static,
    {
        let mut doubted = false;
        loop {
            // An attempt that `by` ends has been sent or not; nobody knows.
            match timeout_at(by, self.attempt(step.clone())).await {
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

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "the model does not answer")
}

impl Store for Arc<Connection> {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        Box::pin(async move { Ok(self.call(false, by, move |etcd| etcd.txn(&txn)).await?.0) })
    }

    fn range(&self, range: store::Range, by: Instant) -> Pending<'_, RangeReply> {
        // A member that is behind answers what it knows.
        let behind = if range.serializable && self.world.chance(3) { self.world.number(0..5) as i64 } else { 0 };
        let read = move |etcd: &mut Etcd| Ok(etcd.range(&range, (etcd.revision - behind).max(0)));
        Box::pin(async move { Ok(self.call(true, by, read).await?.0) })
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        Box::pin(async move {
            Ok(match self.call(true, by, move |etcd| Ok(etcd.delete(&key))).await? {
                (true, _) => Deleted::Now,
                (false, false) => Deleted::Absent,
                (false, true) => Deleted::Unclear,
            })
        })
    }

    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Duration> {
        Box::pin(async move { Ok(self.call(true, by, move |etcd| Ok(etcd.grant(lease, ttl))).await?.0) })
    }

    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Vec<u8>>> {
        Box::pin(async move { Ok(self.call(true, by, move |etcd| etcd.lease_keys(lease)).await?.0) })
    }

    fn revoke(&self, lease: i64, by: Instant) -> Pending<'_, ()> {
        Box::pin(async move {
            match self.call(true, by, move |etcd| etcd.revoke(lease)).await {
                Ok(_) | Err(Fault::LeaseGone) => Ok(()),
                Err(fault) => Err(fault),
            }
        })
    }

    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive> {
        Box::new(Beats { connection: self.clone(), lease })
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        Box::pin(async move {
            let open = move |etcd: &mut Etcd| Ok((etcd.revision, etcd.watch(keys, from)?));
            let ((begun, events), _) = self.call(true, by, open).await?;
            let silent_after = self.world.chance(10).then(|| self.world.number(0..5));
            Ok(Box::new(ModelWatch { connection: self.clone(), begun, events, silent_after, due: None })
                as Box<dyn Watch>)
        })
    }
}

struct Beats {
    connection: Arc<Connection>,
    lease: i64,
}

impl KeepAlive for Beats {
    fn beat(&mut self, by: Instant) -> Pending<'_, Option<i64>> {
        let lease = self.lease;
        Box::pin(async move {
            match timeout_at(by, self.connection.attempt(move |etcd| Ok((etcd.keep_alive(lease)?, etcd.revision))))
                .await
            {
                Ok(Ok(result)) => result.map(|((), revision)| Some(revision)),
                _ => Err(Fault::Doubt(unavailable())),
            }
        })
    }
}

struct ModelWatch {
    connection: Arc<Connection>,
    begun: i64,
    events: Events,
    /// After so many messages nothing comes any more, and nobody says so.
    silent_after: Option<u64>,
    /// What is under way, and when it arrives.
    due: Option<(Instant, Vec<Event>)>,
}

impl Watch for ModelWatch {
    fn begun(&self) -> i64 {
        self.begun
    }

    fn next(&mut self) -> Pending<'_, Vec<Event>> {
        Box::pin(async {
            if self.due.is_none() {
                // Over when another etcd, from a backup, has taken the place of this one.
                let Some(events) = self.events.recv().await else { return Err(Fault::NotDone(unavailable())) };
                self.due = Some((Instant::now() + self.connection.world.latency(), events));
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
            match self.connection.world.chance(30) {
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
