//! Single scenes, in calm weather.

use super::etcd::Etcd;
use super::model::Model;
use super::peer::Peer;
use super::weather::Weather;
use crate::lock::Lock;
use crate::queue::Queue;
use crate::{ErrorKind, Guard, Loss, Watcher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

pub(super) fn calm(seed: u64) -> (Arc<Weather>, Model, Peer) {
    let weather = Arc::new(Weather::new(seed, 1));
    weather.calm_down();
    let model = Model::new(weather.clone());
    let peer = Peer::new(Arc::new(model.clone()), &weather);
    (weather, model, peer)
}

/// The machine sleeps for an hour, and there is no network when it wakes: its clock has gone on, its timers have not.
pub(super) async fn sleep_of_the_machine() {
    let (_, _, peer) = calm(1);
    let guard = Lock::new(peer.context(), "a".into()).await.unwrap();
    peer.connection.cut.store(true, Ordering::Relaxed);
    peer.clock.jump(Duration::from_secs(3600));
    let woken = Instant::now();
    assert!(!guard.held());
    let why = guard.lost().await;
    assert_eq!((why.kind(), why.loss()), (ErrorKind::Lost, Some(Loss::Expired)));
    assert!(woken.elapsed() <= Duration::from_secs(1), "told only after {:?}", woken.elapsed());
}

/// Who has lost a lock by its own clock is told so when it unlocks, whatever came first; and what is left of the hold in
/// etcd keeps it out only until then.
pub(super) async fn a_hold_that_is_over_goes_when_it_is_given_up() {
    let (_, model, peer) = calm(1);
    let lock = || Lock::new(peer.context(), "a".into());
    let guard = lock().await.unwrap();
    let key = guard.key();
    peer.clock.jump(guard.remaining());
    sleep(Duration::from_secs(1)).await;
    assert!(model.step(|etcd| etcd.key(&key)).is_some(), "it may still have something to stop");
    assert_eq!(guard.unlock().await.unwrap_err().loss(), Some(Loss::Expired));
    let guard = lock().timeout(Duration::from_secs(1)).await.unwrap();
    peer.clock.jump(guard.remaining());
    assert_eq!(guard.unlock().await.unwrap_err().loss(), Some(Loss::Expired));
    let last = lock().timeout(Duration::from_secs(1)).await.unwrap();
    last.unlock().await.unwrap();
}

/// An etcd is wiped, or put back to a backup, under a client that holds, waits and watches.
pub(super) async fn history_goes_back(seed: u64) {
    let (weather, model, peer) = calm(seed);
    let lock = |name: &str| Lock::new(peer.context(), name.into());
    let before = lock("a").await.unwrap();
    let backup = match weather.number(0..3) {
        0 => Etcd::default(),
        _ => model.step(|etcd| etcd.backup()),
    };
    let after = lock("b").await.unwrap();
    // Of another client: it has a place of its own.
    let other = Peer::new(Arc::new(model.clone()), &weather);
    let waiting = Lock::new(other.context(), "b".into()).start().unwrap();
    let queue = Queue::new(peer.context(), "b", None).unwrap();
    let holders = queue.view().watch(peer.context().by()).await.unwrap();
    let mut watcher = Watcher::new("b".into(), holders);
    assert_eq!(watcher.next().await.unwrap().unwrap().token, after.token());
    sleep(weather.millis(0..3000)).await;

    model.step(|etcd| *etcd = backup);
    let begun = Instant::now();
    for guard in [&before, &after] {
        let why = timeout(Duration::from_secs(20), guard.lost()).await.unwrap();
        assert_eq!(why.kind(), ErrorKind::Lost, "{why}");
        assert_ne!(why.loss(), Some(Loss::Expired), "{why}");
    }
    // The beats, a third of the TTL apart, tell of it, if nothing did before.
    assert!(begun.elapsed() < Duration::from_secs(5), "told only after {:?}", begun.elapsed());
    assert_eq!(timeout(Duration::from_secs(20), waiting.wait(None)).await.unwrap().unwrap_err().kind(), CANCELLED);
    assert_eq!(last(&mut watcher).await, Some(CANCELLED));
    for _ in 0..3 {
        assert_eq!(lock("c").await.unwrap_err().kind(), CANCELLED);
    }
    drop(peer.reconnect());
    for name in ["a", "b"] {
        let guard: Guard =
            timeout(Duration::from_secs(20), Lock::new(peer.context(), name.into())).await.unwrap().unwrap();
        guard.unlock().await.unwrap();
    }
}

const CANCELLED: ErrorKind = ErrorKind::Cancelled;

/// The error with which a watcher ends.
async fn last(watcher: &mut Watcher) -> Option<ErrorKind> {
    let mut last = None;
    while let Some(item) = timeout(Duration::from_secs(20), watcher.next()).await.unwrap() {
        last = item.err().map(|error| error.kind());
    }
    last
}
