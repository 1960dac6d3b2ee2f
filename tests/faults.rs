//! A single etcd that stops, restarts or goes away for good. A cluster that loses members: see tests/torture.
#![allow(missing_docs)]

use locker::{Client, ErrorKind, State};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::time::{Duration, Instant};
use tokio::time::timeout;

async fn client(etcd: &Etcd, ttl: u64) -> Client {
    Client::connect(etcd.endpoint()).ttl(Duration::from_secs(ttl)).await.unwrap()
}

#[tokio::test]
async fn a_restart_of_etcd_costs_no_lock_no_place_and_no_event() {
    let mut etcd = Etcd::start();
    let (one, other) = (client(&etcd, 10).await, client(&etcd, 10).await);
    let held = one.lock("x").await.unwrap();
    let mut watcher = other.watch("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, held.token());
    let waiting = other.lock("x").start().unwrap();
    eventually("it waits", async || one.get("x").await.unwrap().waiters == 1).await;

    etcd.kill();
    etcd.restart();

    assert_eq!((held.state().held(), waiting.state()), (true, State::Waiting));
    held.unlock().await.unwrap();
    timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
    let info = timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(info.token, waiting.token());
    waiting.unlock().await.unwrap();
    assert_eq!(timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap().token, 0);
}

#[tokio::test]
async fn etcd_gone_for_good_is_risk_and_then_loss_before_the_lease_can_end() {
    let mut etcd = Etcd::start();
    let client = client(&etcd, 3).await;
    let guard = client.lock("x").await.unwrap();
    assert_eq!(guard.changed().await.unwrap().state, State::Held);
    let begun = Instant::now();
    etcd.kill();
    let change = timeout(PATIENCE, guard.changed()).await.unwrap().unwrap();
    assert_eq!((change.state, change.token > 0), (State::AtRisk, true));
    assert_eq!(change.error.unwrap().kind(), ErrorKind::Unavailable);
    let change = timeout(PATIENCE, guard.changed()).await.unwrap().unwrap();
    assert_eq!((change.state, change.error.unwrap().kind()), (State::Ended, ErrorKind::Lost));
    // The last beat was sent before the kill, so its 3 s had begun before it.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!((guard.held(), guard.remaining()), (false, Duration::ZERO));
    assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
}

#[tokio::test]
async fn an_etcd_that_hangs_is_ridden_out() {
    let etcd = Etcd::start();
    let client = client(&etcd, 10).await;
    let held = client.lock("x").await.unwrap();
    etcd.stop();
    // In doubt: sent, and no answer. Once etcd goes on it may be applied, and must not become a ghost.
    let given_up = client.lock("y").timeout(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(given_up.kind(), ErrorKind::Unavailable);
    let waited_for = client.lock("z").start().unwrap();
    tokio::task::yield_now().await;
    etcd.go_on();
    timeout(PATIENCE, waited_for.wait(None)).await.unwrap().unwrap();
    assert!(held.held());
    waited_for.unlock().await.unwrap();
    held.unlock().await.unwrap();
    eventually("no ghost is left", async || etcd.keys("/locker/").is_empty()).await;
    assert!(timeout(PATIENCE, client.try_lock("y")).await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_waiter_whose_lease_died_enters_again_at_the_tail_and_says_so() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd, 10).await, client(&etcd, 10).await);
    let held = one.lock("x").await.unwrap();
    let waiting = other.lock("x").start().unwrap();
    eventually("it waits", async || etcd.keys("/locker/x/").len() == 2).await;
    let place = etcd.keys("/locker/x/").into_iter().find(|key| *key != held.key()).unwrap();
    let lease = place.trim_start_matches("/locker/x/").split('-').next().unwrap();
    etcd.ctl(&["lease", "revoke", lease]);
    let change = timeout(PATIENCE, waiting.changed()).await.unwrap().unwrap();
    assert_eq!((change.state, change.error.unwrap().kind()), (State::Waiting, ErrorKind::Lost));
    held.unlock().await.unwrap();
    timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_waited_while_etcd_was_silent_hears_of_that_and_not_of_a_holder() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd, 10).await, client(&etcd, 2).await);
    let _held = one.lock("x").await.unwrap();
    let waiting = other.lock("x").timeout(Duration::from_secs(3)).start().unwrap();
    eventually("it waits", async || etcd.keys("/locker/x/").len() == 2).await;
    etcd.stop();
    let error = timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    etcd.go_on();
}
