//! What is done for a lease while it lives: beats, a look at the clock, and at the keys on it.

use super::{Lease, Status};
use crate::holds::Work;
use crate::key;
use crate::pauses::Pauses;
use crate::store::{Fault, KeyNews, Range, Store};
use crate::{Error, ErrorKind, Loss};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::debug;

/// The pause between two beats of which the first failed.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the clock is looked at: timers stand still while the machine sleeps, and the clock does not.
const GLANCE: Duration = Duration::from_millis(500);
/// How often it is checked that etcd still has all keys that hold locks.
const LIST_KEYS: Duration = Duration::from_secs(5);
/// How many held keys are watched at most. What becomes of the others is known within some seconds, from the list of the
/// lease's keys.
const WATCHED: usize = 1000;

impl Lease {
    /// Keeps it alive until it ends, and tells those who hold by it what becomes of it and of their keys.
    pub(crate) async fn keep(self: Arc<Self>, store: Arc<dyn Store>) {
        let _told_at_the_end = Told(self.clone());
        tokio::select! { biased;
            _ = self.wait_ended() => (),
            () = self.tell_changes() => (),
            () = self.look_at_the_clock() => (),
            () = self.beat(&*store) => (),
            () = self.list_the_keys(&store) => (),
            () = self.watch_the_keys(&store) => (),
        }
    }

    async fn tell_changes(&self) {
        let mut status = self.status();
        // The sender lives in `self`.
        while status.changed().await.is_ok() {
            let now = status.borrow_and_update().clone();
            self.tell(&now);
        }
    }

    fn tell(&self, status: &Status) {
        self.holds.all().iter().for_each(|held| held.lease_is(status));
    }

    /// Sends a beat every third of the TTL; after one that failed, again at once; after some that were refused, less and
    /// less often.
    async fn beat(&self, store: &dyn Store) {
        let mut beats = store.keep_alive(self.id);
        let mut pause = self.grant.ttl / 3;
        let mut refusals = Pauses::new();
        loop {
            sleep(pause).await;
            let sent = self.clock.now();
            let tell = |trouble| *self.trouble() = Some(trouble);
            match beats.beat(Instant::now() + self.remaining(), &tell).await {
                Ok(_) if self.renewed(sent) => pause = self.grant.ttl / 3,
                Ok(_) => return self.end(self.expired()),
                Err(Fault::LeaseGone) => return self.end(Fault::LeaseGone.into_error()),
                Err(fault) => {
                    let refused = matches!(fault, Fault::Refused(_));
                    *self.trouble() = Some(fault.into_error());
                    pause = PAUSE;
                    if refused {
                        refusals.pause().await;
                    }
                }
            }
        }
    }

    /// Tells when it comes to be at risk, and ends it when its time is over.
    async fn look_at_the_clock(&self) {
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return self.end(self.expired());
            }
            if remaining < self.risk() {
                self.tell_risk();
                sleep(remaining.min(GLANCE)).await;
            } else {
                sleep((remaining - self.risk() + Duration::from_millis(1)).min(GLANCE)).await;
            }
        }
    }

    /// Reads the list of its keys once in a while, in one request for all, and has those looked at that should be in it
    /// and are not. It only raises a suspicion: a leader that was deposed and does not know it may give an old one.
    async fn list_the_keys(&self, store: &Arc<dyn Store>) {
        loop {
            sleep(LIST_KEYS).await;
            let Some(mut held) = self.holds.snapshot() else { continue };
            match store.lease_keys(self.id, Instant::now() + LIST_KEYS).await {
                Ok(keys) => {
                    keys.iter().filter_map(|key| key::number(key, self.id)).for_each(|number| held.found(number));
                    held.missing().for_each(|number| self.suspect(number, store));
                }
                // The next beat finds out whether that is so.
                Err(fault) => debug!(lease = self.id, ?fault, "the keys were not listed"),
            }
        }
    }

    /// Watches the keys of those that have been held for a moment, to hear at once when somebody deletes one.
    async fn watch_the_keys(&self, store: &Arc<dyn Store>) {
        let mut pauses = Pauses::new();
        loop {
            let fault = self.follow_the_keys(store).await;
            debug!(lease = self.id, ?fault, "the watch of the keys broke");
            self.holds.watch_anew();
            pauses.pause().await;
        }
    }

    async fn follow_the_keys(&self, store: &Arc<dyn Store>) -> Fault {
        let mut watch = store.watch_keys(LIST_KEYS);
        let mut watched: HashMap<u32, String> = HashMap::new();
        loop {
            tokio::select! { biased;
                news = watch.next() => match news {
                    Ok(KeyNews::Watched { key, .. } | KeyNews::Gone { key, .. }) => {
                        key::number(key.as_bytes(), self.id).into_iter().for_each(|number| self.suspect(number, store));
                    }
                    Err(fault) => return fault,
                },
                work = self.holds.work() => match work {
                    Work::LetGo(number) => _ = watched.remove(&number).map(|key| watch.remove(&key)),
                    Work::Watch(number) if watched.len() < WATCHED => {
                        if let Some((key, _)) = self.holds.get(number).and_then(|held| held.held()) {
                            watch.add(&key, None);
                            watched.insert(number, key);
                        }
                    }
                    Work::Watch(number) => self.holds.do_not_watch(number),
                },
            }
        }
    }

    /// Has somebody look whether the key with that number is still there, and its guard told if it is not.
    fn suspect(&self, number: u32, store: &Arc<dyn Store>) {
        let Some(held) = self.holds.get(number) else { return };
        let store = store.clone();
        tokio::spawn(async move {
            let mut pauses = Pauses::new();
            while let Some((key, created)) = held.held() {
                match store.range(Range::key(&*key), Instant::now() + LIST_KEYS).await {
                    Ok(reply) if reply.kvs.first().is_some_and(|kv| kv.created == created) => return,
                    Ok(_) => return held.lose(deleted(&key)),
                    Err(_) => pauses.pause().await,
                }
            }
        });
    }
}

/// That somebody has deleted a key of ours.
pub(crate) fn deleted(key: &str) -> Error {
    Error::lost(Loss::KeyDeleted, format!("somebody has deleted the key {key}"))
}

/// Tells those who hold by a lease of its end; of that of the runtime, if that was it.
struct Told(Arc<Lease>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.end(Error::new(ErrorKind::Cancelled, "the runtime of the client is gone"));
        let end = self.0.status.borrow().clone();
        self.0.tell(&end);
    }
}
