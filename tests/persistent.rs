//! Locks without a lease, against a real etcd: they outlive their process.
#![allow(missing_docs)]

use locker::{Client, ErrorKind, Guard, Loss, State};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::time::Duration;
use tokio::time::timeout;

async fn client(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).ttl(Duration::from_secs(2)).await.expect("etcd answers")
}

async fn held(guard: &Guard) {
    timeout(PATIENCE, guard.wait(None)).await.expect("its turn comes").unwrap();
}

/// The ids of the leases of all keys that start so, as etcdctl tells them.
fn leases(etcd: &Etcd, prefix: &str) -> Vec<i64> {
    let json = etcd.ctl(&["get", "--prefix", prefix, "-w", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let kvs = json["kvs"].as_array().cloned().unwrap_or_default();
    kvs.iter().map(|kv| kv["lease"].as_i64().unwrap_or(0)).collect()
}

#[tokio::test]
async fn it_outlives_its_guard_and_its_client() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let guard = one.lock("x").persistent().value("v").await.unwrap();
    let (token, key) = (guard.token(), guard.key());
    assert_eq!((guard.state(), guard.remaining()), (State::Held, Duration::MAX));
    assert_eq!(leases(&etcd, "/locker/x/"), [0]);
    let next = other.lock("x").start().unwrap();
    drop(guard);
    one.disconnect().await.unwrap();
    drop(one);
    // Longer than its lease would have lasted.
    assert_eq!(next.wait(Duration::from_secs(4)).await.unwrap_err().kind(), ErrorKind::Timeout);
    let info = other.get("x").await.unwrap();
    assert_eq!((info.token, info.value.as_str()), (token, "v"));
    etcd.ctl(&["del", &key]);
    held(&next).await;
}

#[tokio::test]
async fn it_is_ended_by_its_guard() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    for _ in 0..3 {
        let guard = client.lock("x").persistent().await.unwrap();
        let next = client.lock("x").start().unwrap();
        guard.unlock().await.unwrap();
        held(&next).await;
        assert!(next.token() > 0 && guard.state() == State::Ended);
    }
    eventually("nothing is left", async || etcd.keys("/locker/x/").is_empty()).await;
}

#[tokio::test]
async fn its_end_by_others_is_told() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let all = client.lock_all(["a", "b"]).persistent().await.unwrap();
    let permit = client.lock("s").limit(2).persistent().await.unwrap();
    assert_eq!(leases(&etcd, "/locker/a/"), [0]);
    for (guard, key) in [(&all, all.keys().pop().unwrap()), (&permit, permit.key())] {
        etcd.ctl(&["del", &key]);
        let why = timeout(PATIENCE, guard.lost()).await.unwrap();
        assert_eq!((why.kind(), why.loss()), (ErrorKind::Lost, Some(Loss::KeyDeleted)));
        assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
    }
    eventually("all of it is gone", async || etcd.keys("/locker/").is_empty()).await;
}

#[tokio::test]
async fn who_gives_up_before_it_is_held_leaves_nothing() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    for micros in [0, 200, 500, 800, 1200, 2000, 4000] {
        for _ in 0..10 {
            if let Ok(guard) = timeout(Duration::from_micros(micros), one.lock("x").persistent()).await {
                guard.unwrap().unlock().await.unwrap();
            }
        }
    }
    eventually("nothing is left", async || etcd.keys("/locker/x/").is_empty()).await;
    let guard = other.lock("x").await.unwrap();
    let late = one.lock("x").persistent().timeout(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    let started = one.lock("x").persistent().start().unwrap();
    eventually("it waits", async || etcd.keys("/locker/x/").len() == 2).await;
    drop(started);
    eventually("it has left", async || etcd.keys("/locker/x/") == [guard.key()]).await;
}

#[tokio::test]
async fn it_needs_no_etcd_to_stay_held() {
    let mut etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").persistent().await.unwrap();
    etcd.kill();
    assert!(timeout(Duration::from_secs(4), guard.lost()).await.is_err(), "lost with its lease");
    assert!(guard.held());
    etcd.restart();
    assert_eq!(client.get("x").await.unwrap().token, guard.token());
    guard.unlock().await.unwrap();
    assert_eq!(etcd.keys("/locker/x/"), [""; 0]);
}
