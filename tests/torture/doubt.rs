//! Rows 47 and 48: the answer to a release, an enter or a grant never comes; an acquire is given up half-way.

use crate::measure::{millis, random, side_by_side};
use crate::row::{Figure, Outcome, Trials};
use crate::traffic::Crossing;
use locker::{Client, ErrorKind};
use locker_harness::{Etcd, Mood, PATIENCE, Proxy, eventually};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How many clients, each behind a proxy of its own, go through it at once.
const WIDTH: usize = 16;

/// A client whose lease lasts longer than a test: what is left of it has been left behind.
async fn behind(proxy: &Proxy) -> Client {
    Client::connect(proxy.endpoint()).ttl(Duration::from_secs(600)).timeout(millis(1000)).await.unwrap()
}

/// A release whose answer is lost, or which is held up, while another waits for the lock.
pub(crate) async fn release(trials: Trials) -> Outcome {
    let etcd = Etcd::start();
    let other = Client::connect(etcd.endpoint()).await.unwrap();
    side_by_side(WIDTH, trials.count, async |n| {
        let proxy = Proxy::start(&etcd.endpoint());
        let client = behind(&proxy).await;
        let name = format!("release-{n}");
        let guard = client.lock(&name).await.unwrap();
        let heir = other.lock(&name).start().unwrap();
        eventually("it waits", async || other.get(&name).await.unwrap().waiters == 1).await;
        proxy.set(if n % 2 == 0 { Mood::LOSE_ANSWERS } else { Mood::HOLD_REQUESTS });
        let error = guard.unlock().await.unwrap_err();
        assert_eq!((error.kind(), guard.held()), (ErrorKind::Unavailable, false), "{error}");
        if n % 2 == 0 {
            heir.wait(PATIENCE).await.unwrap();
        }
        proxy.set(Mood::NORMAL);
        heir.wait(PATIENCE).await.unwrap();
        // Whatever was tried again comes before this.
        let after = timeout(PATIENCE, client.lock(format!("after-{n}"))).await.unwrap();
        if let Ok(after) = after {
            after.unlock().await.unwrap();
        }
        client.disconnect().await.unwrap();
        assert!(heir.held());
        assert_eq!(other.get(&name).await.unwrap().token, heir.token());
        heir.unlock().await.unwrap();
    });
    sleep(Duration::from_secs(2)).await;
    assert_eq!((etcd.keys("/locker/"), etcd.leases()), (vec![], 1));
    Ok(Figure("each next holder kept its lock; 0 keys and 0 leases left after 2 s".into()))
}

/// An acquire whose answers are lost, or which is held up, from a random moment on and for a random time. Every other one
/// is given up by its caller. Some want the same lock.
pub(crate) async fn acquire(trials: Trials) -> Outcome {
    const NAMES: usize = 6;
    let etcd = Etcd::start();
    let other = Client::connect(etcd.endpoint()).await.unwrap();
    let crossings = [(); NAMES].map(|()| Crossing::default());
    // What is finished behind needs its way to etcd until the end.
    let _proxies = side_by_side(WIDTH, trials.count, async |n| {
        let proxy = Proxy::start(&etcd.endpoint());
        let client = behind(&proxy).await;
        let (name, crossing) = (format!("acquire-{}", n as usize % NAMES), &crossings[n as usize % NAMES]);
        let harm = async {
            sleep(random(millis(3))).await;
            proxy.set(if fastrand::bool() { Mood::LOSE_ANSWERS } else { Mood::HOLD_REQUESTS });
            sleep(random(millis(2000))).await;
            proxy.set(Mood::NORMAL);
        };
        let limit = if n % 2 == 0 { PATIENCE } else { random(millis(2000)) };
        let ask = async {
            let guard = match timeout(limit, client.lock(&name)).await {
                Ok(Ok(guard)) => guard,
                Ok(Err(error)) => return assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
                Err(_) => return,
            };
            crossing.enter(&guard);
            assert_eq!(other.get(&name).await.unwrap().token, guard.token());
            crossing.leave();
            let _ = guard.unlock().await;
        };
        tokio::join!(ask, harm);
        // Whoever comes now must not wait for a ghost.
        let next = timeout(PATIENCE, other.lock(&name)).await.unwrap().unwrap();
        crossing.enter(&next);
        crossing.leave();
        next.unlock().await.unwrap();
        let _ = client.disconnect().await;
        proxy
    });
    sleep(Duration::from_secs(2)).await;
    // That of the one who looks is left.
    assert_eq!((etcd.keys("/locker/"), etcd.leases()), (vec![], 1));
    Ok(Figure("0 double holds, 0 ghosts; 0 keys and 0 leases left after 2 s".into()))
}
