//! The queue of one lock as a running watch shows it, for all who wait for the lock or watch it.
//!
//! One watch a name, opened *without* a start revision: etcd serves a watch from a past revision only once every 100 ms
//! until it has caught up, which is why locks built on Go's `concurrency` change hands at 10 Hz. The watch is there
//! first; then the queue is read, and events at or below the revision of that read are skipped. A read once in a while
//! finds out when a watch has gone silent.
//!
//! What it shows may also be told as the present without asking etcd ([`View::cached`]): while the watch runs, and as long
//! as a read has confirmed it of late.

mod state;

use self::state::State;
use crate::clock::Clock;
use crate::feed::Feed;
use crate::info::Info;
use crate::pauses::Pauses;
use crate::store::{Event, Fault, KeyRange, Range, RangeReply, Store, Watch};
use crate::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// For how long what a read has confirmed may be told as the present, from the sending of that read on. It leaves the next
/// one, after [`REREAD`], as long as it may take.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Who hears of changes of holder.
pub(crate) type Holders = Feed<Result<Arc<Info>>>;

/// The queue of one lock, kept up to date.
#[derive(Debug)]
pub(crate) struct View {
    name: String,
    prefix: String,
    /// It goes on while the machine sleeps: what was good before is not good after.
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Whether it is up to date: read, with the watch running. True, too, once the view has ended.
    live: watch::Sender<bool>,
    /// Rings when it is to end at once.
    pub(crate) unwanted: Notify,
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
        let attending = &mut self.view.state().attending;
        // Not that of a later place with the same key.
        if attending.get(self.key.as_bytes()).is_some_and(|news| Arc::ptr_eq(news, &self.news)) {
            attending.remove(self.key.as_bytes());
        }
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
    pub(crate) fn new(name: &str, prefix: &str, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(View {
            name: name.into(),
            prefix: prefix.into(),
            clock,
            state: Mutex::new(State::new(prefix)),
            live: watch::Sender::new(false),
            unwanted: Notify::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.state().is_watched()
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
        self.state().rank(key.as_bytes(), created)
    }

    /// Who holds the lock, as far as known.
    pub(crate) fn holder(&self) -> Option<Info> {
        let mut state = self.state();
        (state.revision > 0).then(|| Info::clone(&state.holder(&self.name)))
    }

    /// Who holds the lock, if that may be told as the present.
    pub(crate) fn cached(&self) -> Option<Arc<Info>> {
        let now = self.clock.now();
        let mut state = self.state();
        state.good_until.is_some_and(|until| now < until).then(|| state.holder(&self.name))
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
        state.add_watcher(&holders);
        Ok(holders)
    }

    /// Follows the queue until that is refused for good.
    pub(crate) async fn follow(&self, store: &dyn Store) -> Error {
        let mut from = None;
        let mut pauses = Pauses::new();
        loop {
            let fault = self.follow_once(store, from).await;
            debug!(name = self.name, ?fault, "the watch broke");
            self.state().good_until = None;
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
            fault = self.read_again(store, from.is_some()) => fault,
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

    /// Reads the queue: at once to know from where the watch goes on, or whether one that was resumed has come to the
    /// present, then once in a while. Ends when the watch turns out to be silent.
    async fn read_again(&self, store: &dyn Store, resumed: bool) -> Fault {
        let mut catching_up = resumed;
        loop {
            let first = !self.state().read;
            sleep(if first || catching_up { Duration::ZERO } else { REREAD }).await;
            let asked = self.clock.now();
            let reply = match store.range(Range::all(&*self.prefix), Instant::now() + OPEN).await {
                Ok(reply) => reply,
                Err(Fault::Refused(error)) => return Fault::Refused(error),
                Err(_) => continue,
            };
            if first {
                self.adopt_first(reply, asked);
            } else if !self.confirmed_by(&reply, asked) {
                sleep(EVENTS_UNDER_WAY).await;
                // What one that was resumed has yet to tell may be much, and is not to be passed over.
                if !self.confirmed_by(&reply, asked) && !catching_up && self.adopt(reply) {
                    return Fault::NotDone(Error::new(ErrorKind::Unavailable, "the watch was silent"));
                }
            }
            catching_up = false;
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
    fn adopt_first(&self, reply: RangeReply, asked: Duration) {
        let mut state = self.state();
        state.read = true;
        state.good_until = Some(asked + GOOD_FOR);
        state.change(&self.name, |state| state.replace(reply));
        let early = std::mem::take(&mut state.early);
        state.apply(&self.name, &early);
        drop(state);
        self.live.send_replace(true);
    }

    /// Whether what is known is what was `asked` for at that time, or newer. If it is the same, then whatever came and
    /// went before the revision of the read, of which no event told, has gone.
    fn confirmed_by(&self, reply: &RangeReply, asked: Duration) -> bool {
        let mut state = self.state();
        if state.differs_from(reply) {
            return false;
        }
        state.good_until = Some(asked + GOOD_FOR);
        state.come_to(reply.revision);
        true
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
        self.state().end(error);
        self.live.send_replace(true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::KeyValue;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct OwnClock(AtomicU64);

    impl Clock for OwnClock {
        fn now(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    fn kv(key: &str, created: i64) -> KeyValue {
        KeyValue { key: key.into(), value: "v".into(), created, modified: created, lease: 1 }
    }

    fn read(revision: i64, kvs: &[KeyValue]) -> RangeReply {
        RangeReply { revision, kvs: kvs.to_vec(), count: kvs.len() as i64 }
    }

    /// What is told from memory: the token, how many wait, the revision.
    fn told(view: &View) -> Option<(i64, u32, i64)> {
        view.cached().map(|info| (info.token, info.waiters, info.revision))
    }

    #[test]
    fn what_is_told_from_memory_is_made_once_for_each_change() {
        let view = View::new("x", "x/", Arc::new(OwnClock::default()));
        assert_eq!(told(&view), None, "nothing was read");
        view.adopt_first(read(5, &[]), Duration::ZERO);
        assert_eq!(told(&view), Some((0, 0, 5)));
        view.apply(vec![Event::Put(kv("x/a", 6)), Event::Put(kv("x/b", 7))]);
        assert_eq!(told(&view), Some((6, 1, 7)));
        assert!(Arc::ptr_eq(&view.cached().unwrap(), &view.cached().unwrap()));
        view.apply(vec![Event::Delete { key: "x/a".into(), revision: 9 }]);
        assert_eq!(told(&view), Some((7, 0, 9)));
        // Nothing has changed since, and what is known is known to be so later, too.
        assert!(view.confirmed_by(&read(20, &[kv("x/b", 7)]), Duration::ZERO));
        assert_eq!(told(&view), Some((7, 0, 20)));
        view.end(None);
        assert_eq!(told(&view), None);
    }

    #[test]
    fn what_no_read_confirms_is_told_no_longer_than_it_is_good_for() {
        let clock = Arc::new(OwnClock::default());
        let view = View::new("x", "x/", clock.clone());
        let pass = |seconds| clock.0.fetch_add(seconds, Ordering::Relaxed);
        view.adopt_first(read(5, &[]), clock.now());
        pass(GOOD_FOR.as_secs() - 1);
        let asked = clock.now();
        assert!(told(&view).is_some());
        pass(1);
        view.apply(vec![Event::Put(kv("x/a", 6))]);
        assert_eq!(told(&view), None, "an event says nothing of what else has not come");
        // The answer counts from when it was asked for, and what has come since is newer than it.
        assert!(view.confirmed_by(&read(5, &[]), asked));
        assert_eq!(told(&view), Some((6, 0, 6)));
        assert!(!view.confirmed_by(&read(7, &[]), clock.now()), "of that no event has told");
        pass(GOOD_FOR.as_secs() - 1);
        assert_eq!(told(&view), None);
    }
}
