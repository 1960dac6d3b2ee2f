//! The queue of one lock as a running watch shows it, for all who wait for the lock or watch it.
//!
//! One watch a name, opened *without* a start revision: etcd serves a watch from a past revision only once every 100 ms
//! until it has caught up, which is why locks built on Go's `concurrency` change hands at 10 Hz. The watch is there
//! first; then the queue is read, and events at or below the revision of that read are skipped. A read once in a while
//! finds out when a watch has gone silent.

use crate::feed::Feed;
use crate::info::Info;
use crate::pauses::Pauses;
use crate::store::{Event, Fault, KeyRange, KeyValue, Range, RangeReply, Store, Watch};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

/// How often the queue is read anew while the watch runs: a watch through a member that was cut off can be silent.
const REREAD: Duration = Duration::from_secs(5);
/// How long a read that differs from the view waits for the events that may be under way.
const EVENTS_UNDER_WAY: Duration = Duration::from_millis(250);
/// How long one try to open a watch may take before it is said that it failed.
const OPEN: Duration = Duration::from_secs(5);

/// Who hears of changes of holder.
pub(crate) type Holders = Feed<Result<Info>>;

/// The queue of one lock, kept up to date.
#[derive(Debug)]
pub(crate) struct View {
    name: String,
    prefix: String,
    state: Mutex<State>,
    /// Whether it is up to date: read, with the watch running. True, too, once the view has ended.
    live: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// The revision of the last read or event; 0: nothing was read yet.
    revision: i64,
    /// Whether it was read since the watch began. Before that, events wait in `early`.
    read: bool,
    /// In the order of the queue.
    queue: BTreeMap<(i64, Vec<u8>), KeyValue>,
    created: HashMap<Vec<u8>, i64>,
    early: Vec<Event>,
    watchers: Vec<Weak<Holders>>,
    /// Those who wait for their turn, by their keys.
    attending: BTreeMap<Vec<u8>, Arc<Notify>>,
    /// Why it has ended.
    ended: Option<Error>,
}

/// A place that is told of its turn, until this is dropped.
pub(crate) struct Attention {
    view: Arc<View>,
    key: String,
    news: Arc<Notify>,
}

impl Attention {
    /// Returns when there was news since the last time.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        self.view.state().attending.remove(self.key.as_bytes());
    }
}

/// Where a place stands in its queue.
#[derive(Debug)]
pub(crate) enum Rank {
    /// The view has not come so far.
    NotSeenYet,
    First,
    Behind,
    /// It is not there any more.
    Gone,
    /// The view has ended.
    Failed(Error),
}

impl View {
    pub(crate) fn new(name: &str, prefix: &str) -> Arc<Self> {
        Arc::new(View {
            name: name.into(),
            prefix: prefix.into(),
            state: Mutex::default(),
            live: watch::Sender::new(false),
        })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.state().watchers.iter().any(|watcher| watcher.strong_count() > 0)
    }

    /// Has a place told when it may have become the first, or has gone: it alone, or each change would wake all who
    /// wait.
    pub(crate) fn attend(self: &Arc<Self>, key: &str) -> Attention {
        let news = Arc::new(Notify::new());
        self.state().attending.insert(key.into(), news.clone());
        Attention { view: self.clone(), key: key.into(), news }
    }

    /// Where the key stands that was created at `created`: it may be there once more, of an earlier or a later use.
    pub(crate) fn rank(&self, key: &str, created: i64) -> Rank {
        let state = self.state();
        match &state.ended {
            Some(error) => return Rank::Failed(error.clone()),
            None if state.revision < created => return Rank::NotSeenYet,
            None => (),
        }
        match state.created.get(key.as_bytes()) {
            Some(seen) if *seen != created => Rank::Gone,
            Some(_) if state.oldest().is_some_and(|kv| kv.key == key.as_bytes()) => Rank::First,
            Some(_) => Rank::Behind,
            None => Rank::Gone,
        }
    }

    /// Who holds the lock, as far as known.
    pub(crate) fn holder(&self) -> Option<Info> {
        let state = self.state();
        (state.revision > 0).then(|| state.holder(&self.name))
    }

    /// Subscribes to the holders: the present one first. Waits until that is known.
    pub(crate) async fn watch(&self, by: Instant) -> Result<Arc<Holders>> {
        let mut live = self.live.subscribe();
        if timeout_at(by, live.wait_for(|live| *live)).await.is_err() {
            return Err(Error::new(ErrorKind::Unavailable, "etcd is unavailable: the watch did not begin in time"));
        }
        let mut state = self.state();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        let holders = Arc::new(Holders::new());
        holders.push(Ok(state.holder(&self.name)));
        state.watchers.retain(|watcher| watcher.strong_count() > 0);
        state.watchers.push(Arc::downgrade(&holders));
        Ok(holders)
    }

    /// Follows the queue until that is refused for good.
    pub(crate) async fn follow(&self, store: &dyn Store) -> Error {
        let mut from = None;
        let mut pauses = Pauses::new();
        loop {
            let fault = self.follow_once(store, from).await;
            debug!(name = self.name, ?fault, "the watch broke");
            self.live.send_replace(false);
            from = match fault {
                // Some releases of etcd refuse a watch with a token that is no longer good in the words of one that
                // has no permission. A read tells.
                Fault::Refused(_) => match store.range(Range::oldest(&*self.prefix), Instant::now() + OPEN).await {
                    Err(Fault::Refused(error)) => return error,
                    _ => self.resume_from(),
                },
                Fault::Compacted => None,
                _ => self.resume_from(),
            };
            pauses.pause().await;
        }
    }

    /// Follows the queue until the watch breaks.
    async fn follow_once(&self, store: &dyn Store, from: Option<i64>) -> Fault {
        let keys = KeyRange::Prefix(self.prefix.clone());
        let mut watch = match store.watch(keys, from, Instant::now() + OPEN).await {
            Ok(watch) => watch,
            Err(fault) => return fault,
        };
        self.state().begin(from.is_some());
        self.live.send_replace(from.is_some());
        tokio::select! { biased;
            fault = self.take_events(&mut *watch) => fault,
            fault = self.read_again(store) => fault,
        }
    }

    async fn take_events(&self, watch: &mut dyn Watch) -> Fault {
        loop {
            match watch.next().await {
                Ok(events) => self.apply(events),
                Err(fault) => return fault,
            }
        }
    }

    /// Reads the queue: at once when it has to be known from where the watch goes on, then once in a while. Ends when
    /// the watch turns out to be silent.
    async fn read_again(&self, store: &dyn Store) -> Fault {
        loop {
            let first = !self.state().read;
            sleep(if first { Duration::ZERO } else { REREAD }).await;
            let reply = match store.range(Range::all(&*self.prefix), Instant::now() + OPEN).await {
                Ok(reply) => reply,
                Err(Fault::Refused(error)) => return Fault::Refused(error),
                Err(_) => continue,
            };
            if first {
                self.adopt_first(reply);
            } else if self.confirmed_by(&reply) {
                continue;
            } else if self.state().differs_from(&reply) {
                sleep(EVENTS_UNDER_WAY).await;
                if self.adopt(reply) {
                    return Fault::NotDone(Error::new(ErrorKind::Unavailable, "the watch was silent"));
                }
            }
        }
    }

    /// Applies events in order; those of one revision are one change.
    fn apply(&self, events: Vec<Event>) {
        let mut state = self.state();
        match state.read {
            true => state.apply(&self.name, &events),
            false => state.early.extend(events),
        }
    }

    /// Begins with what was read. It is no older than the watch: [`History`](crate::history::History) sees to that.
    fn adopt_first(&self, reply: RangeReply) {
        let mut state = self.state();
        state.read = true;
        state.change(&self.name, |state| state.replace(reply));
        let early = std::mem::take(&mut state.early);
        state.apply(&self.name, &early);
        drop(state);
        self.live.send_replace(true);
    }

    /// Whether what was read is what is known. Whatever came and went before the revision of the read, of which no event
    /// told, has then gone.
    fn confirmed_by(&self, reply: &RangeReply) -> bool {
        let mut state = self.state();
        let confirmed = state.is_as_in(reply);
        if confirmed && reply.revision > state.revision {
            state.revision = reply.revision;
            state.attending.values().for_each(|place| place.notify_one());
        }
        confirmed
    }

    /// Takes over what was read, unless events have overtaken it. Says whether it did.
    fn adopt(&self, reply: RangeReply) -> bool {
        let mut state = self.state();
        let differs = state.differs_from(&reply);
        if differs {
            state.change(&self.name, |state| state.replace(reply));
        }
        differs
    }

    fn resume_from(&self) -> Option<i64> {
        let revision = self.state().revision;
        (revision > 0).then_some(revision + 1)
    }

    /// Tells everybody that it is over; `error` says why, unless the client was disconnected.
    pub(crate) fn end(&self, error: Option<Error>) {
        let mut state = self.state();
        for holders in state.watchers.drain(..).filter_map(|watcher| watcher.upgrade()) {
            if let Some(error) = &error {
                holders.push(Err(error.clone()));
            }
            holders.close();
        }
        state.ended = Some(error.unwrap_or_else(|| Error::new(ErrorKind::Cancelled, "the client is disconnected")));
        state.attending.values().for_each(|place| place.notify_one());
        drop(state);
        self.live.send_replace(true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn oldest(&self) -> Option<&KeyValue> {
        self.queue.first_key_value().map(|(_, kv)| kv)
    }

    fn holder(&self, name: &str) -> Info {
        Info::of_queue(name, self.oldest(), self.queue.len() as i64)
    }

    /// A watch has begun: from where the last one broke off, or now.
    fn begin(&mut self, resumed: bool) {
        self.read = resumed;
        self.early.clear();
    }

    /// Makes a change, and tells those whom it concerns: the place that comes to be the first, and the watchers if the
    /// holder has changed or what it says.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        let head = |state: &Self| state.oldest().map(|kv| (kv.created, kv.modified));
        let before = head(self);
        change(self);
        if let Some(place) = self.oldest().and_then(|kv| self.attending.get(&kv.key)) {
            place.notify_one();
        }
        if head(self) == before {
            return;
        }
        let holder = self.holder(name);
        self.watchers.retain(|watcher| match watcher.upgrade() {
            Some(holders) => {
                holders.push(Ok(holder.clone()));
                true
            }
            None => false,
        });
    }

    fn apply(&mut self, name: &str, events: &[Event]) {
        for events in events.chunk_by(|a, b| a.revision() == b.revision()) {
            let revision = events[0].revision();
            if revision > self.revision {
                self.revision = revision;
                self.change(name, |state| events.iter().for_each(|event| state.apply_one(event)));
            }
        }
    }

    fn apply_one(&mut self, event: &Event) {
        match event {
            Event::Put(kv) => self.insert(kv.clone()),
            Event::Delete { key, .. } => self.apply_delete(key),
        }
    }

    fn insert(&mut self, kv: KeyValue) {
        self.remove(&kv.key);
        self.created.insert(kv.key.clone(), kv.created);
        self.queue.insert((kv.created, kv.key.clone()), kv);
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(created) = self.created.remove(key) {
            self.queue.remove(&(created, key.to_vec()));
        }
    }

    fn apply_delete(&mut self, key: &[u8]) {
        self.remove(key);
        if let Some(place) = self.attending.get(key) {
            place.notify_one();
        }
    }

    fn replace(&mut self, reply: RangeReply) {
        self.queue.clear();
        self.created.clear();
        self.revision = reply.revision;
        reply.kvs.into_iter().for_each(|kv| self.insert(kv));
        // Rare, and any of them may have gone.
        self.attending.values().for_each(|place| place.notify_one());
    }

    /// Whether the read tells something that this state has not, or not yet.
    fn differs_from(&self, reply: &RangeReply) -> bool {
        reply.revision > self.revision && !self.is_as_in(reply)
    }

    fn is_as_in(&self, reply: &RangeReply) -> bool {
        reply.kvs.len() == self.queue.len()
            && reply.kvs.iter().zip(self.queue.values()).all(|(a, b)| a.key == b.key && a.modified == b.modified)
    }
}
