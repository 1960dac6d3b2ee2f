//! A model of etcd of which a scene says, call by call, what becomes of what it is asked.

use super::model::Model;
use crate::store::*;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What is asked.
pub(super) enum Call<'a> {
    Txn(&'a Txn),
    Delete,
    Range(&'a Range),
    Watch(&'a KeyRange),
}

/// What becomes of it.
pub(super) enum Fate {
    Passed,
    /// It never arrives, and nobody knows.
    Lost,
    /// It is done, and the answer is lost.
    Unanswered,
    /// It is done, and said to be refused, as etcd says to the first for whom it has no space.
    Refused,
    /// It is done, and the answer comes at this instant.
    AnsweredAt(Instant),
    /// No answer comes, and it is done at this instant.
    DoneAt(Instant),
    /// A read shows what was at this revision.
    AsOf(i64),
    /// A watch shows nothing of keys with this in them.
    Without(String),
}

type Rule = Box<dyn FnMut(Call<'_>) -> Fate + Send>;

#[derive(Clone)]
pub(super) struct Staged {
    pub(super) model: Model,
    rule: Arc<Mutex<Rule>>,
}

impl Call<'_> {
    /// Whether somebody enters the queue of `name`.
    pub(super) fn enters(&self, name: &str) -> bool {
        let Call::Txn(txn) = self else { return false };
        let start = format!("/{name}/");
        !txn.when.is_empty() && txn.then.iter().any(|op| matches!(op, Op::Put { key, .. } if key.starts_with(&start)))
    }

    /// Whether places are left.
    pub(super) fn leaves(&self) -> bool {
        matches!(self, Call::Txn(txn) if txn.then.iter().any(|op| matches!(op, Op::Delete(_))))
    }

    /// Whether a key of the queue of `name` is taken from its lease.
    pub(super) fn takes_the_lease(&self, name: &str) -> bool {
        let Call::Txn(txn) = self else { return false };
        let start = format!("/{name}/");
        txn.then.iter().any(|op| matches!(op, Op::Put { key, lease: 0, .. } if key.starts_with(&start)))
    }

    /// Whether an epoch is written.
    pub(super) fn is_epoch(&self) -> bool {
        matches!(self, Call::Txn(txn) if txn.when.is_empty() && txn.then.iter().any(|op| matches!(op, Op::Put { .. })))
    }
}

impl Staged {
    pub(super) fn new(model: &Model) -> Self {
        let rule: Rule = Box::new(|_| Fate::Passed);
        Staged { model: model.clone(), rule: Arc::new(Mutex::new(rule)) }
    }

    /// What becomes of all calls from now on.
    pub(super) fn set(&self, rule: impl FnMut(Call<'_>) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    fn fate(&self, call: Call<'_>) -> Fate {
        (self.rule.lock().unwrap())(call)
    }
}

async fn done<T: Send + 'static>(fate: Fate, ask: impl FnOnce() -> Pending<'static, T>) -> Result<T, Fault> {
    let silence = || Err(Fault::Doubt(Error::new(ErrorKind::Unavailable, "no answer")));
    match fate {
        Fate::Lost => silence(),
        Fate::Unanswered => ask().await.and_then(|_| silence()),
        Fate::Refused => {
            let refused = Error::new(ErrorKind::Unavailable, "database space exceeded");
            ask().await.and(Err(Fault::Refused(refused)))
        }
        Fate::AnsweredAt(instant) => {
            let answer = ask().await;
            sleep_until(instant).await;
            answer
        }
        Fate::DoneAt(instant) => {
            let late = ask();
            tokio::spawn(async move {
                sleep_until(instant).await;
                late.await.map(|_| ())
            });
            silence()
        }
        Fate::Passed | Fate::AsOf(_) | Fate::Without(_) => ask().await,
    }
}

impl Store for Staged {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        let fate = self.fate(Call::Txn(&txn));
        if let (Fate::AsOf(revision), Some(reads)) = (&fate, txn.only_reads()) {
            let reply = self.model.step(|etcd| etcd.reads(&reads, *revision));
            return Box::pin(std::future::ready(Ok(reply)));
        }
        let model = self.model.clone();
        Box::pin(done(fate, move || Box::pin(async move { model.txn(txn, by).await })))
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        let fate = self.fate(Call::Delete);
        let model = self.model.clone();
        Box::pin(done(fate, move || Box::pin(async move { model.delete(key, by).await })))
    }

    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply> {
        match self.fate(Call::Range(&range)) {
            Fate::AsOf(revision) => Box::pin(async move { Ok(self.model.step(|etcd| etcd.range(&range, revision))) }),
            fate => {
                let model = self.model.clone();
                Box::pin(done(fate, move || Box::pin(async move { model.range(range, by).await })))
            }
        }
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        let fate = self.fate(Call::Watch(&keys));
        Box::pin(async move {
            let watch = self.model.watch(keys, from, by).await?;
            Ok(match fate {
                Fate::Without(part_of_key) => Box::new(Partial { watch, without: part_of_key }),
                _ => watch,
            })
        })
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
        self.model.keep_alive(lease)
    }

    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch> {
        self.model.watch_keys(limit)
    }
}

struct Partial {
    watch: Box<dyn Watch>,
    without: String,
}

impl Watch for Partial {
    fn begun(&self) -> i64 {
        self.watch.begun()
    }

    fn next(&mut self) -> Pending<'_, Vec<Event>> {
        Box::pin(async {
            let mut events = self.watch.next().await?;
            events.retain(|event| !String::from_utf8_lossy(event.key()).contains(&self.without));
            Ok(events)
        })
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Staged")
    }
}
