//! Requests and answers that get lost: whatever became of them, nobody holds a lock that he does not know of.
#![allow(missing_docs)]

use locker::{Client, ErrorKind};
use locker_harness::{Etcd, Mood, PATIENCE, Proxy, eventually};
use std::time::Duration;
use tokio::time::timeout;

async fn client(proxy: &Proxy) -> Client {
    Client::connect(proxy.endpoint()).timeout(Duration::from_secs(2)).await.unwrap()
}

/// The keys that hold or wait for `name`.
fn keys(etcd: &Etcd, name: &str) -> Vec<String> {
    etcd.keys(&format!("/locker/{name}/"))
}

#[tokio::test]
async fn an_enter_whose_answer_is_lost_is_found_again() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    let client = client(&proxy).await;
    client.lock("warm").await.unwrap().unlock().await.unwrap();

    proxy.set(Mood::LOSE_ANSWERS);
    let guard = client.lock("x").start().unwrap();
    eventually("etcd has applied it", async || keys(&etcd, "x").len() == 1).await;
    proxy.set(Mood::NORMAL);
    timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
    assert_eq!(keys(&etcd, "x"), [guard.key()]);
    guard.unlock().await.unwrap();
    assert_eq!(keys(&etcd, "x"), [""; 0]);
}

#[tokio::test]
async fn an_enter_that_was_given_up_in_doubt_leaves_no_ghost() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    let client = client(&proxy).await;
    let kept = client.lock("kept").await.unwrap();

    for mood in [Mood::LOSE_ANSWERS, Mood::HOLD_REQUESTS] {
        proxy.set(mood);
        let error = timeout(PATIENCE, client.lock("x")).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let dropped = client.lock("y").start().unwrap();
        let _ = timeout(Duration::from_millis(500), dropped.wait(None)).await;
        drop(dropped);
        proxy.set(Mood::NORMAL);
        // Late or not, nothing of either stays, though the lease lives on.
        for name in ["x", "y"] {
            let guard = timeout(PATIENCE, client.lock(name)).await.unwrap().unwrap();
            guard.unlock().await.unwrap();
            eventually("no ghost", async || keys(&etcd, name).is_empty()).await;
        }
        assert!(kept.held());
    }
}

#[tokio::test]
async fn a_release_whose_answer_is_lost_is_over_here_and_finished_behind() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    let (client, other) = (client(&proxy).await, Client::connect(etcd.endpoint()).await.unwrap());

    // The delete is applied, its answer lost.
    let guard = client.lock("x").await.unwrap();
    proxy.set(Mood::LOSE_ANSWERS);
    let error = guard.unlock().await.unwrap_err();
    assert_eq!((error.kind(), guard.held()), (ErrorKind::Unavailable, false));
    let heir = timeout(PATIENCE, other.lock("x")).await.unwrap().unwrap();
    proxy.set(Mood::NORMAL);
    // Our delete is tried again, and must not free the lock of the next holder.
    let behind = timeout(PATIENCE, client.lock("y")).await.unwrap().unwrap();
    assert!(heir.held() && behind.held());
    assert_eq!(keys(&etcd, "x"), [heir.key()]);
    heir.unlock().await.unwrap();

    // The delete does not even reach etcd in time.
    let guard = client.lock("x").await.unwrap();
    proxy.set(Mood::HOLD_REQUESTS);
    assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!guard.held());
    proxy.set(Mood::NORMAL);
    timeout(PATIENCE, other.lock("x")).await.unwrap().unwrap().unlock().await.unwrap();
}

#[tokio::test]
async fn connections_that_are_cut_all_the_time_cost_no_lock() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    let (client, other) = (client(&proxy).await, Client::connect(etcd.endpoint()).await.unwrap());
    let kept = client.lock("kept").await.unwrap();
    let cutting = async {
        loop {
            tokio::time::sleep(Duration::from_millis(70)).await;
            proxy.set(Mood::DOWN);
            tokio::task::yield_now().await;
            proxy.set(Mood::NORMAL);
        }
    };
    let locking = async {
        for _ in 0..100 {
            let guard = client.lock("x").await.unwrap();
            let theirs = other.lock("x").start().unwrap();
            guard.unlock().await.unwrap();
            timeout(PATIENCE, theirs.wait(None)).await.unwrap().unwrap();
            theirs.unlock().await.unwrap();
        }
    };
    tokio::select! {
        () = locking => (),
        () = cutting => (),
    }
    assert!(kept.held());
    eventually("no ghost", async || keys(&etcd, "x").is_empty()).await;
}

#[tokio::test]
async fn an_etcd_far_away_holds_even_the_shortest_leases() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    proxy.set(Mood::late(Duration::from_millis(185)));
    let client = Client::connect(proxy.endpoint()).ttl(Duration::from_secs(2)).await.unwrap();
    let guard = client.lock("x").await.unwrap();
    let lost = timeout(Duration::from_secs(6), guard.lost()).await;
    assert!(lost.is_err(), "{lost:?}");
    guard.unlock().await.unwrap();
}

/// What takes longer than an attempt may take is listened to, not begun anew: an enter, an epoch, a beat.
#[tokio::test]
async fn an_etcd_that_answers_after_seconds_is_slow_and_no_more() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    let (ttl, patience) = (Duration::from_secs(10), Duration::from_secs(60));
    let client = Client::connect(proxy.endpoint()).ttl(ttl).timeout(patience).await.unwrap();
    // That much each way.
    proxy.set(Mood::late(Duration::from_millis(1250)));
    let guard = timeout(patience, client.lock("x")).await.expect("in the end").unwrap();
    let lost = timeout(Duration::from_secs(20), guard.lost()).await;
    assert!(lost.is_err(), "lost: {lost:?}");
    assert!(guard.held());
    guard.unlock().await.unwrap();
    proxy.set(Mood::NORMAL);
    assert_eq!(etcd.keys("/locker/x/"), [""; 0]);
}
