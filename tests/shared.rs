//! Locks that are shared, with a limit and without, against a real etcd: readers together, a semaphore of permits.
#![allow(missing_docs)]

use locker::{Client, ErrorKind, Guard, Mode, State};
use locker_harness::{Etcd, PATIENCE, Process, eventually};
use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

async fn client(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).await.expect("etcd answers")
}

async fn held(guard: &Guard) {
    timeout(PATIENCE, guard.wait(None)).await.expect("its turn comes").unwrap();
}

async fn waiting(client: &Client, name: &str, count: u32) {
    eventually("so many wait", async || client.get(name).await.unwrap().waiters == count).await;
}

#[tokio::test]
async fn readers_hold_it_together_and_nobody_passes_a_writer() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let first = one.lock("x").shared().value("first").await.unwrap();
    let second = other.lock("x").shared().await.unwrap();
    let third = one.lock("x").shared().await.unwrap();
    let info = other.get("x").await.unwrap();
    assert_eq!((info.mode, info.token, info.value.as_str()), (Mode::Shared, first.token(), "first"));
    assert_eq!((info.holders, info.limit, info.waiters), (3, 0, 0));

    let writer = other.lock("x").start().unwrap();
    waiting(&one, "x", 1).await;
    let late = one.lock("x").shared().start().unwrap();
    waiting(&one, "x", 2).await;
    let refused = one.lock("x").shared().timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Timeout, "a reader who would pass a writer: {refused}");
    for reader in [first, third] {
        reader.unlock().await.unwrap();
        assert_eq!((writer.state(), late.state()), (State::Waiting, State::Waiting));
    }
    assert_eq!(one.get("x").await.unwrap().token, second.token());
    second.unlock().await.unwrap();
    held(&writer).await;
    let info = one.get("x").await.unwrap();
    assert_eq!((info.mode, info.holders, info.waiters), (Mode::Exclusive, 1, 1));
    assert_eq!(late.state(), State::Waiting);
    writer.unlock().await.unwrap();
    held(&late).await;
    late.unlock().await.unwrap();
    assert_eq!(etcd.keys("/locker/x/"), [""; 0]);
}

#[tokio::test]
async fn no_more_hold_it_than_its_limit() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let mut watcher = client.watch("x").await.unwrap();
    assert!(!watcher.next().await.unwrap().unwrap().held());
    let permits = [client.lock("x").limit(2).await.unwrap(), client.lock("x").limit(2).await.unwrap()];
    let behind: Vec<_> = (0..2).map(|_| client.lock("x").limit(2).start().unwrap()).collect();
    waiting(&client, "x", 2).await;
    let info = client.get("x").await.unwrap();
    assert_eq!((info.mode, info.holders, info.limit), (Mode::Shared, 2, 2));
    // Who looks on is told how many they are.
    let mut told = async || watcher.next().await.unwrap().unwrap();
    let told: [_; 2] = timeout(PATIENCE, async { [told().await, told().await] }).await.unwrap();
    assert_eq!(told.map(|info| (info.token, info.holders)), [1, 2].map(|count| (permits[0].token(), count)));

    let keys = etcd.keys("/locker/x/");
    let refused = client.lock("x").limit(2).timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Timeout);
    assert!(refused.to_string().contains("and 1 more"), "{refused}");
    assert_eq!(etcd.keys("/locker/x/"), keys, "who does not wait leaves nothing");

    let [first, second] = permits;
    second.unlock().await.unwrap();
    // Of two of one client that ask at the same time either may be the first.
    eventually("one more holds it", async || behind.iter().any(Guard::held)).await;
    waiting(&client, "x", 1).await;
    assert_eq!(behind.iter().filter(|guard| guard.held()).count(), 1);
    first.unlock().await.unwrap();
    for permit in behind {
        held(&permit).await;
        permit.unlock().await.unwrap();
    }
    let alone = client.try_lock("x").await.unwrap().expect("nobody has it");
    assert!(client.lock("x").limit(2).timeout(Duration::ZERO).await.is_err());
    alone.unlock().await.unwrap();
    let permit = client.lock("x").limit(2).timeout(Duration::ZERO).await.unwrap();
    assert_eq!(permit.info().limit, 2);
}

#[tokio::test]
async fn one_limit_for_all_who_are_in_the_queue() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let permit = one.lock("x").limit(3).await.unwrap();
    let keys = etcd.keys("/locker/x/");
    for (lock, said) in [
        (other.lock("x").limit(5), "limit is 5, but those who are in the queue of \"x\" say 3"),
        (other.lock("x").limit(30), "limit is 30, but those who are in the queue of \"x\" say 3"),
        (other.lock("x").shared(), "limit is none (shared), but those who are in the queue of \"x\" say 3"),
        (other.lock("x").limit(2).timeout(Duration::ZERO), "limit is 2, but those who are in the queue of \"x\" say 3"),
    ] {
        let error = lock.await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, said.into()));
    }
    assert_eq!(etcd.keys("/locker/x/"), keys, "who is refused leaves nothing");
    permit.unlock().await.unwrap();
    other.lock("x").limit(5).await.unwrap().unlock().await.unwrap();
    assert_eq!(other.lock("x").limit(0).await.unwrap_err().to_string(), "limit is 0");
    let several = other.lock_all(["x", "y"]).shared().await.unwrap_err();
    assert_eq!(several.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn etcdctl_counts_as_one_who_wants_it_alone() {
    let etcd = Etcd::start();
    let client = Client::connect(etcd.endpoint()).prefix("").await.unwrap();
    let permits: Vec<_> = [client.lock("x").limit(3).await.unwrap(), client.lock("x").limit(3).await.unwrap()].into();
    let ctl = Process::start(etcd.ctl_command(&["lock", "x"]));
    waiting(&client, "x", 1).await;
    assert!(ctl.is_silent());
    // There is room for one more, but not before etcdctl.
    let behind = client.lock("x").limit(3).start().unwrap();
    waiting(&client, "x", 2).await;
    assert!(client.lock("x").limit(3).timeout(Duration::ZERO).await.is_err());
    for permit in permits {
        assert!(ctl.is_silent());
        permit.unlock().await.unwrap();
    }
    assert!(ctl.line().starts_with("x/"), "etcdctl has it");
    let info = client.get("x").await.unwrap();
    assert_eq!((info.mode, info.waiters, behind.state()), (Mode::Foreign, 1, State::Waiting));
    ctl.signal(Signal::TERM);
    held(&behind).await;
}

#[tokio::test]
async fn a_permit_of_one_who_is_gone_is_free_with_his_lease() {
    let etcd = Etcd::start();
    let (client, other) = (client(&etcd).await, client(&etcd).await);
    let (mine, theirs) = (client.lock("x").limit(2).await.unwrap(), other.lock("x").limit(2).await.unwrap());
    let behind = client.lock("x").limit(2).start().unwrap();
    waiting(&client, "x", 1).await;
    let key = theirs.key();
    let lease = key.rsplit('/').next().and_then(|last| last.split('-').next()).unwrap();
    etcd.ctl(&["lease", "revoke", lease]);
    held(&behind).await;
    assert_eq!(timeout(PATIENCE, theirs.lost()).await.unwrap().kind(), ErrorKind::Lost);
    assert!(mine.held());
}

/// What holds one lock at this moment.
#[derive(Default)]
struct Inside {
    alone: AtomicI64,
    together: AtomicI64,
}

#[tokio::test]
async fn many_at_random_never_too_many() {
    const LIMIT: i64 = 3;
    let etcd = Etcd::start();
    let inside = Arc::new(Inside::default());
    let mut all = JoinSet::new();
    for n in 0..12 {
        let (client, inside) = (client(&etcd).await, inside.clone());
        all.spawn(async move {
            for _ in 0..25 {
                let alone = fastrand::u8(..4) == 0;
                let lock = client.lock("x").timeout(Duration::from_millis(fastrand::u64(0..400)));
                let guard = match if alone { lock.await } else { lock.limit(LIMIT as u32).await } {
                    Ok(guard) => guard,
                    Err(error) if error.kind() == ErrorKind::Timeout => continue,
                    Err(error) => panic!("{n}: {error}"),
                };
                let own = if alone { &inside.alone } else { &inside.together };
                let before = own.fetch_add(1, Ordering::SeqCst);
                let (alone_now, together) =
                    (inside.alone.load(Ordering::SeqCst), inside.together.load(Ordering::SeqCst));
                assert!(before < if alone { 1 } else { LIMIT }, "{before} were there");
                assert!(alone_now == 0 || together == 0, "{alone_now} alone beside {together}");
                sleep(Duration::from_millis(fastrand::u64(0..5))).await;
                own.fetch_sub(1, Ordering::SeqCst);
                guard.unlock().await.unwrap();
            }
            client.disconnect().await.unwrap();
        });
    }
    while let Some(done) = timeout(PATIENCE * 4, all.join_next()).await.expect("all come to an end") {
        done.unwrap();
    }
    assert_eq!(etcd.keys("/locker/"), [""; 0]);
}
