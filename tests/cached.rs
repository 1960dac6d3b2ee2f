//! `cached`: what is known from watching or waiting, told without asking etcd. It may be behind, but it does not lie.
#![allow(missing_docs)]

use locker::{Client, ErrorKind, Info, Watcher};
use locker_harness::{Etcd, Mood, PATIENCE, Proxy, eventually};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// For how long it may be told what no read has confirmed.
const GOOD_FOR: Duration = Duration::from_secs(10);

async fn client(endpoint: &str) -> Client {
    Client::connect(endpoint).await.expect("etcd answers")
}

async fn next(watcher: &mut Watcher) -> Arc<Info> {
    timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap()
}

async fn come(client: &Client, token: i64) {
    eventually("it has come", async || client.cached("x").is_some_and(|info| info.token == token)).await;
}

#[tokio::test]
async fn it_is_known_while_somebody_watches_and_not_else() {
    let etcd = Etcd::start();
    let client = client(&etcd.endpoint()).await;
    assert_eq!(client.cached("x"), None);
    let guard = client.lock("x").await.unwrap();
    let read = client.get("x").await.unwrap();
    assert_eq!((read.token, read.revision >= guard.token()), (guard.token(), true));
    assert_eq!(client.cached("x"), None, "neither a holder nor a read makes it known");

    let mut watcher = client.watch("x").await.unwrap();
    let told = next(&mut watcher).await;
    assert_eq!((told.token, told.revision >= read.revision), (guard.token(), true));
    let known = client.cached("x").unwrap();
    assert_eq!((&*known, known.revision), (&*told, told.revision));
    for name in ["y", "", "x/", "x\0"] {
        assert_eq!(client.cached(name), None, "{name:?}");
    }
    drop(watcher);
    assert_eq!(client.cached("x"), Some(known), "it stays known for a while");

    client.disconnect().await.unwrap();
    assert_eq!(client.cached("x"), None);
    assert_eq!(client.get("x").await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn who_waits_knows_it_too() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd.endpoint()).await, client(&etcd.endpoint()).await);
    let held = one.lock("x").value("node-3").await.unwrap();
    let waiting = other.lock("x").start().unwrap();
    eventually("it waits", async || other.cached("x").is_some_and(|info| info.waiters == 1)).await;
    let known = other.cached("x").unwrap();
    assert_eq!((known.token, known.value.as_str()), (held.token(), "node-3"));
    assert_eq!(*known, one.get("x").await.unwrap());
    held.unlock().await.unwrap();
    timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
    come(&other, waiting.token()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_revision_never_goes_back_and_in_the_end_it_is_what_is_read() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd.endpoint()).await, client(&etcd.endpoint()).await);
    let mut watcher = other.watch("x").await.unwrap();
    next(&mut watcher).await;
    let looking = tokio::task::spawn_blocking({
        let other = other.clone();
        move || {
            let (mut last, mut states) = (other.cached("x").unwrap(), 1);
            while last.value != "last" {
                let info = other.cached("x").expect("nothing breaks");
                assert!(info.revision >= last.revision, "{last:?} and then {info:?}");
                // Whoever holds it, holds it since before that.
                assert!(info.revision >= info.token);
                states += usize::from(!Arc::ptr_eq(&info, &last));
                last = info;
            }
            states
        }
    });
    let third = client(&etcd.endpoint()).await;
    for n in 0..30 {
        let guard = one.lock("x").value(n.to_string()).await.unwrap();
        let waiting = third.lock("x").start().unwrap();
        eventually("it waits", async || one.get("x").await.unwrap().waiters == 1).await;
        guard.unlock().await.unwrap();
        timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
        waiting.unlock().await.unwrap();
    }
    let last = one.lock("x").value("last").await.unwrap();
    let states = timeout(PATIENCE, looking).await.unwrap().unwrap();
    assert!(states > 30, "{states} states were seen");
    let read = one.get("x").await.unwrap();
    let known = other.cached("x").unwrap();
    assert_eq!((&*known, known.token), (&read, last.token()));
    assert!(known.revision <= read.revision);
}

#[tokio::test]
async fn a_connection_that_breaks_is_known_at_once_and_what_was_before_is_not_told_after() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    let (one, other) = (client(&etcd.endpoint()).await, client(proxy.endpoint()).await);
    let mut watcher = other.watch("x").await.unwrap();
    next(&mut watcher).await;
    for _ in 0..3 {
        assert_eq!(other.cached("x").unwrap().token, 0);
        proxy.set(Mood::DOWN);
        let broken = Instant::now();
        eventually("it is known", async || other.cached("x").is_none()).await;
        assert!(broken.elapsed() < Duration::from_secs(2), "after {:?}", broken.elapsed());
        let guard = one.lock("x").await.unwrap();
        proxy.set(Mood::NORMAL);
        // No moment in which it says what was before: looked for without a pause.
        let known = loop {
            assert!(broken.elapsed() < PATIENCE);
            match other.cached("x") {
                Some(info) => break info,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(known.token, guard.token());
        guard.unlock().await.unwrap();
        come(&other, 0).await;
    }
}

#[tokio::test]
async fn an_etcd_that_is_silent_is_known_to_be_within_ten_seconds() {
    let etcd = Etcd::start();
    let client = client(&etcd.endpoint()).await;
    let mut watcher = client.watch("x").await.unwrap();
    next(&mut watcher).await;
    etcd.stop();
    let silent = Instant::now();
    assert_eq!(client.cached("x").unwrap().token, 0, "nobody can know it yet");
    eventually("it is known", async || client.cached("x").is_none()).await;
    assert!(silent.elapsed() < GOOD_FOR + Duration::from_secs(1), "after {:?}", silent.elapsed());
    etcd.go_on();
    come(&client, 0).await;
}
