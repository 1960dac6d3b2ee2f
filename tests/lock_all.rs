//! Several locks at once, against a real etcd: all or nothing.
#![allow(missing_docs)]

use locker::{Client, ErrorKind, Guard, Loss, State};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

async fn client(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).await.expect("etcd answers")
}

async fn held(guard: &Guard) {
    timeout(PATIENCE, guard.wait(None)).await.expect("its turn comes").unwrap();
}

#[tokio::test]
async fn all_are_held_with_one_token_and_let_go_together() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock_all(["a", "b", "c/d"]).value("node-3").await.unwrap();
    assert_eq!(guard.names().collect::<Vec<_>>(), ["a", "b", "c/d"]);
    assert_eq!((guard.name(), guard.state()), ("a", State::Held));
    for name in ["a", "b", "c/d"] {
        let info = client.get(name).await.unwrap();
        assert_eq!((info.token, info.value.as_str(), info.waiters), (guard.token(), "node-3", 0), "{name}");
        assert!(client.try_lock(name).await.unwrap().is_none());
    }
    assert!(etcd.keys("/locker/").contains(&guard.key()));
    guard.unlock().await.unwrap();
    assert_eq!(etcd.keys("/locker/"), [""; 0]);
    // With the same keys.
    let again = client.lock_all(["a", "b", "c/d"]).await.unwrap();
    assert_eq!(etcd.keys("/locker/").len(), 3);
    drop(again);
    eventually("all are free", async || etcd.keys("/locker/").is_empty()).await;
}

#[tokio::test]
async fn bad_names_are_told_before_anything_is_asked() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let many: Vec<_> = (0..61).map(|n| n.to_string()).collect();
    for (names, message) in [
        (vec![], "names is empty"),
        (vec!["a".into(), "b".into(), "a".into()], "names has \"a\" twice"),
        (vec!["a".into(), String::new()], "name is empty"),
        (many, "names has too many: 61 of at most 60"),
    ] {
        let error = client.lock_all(names).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, message.into()));
    }
    let sixty: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    let guard = client.lock_all(&sixty).await.unwrap();
    assert_eq!(etcd.keys("/locker/").len(), 60);
    let behind = client.lock_all(sixty.iter().rev()).start().unwrap();
    eventually("the other waits in all queues", async || etcd.keys("/locker/").len() == 120).await;
    guard.unlock().await.unwrap();
    held(&behind).await;
    assert_eq!(behind.names().count(), 60);
}

#[tokio::test]
async fn it_is_held_only_when_it_is_the_first_in_all() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let (a, c) = (one.lock("a").await.unwrap(), other.lock("c").await.unwrap());
    let all = one.lock_all(["a", "b", "c"]).start().unwrap();
    eventually("it waits in all queues", async || etcd.keys("/locker/").len() == 5).await;
    // It stands before those who come later, also where nobody else is.
    let behind = other.lock("b").start().unwrap();
    eventually("another waits behind it", async || etcd.keys("/locker/b/").len() == 2).await;
    a.unlock().await.unwrap();
    let told = all.wait(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((told.kind(), told.holder().unwrap().name.as_str()), (ErrorKind::Timeout, "c"), "{told}");
    assert_eq!(behind.state(), State::Waiting);
    c.unlock().await.unwrap();
    held(&all).await;
    assert_eq!(behind.state(), State::Waiting);
    all.unlock().await.unwrap();
    held(&behind).await;
    assert!(behind.token() > all.token());
}

#[tokio::test]
async fn who_does_not_wait_or_gives_up_leaves_nothing_in_any() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let b = one.lock("b").reason("why not").await.unwrap();
    let busy = other.lock_all(["a", "b"]).timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!((busy.kind(), busy.holder().unwrap().name.as_str()), (ErrorKind::Timeout, "b"), "{busy}");
    assert_eq!(etcd.keys("/locker/"), [b.key()]);
    let late = other.lock_all(["a", "b"]).timeout(Duration::from_millis(100)).await.unwrap_err();
    assert!(late.to_string().starts_with("\"b\" is held by") && late.to_string().ends_with("\"why not\""), "{late}");
    assert_eq!(etcd.keys("/locker/"), [b.key()]);
    let dropped = tokio::spawn(other.lock_all(["a", "b"]).into_future());
    eventually("it waits", async || etcd.keys("/locker/").len() == 3).await;
    dropped.abort();
    eventually("it is gone", async || etcd.keys("/locker/") == [b.key()]).await;
}

#[tokio::test]
async fn with_one_lock_all_are_lost() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let all = one.lock_all(["a", "b", "c"]).await.unwrap();
    let behind = other.lock_all(["c", "a"]).start().unwrap();
    eventually("it waits", async || etcd.keys("/locker/").len() == 5).await;
    // Not the first of them.
    etcd.ctl(&["del", &all.keys()[2]]);
    let why = timeout(PATIENCE, all.lost()).await.unwrap();
    assert_eq!((why.kind(), why.loss()), (ErrorKind::Lost, Some(Loss::KeyDeleted)), "{why}");
    assert!(!all.held() && all.token() == 0 && all.check().is_err());
    held(&behind).await;
    eventually("nothing of the first is left", async || etcd.keys("/locker/").len() == 2).await;
    assert_eq!(all.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
    assert!(behind.held());
}

/// It has won `a` when somebody deletes its key there, while it waits for `b`.
#[tokio::test]
async fn a_place_lost_in_one_queue_is_given_up_in_all_and_had_anew() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let b = one.lock("b").await.unwrap();
    let all = one.lock_all(["a", "b"]).start().unwrap();
    eventually("it waits", async || etcd.keys("/locker/").len() == 3).await;
    assert_eq!(
        timeout(PATIENCE, async { all.wait(Duration::from_millis(200)).await }).await.unwrap().unwrap_err().kind(),
        ErrorKind::Timeout
    );
    let key = etcd.keys("/locker/a/").into_iter().next().unwrap();
    etcd.ctl(&["del", &key]);
    let a = other.lock("a").await.unwrap();
    b.unlock().await.unwrap();
    // It enters again behind the holder of `a`, and does not keep `b` meanwhile.
    eventually("it is behind", async || etcd.keys("/locker/a/").len() == 2).await;
    assert_eq!(all.state(), State::Waiting);
    a.unlock().await.unwrap();
    held(&all).await;
    eventually("it is there once", async || etcd.keys("/locker/").len() == 2).await;
}

/// Random sets over ten names by twenty clients: nobody waits for ever, and never do two hold a name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_the_names_overlap_there_is_no_deadlock() {
    const NAMES: usize = 10;
    let etcd = Etcd::start();
    let holders = Arc::new(Mutex::new(HashMap::<String, i64>::new()));
    let tokens = Arc::new(Mutex::new(HashMap::<String, i64>::new()));
    let mut all = JoinSet::new();
    for n in 0..20 {
        let client = client(&etcd).await;
        let (holders, tokens) = (holders.clone(), tokens.clone());
        let mut random = fastrand::Rng::with_seed(n);
        all.spawn(async move {
            for _ in 0..15 {
                let many = random.usize(1..=4);
                let names: Vec<_> = random.choose_multiple(0..NAMES, many).into_iter().map(|n| n.to_string()).collect();
                // A single one stands in line with others of its client.
                let lock = match &names[..] {
                    [name] => client.lock(name),
                    _ => client.lock_all(&names),
                };
                let guard = timeout(PATIENCE, lock).await.expect("no deadlock").unwrap();
                for name in &names {
                    let before = holders.lock().unwrap().insert(name.clone(), guard.token());
                    assert_eq!(before, None, "two hold {name}");
                    let last = tokens.lock().unwrap().insert(name.clone(), guard.token()).unwrap_or(0);
                    assert!(last < guard.token(), "{name}: {last} then {}", guard.token());
                }
                tokio::task::yield_now().await;
                for name in &names {
                    holders.lock().unwrap().remove(name);
                }
                guard.unlock().await.unwrap();
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    assert_eq!(etcd.keys("/locker/"), [""; 0]);
}
