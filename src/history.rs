//! Whether etcd's history goes on, or has gone back: wiped, or restored from a backup, under a running client.
//!
//! Nothing in etcd's answers says so. A store that was wiped and started with the same flags has the same cluster and
//! member ids, and one that was restored from a snapshot may even have the lease of a lock that it knows nothing of.
//! What goes back is the revision. So the highest one that was seen is remembered here, between the core and the
//! store, for all that a client asks:
//!
//! - A read that should be up to date and is older than what was seen is not handed on, whatever the reason.
//! - That, or a beat from a member that is behind, only raises a suspicion: members lag, and etcd before 3.4.42, 3.5.28
//!   and 3.6.9 can give a stale answer while its leader changes. What decides is the answer to a transaction that could
//!   write: it has gone through etcd's log, after everything that had been acknowledged when it was sent.

use crate::store::*;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// The pause before a question is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// A store whose answers are checked against the highest revision that it was seen to have.
#[derive(Clone, Debug)]
pub(crate) struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    /// A key that never exists, for the question that decides.
    probe: String,
    seen: AtomicI64,
    /// Whether somebody asks behind.
    suspecting: AtomicBool,
    /// Why it does not go on, once that is known.
    broken: watch::Sender<Option<Error>>,
}

impl History {
    pub(crate) fn new(store: Arc<dyn Store>, probe: String) -> Self {
        let (seen, suspecting, broken) = (AtomicI64::new(0), AtomicBool::new(false), watch::Sender::new(None));
        History(Arc::new(Inner { store, probe, seen, suspecting, broken }))
    }

    /// Returns when it is certain that the history has gone back, with the words for it.
    pub(crate) async fn broken(&self) -> Error {
        let mut broken = self.0.broken.subscribe();
        let why = broken.wait_for(Option::is_some).await.expect("the sender lives in self");
        why.clone().expect("waited for")
    }

    /// The highest revision that was seen, before something is asked.
    fn seen(&self) -> i64 {
        self.0.seen.load(Ordering::Acquire)
    }

    fn see(&self, revision: i64) {
        self.0.seen.fetch_max(revision, Ordering::AcqRel);
    }

    /// Checks the answer to a transaction that could write, asked when `seen` had been seen.
    fn decide(&self, seen: i64, reply: &TxnReply, wrote: bool) -> Result<(), Fault> {
        self.see(reply.revision);
        match reply.revision < seen || wrote && reply.revision == seen {
            true => Err(Fault::Refused(self.went_back(seen, reply.revision))),
            false => Ok(()),
        }
    }

    /// Asks until the answer is as new as what had been seen before.
    async fn fresh<'a, T>(
        &'a self,
        by: Instant,
        ask: impl Fn() -> Pending<'a, T>,
        revision_of: fn(&T) -> i64,
    ) -> Result<T, Fault> {
        loop {
            let seen = self.seen();
            let reply = ask().await?;
            let revision = revision_of(&reply);
            self.see(revision);
            if revision >= seen {
                return Ok(reply);
            }
            let refused = self.suspect(by).await? == Suspicion::Refused;
            if Instant::now() + PAUSE >= by {
                // Who may only read cannot ask better than this, again and again.
                if refused {
                    return Err(Fault::Refused(self.went_back(seen, revision)));
                }
                let what = format!("etcd is unavailable: it answers from revision {revision}, and had been at {seen}");
                return Err(Fault::NotDone(Error::new(ErrorKind::Unavailable, what)));
            }
            sleep(PAUSE).await;
        }
    }

    /// Finds out whether the history has gone back; fails if so.
    async fn suspect(&self, by: Instant) -> Result<Suspicion, Fault> {
        let seen = self.seen();
        let never = Txn {
            when: vec![Compare::Modified(self.0.probe.clone(), -1)],
            then: vec![Op::Put { key: self.0.probe.clone(), value: Vec::new(), lease: 0 }],
            repeatable: true,
            ..Txn::default()
        };
        match self.0.store.txn(never, by).await {
            Ok(reply) => self.decide(seen, &reply, false).map(|()| Suspicion::Unfounded),
            Err(Fault::Refused(_)) => Ok(Suspicion::Refused),
            Err(_) => Ok(Suspicion::Open),
        }
    }

    /// The same behind, for who has not the time to wait. One at a time is enough.
    fn suspect_behind(&self, by: Instant) {
        let history = self.clone();
        if !self.0.suspecting.swap(true, Ordering::AcqRel) {
            tokio::spawn(async move {
                let _ = history.suspect(by).await;
                history.0.suspecting.store(false, Ordering::Release);
            });
        }
    }

    fn went_back(&self, seen: i64, revision: i64) -> Error {
        let error = Error::new(
            ErrorKind::Cancelled,
            format!(
                "etcd's history went back from revision {seen} to {revision}: it was wiped, or restored from a backup, or the \
                 endpoints are of different clusters. Connect anew to go on with what is there"
            ),
        );
        self.0.broken.send_if_modified(|broken| broken.is_none().then(|| *broken = Some(error.clone())).is_some());
        error
    }
}

/// What has become of a suspicion that the history has gone back.
#[derive(PartialEq)]
enum Suspicion {
    Unfounded,
    /// There was no answer.
    Open,
    /// We may not ask.
    Refused,
}

impl Store for History {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        Box::pin(async move {
            if txn.is_serializable() {
                let reply = self.0.store.txn(txn, by).await?;
                self.see(reply.revision);
                return Ok(reply);
            }
            if !txn.could_write() {
                return self.fresh(by, || self.0.store.txn(txn.clone(), by), |reply| reply.revision).await;
            }
            let (seen, puts) = (self.seen(), txn.then.iter().any(|op| matches!(op, Op::Put { .. })));
            let reply = self.0.store.txn(txn, by).await?;
            // To delete what is not there is no new revision.
            self.decide(seen, &reply, puts && reply.succeeded || reply.deleted.contains(&true))?;
            Ok(reply)
        })
    }

    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply> {
        Box::pin(async move {
            if !range.serializable {
                return self.fresh(by, || self.0.store.range(range.clone(), by), |reply| reply.revision).await;
            }
            let reply = self.0.store.range(range, by).await?;
            self.see(reply.revision);
            Ok(reply)
        })
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        self.0.store.delete(key, by)
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
        Box::new(Beats { history: self.clone(), beats: self.0.store.keep_alive(lease) })
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        Box::pin(async move {
            let seen = self.seen();
            let watch = self.0.store.watch(keys, from, by).await?;
            self.see(watch.begun());
            // A watch from a revision that is yet to come begins without a word.
            if watch.begun() < seen {
                self.suspect(by).await?;
            }
            Ok(Box::new(Seen { history: self.clone(), watch }) as Box<dyn Watch>)
        })
    }

    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch> {
        Box::new(SeenKeys { history: self.clone(), keys: self.0.store.watch_keys(limit), before: self.seen(), limit })
    }
}

struct Beats {
    history: History,
    beats: Box<dyn KeepAlive>,
}

impl KeepAlive for Beats {
    fn beat<'a>(&'a mut self, by: Instant, tell: &'a (dyn Fn(Error) + Sync)) -> Pending<'a, Option<i64>> {
        Box::pin(async move {
            let seen = self.history.seen();
            let revision = self.beats.beat(by, tell).await?;
            // A member that lags says so, too. The beat counts meanwhile, or an etcd that is slow to write would end the
            // lease that it has just renewed.
            if revision.is_some_and(|revision| revision < seen) {
                self.history.suspect_behind(by);
            }
            Ok(revision)
        })
    }
}

struct Seen {
    history: History,
    watch: Box<dyn Watch>,
}

impl Watch for Seen {
    fn begun(&self) -> i64 {
        self.watch.begun()
    }

    fn next(&mut self) -> Pending<'_, Vec<Event>> {
        Box::pin(async move {
            let events = self.watch.next().await?;
            events.last().inspect(|event| self.history.see(event.revision()));
            Ok(events)
        })
    }
}

struct SeenKeys {
    history: History,
    keys: Box<dyn KeyWatch>,
    /// What had been seen before.
    before: i64,
    /// How long a suspicion may take.
    limit: Duration,
}

impl KeyWatch for SeenKeys {
    fn add(&mut self, key: &str, from: Option<i64>) {
        self.keys.add(key, from);
    }

    fn remove(&mut self, key: &str) {
        self.keys.remove(key);
    }

    fn next(&mut self) -> Pending<'_, KeyNews> {
        Box::pin(async move {
            let news = self.keys.next().await?;
            match &news {
                // Asked behind: nothing may be awaited here once the news are in our hands.
                KeyNews::Watched { begun, .. } if *begun < self.before => {
                    self.history.suspect_behind(Instant::now() + self.limit);
                }
                KeyNews::Watched { begun: revision, .. } | KeyNews::Gone { revision: Some(revision), .. } => {
                    self.history.see(*revision);
                }
                KeyNews::Gone { revision: None, .. } => (),
            }
            Ok(news)
        })
    }
}
