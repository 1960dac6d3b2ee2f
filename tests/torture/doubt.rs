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

async fn behind(proxy: &Proxy) -> Client {
    Client::connect(proxy.endpoint()).timeout(millis(600)).await.unwrap()
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
    eventually("nothing is left", async || etcd.keys("/locker/").is_empty()).await;
    Ok(Figure("each next holder kept its lock; 0 keys left".into()))
}

/// An acquire whose answers are lost, or which is held up, from a random moment on and for a random time. Every other one
/// is given up by its caller.
pub(crate) async fn acquire(trials: Trials) -> Outcome {
    let etcd = Etcd::start();
    let other = Client::connect(etcd.endpoint()).await.unwrap();
    let held = side_by_side(WIDTH, trials.count, async |n| {
        let proxy = Proxy::start(&etcd.endpoint());
        let client = behind(&proxy).await;
        let (name, crossing) = (format!("acquire-{}", n % 50), Crossing::default());
        let asking = async {
            sleep(random(millis(3))).await;
            proxy.set(if fastrand::bool() { Mood::LOSE_ANSWERS } else { Mood::HOLD_REQUESTS });
            sleep(random(millis(1200))).await;
            proxy.set(Mood::NORMAL);
        };
        let limit = if n % 2 == 0 { PATIENCE } else { random(millis(1200)) };
        let (asked, ()) = tokio::join!(timeout(limit, client.lock(&name)), asking);
        let held = match asked {
            Ok(Ok(guard)) => {
                crossing.enter(&guard);
                assert_eq!(other.get(&name).await.unwrap().token, guard.token());
                crossing.leave();
                guard.unlock().await.unwrap();
                true
            }
            Ok(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                false
            }
            Err(_) => false,
        };
        // Whoever comes now must not wait for a ghost.
        timeout(Duration::from_secs(20), other.lock(&name)).await.unwrap().unwrap().unlock().await.unwrap();
        let _ = client.disconnect().await;
        held
    });
    eventually("no key is left", async || etcd.keys("/locker/").is_empty()).await;
    // That of the one who looks.
    eventually("no lease is left", async || etcd.leases() == 1).await;
    let held = held.into_iter().filter(|held| *held).count();
    Ok(Figure(format!("{held} held in the end; 0 ghosts, 0 keys and 0 leases left")))
}
