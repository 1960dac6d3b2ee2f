//! The core against a real etcd: what a user sees of lock, unlock, get and watch.
#![allow(missing_docs)]

use locker::{Client, ErrorKind, Mode, State};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

async fn client(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).await.expect("etcd answers")
}

#[tokio::test]
async fn lock_get_unlock() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    assert!(!client.get("x").await.unwrap().held());

    let guard = client.lock("x").value("node-3").reason("upgrade").await.unwrap();
    assert_eq!(guard.state(), State::Held);
    assert!(guard.token() > 0 && guard.remaining() > Duration::from_secs(5));
    let info = client.get("x").await.unwrap();
    assert_eq!((info.token, info.mode), (guard.token(), Mode::Exclusive));
    assert_eq!((info.name.as_str(), info.value.as_str(), info.reason.as_str()), ("x", "node-3", "upgrade"));
    assert_eq!(info.pid, std::process::id());
    assert!(!info.host.is_empty() && info.program.starts_with("lock-") && info.since.is_some());
    assert_eq!(guard.info(), info);
    assert_eq!(etcd.keys("/locker/"), [guard.key()]);

    guard.unlock().await.unwrap();
    assert_eq!((guard.state(), guard.token(), guard.held()), (State::Ended, 0, false));
    assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(client.get("x").await.unwrap().token, 0);
    assert_eq!(etcd.keys("/locker/"), [""; 0]);
}

#[tokio::test]
async fn guards_of_one_client_take_turns_in_order_with_rising_tokens() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let first = client.lock("x").await.unwrap();
    let waiting: Vec<_> = (0..5).map(|_| client.lock("x").start().unwrap()).collect();
    let mut token = first.token();
    let mut holder = first;
    for guard in waiting {
        assert_eq!(guard.state(), State::Waiting);
        holder.unlock().await.unwrap();
        timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
        // The release and the enter were one change of etcd.
        assert_eq!(guard.token(), token + 1);
        assert_eq!(etcd.keys("/locker/"), [guard.key()], "one client has one place");
        token = guard.token();
        holder = guard;
    }
}

#[tokio::test]
async fn guards_of_one_client_do_not_keep_others_waiting() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let first = one.lock("x").await.unwrap();
    let mut holder = &first;
    let waiting = [&one, &other, &one, &other].map(|client| client.lock("x").start().unwrap());
    eventually("the other one is in the queue", async || one.get("x").await.unwrap().waiters == 1).await;
    // Of each client one is in etcd's queue; a second one comes to its tail when the first leaves.
    for turn in [1, 0, 3, 2] {
        holder.unlock().await.unwrap();
        timeout(PATIENCE, waiting[turn].wait(None)).await.unwrap().unwrap();
        assert_eq!(waiting.iter().filter(|guard| guard.held()).count(), 1);
        holder = &waiting[turn];
    }
}

#[tokio::test]
async fn a_busy_lock_is_told_with_its_holder_and_leaves_nothing() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let guard = one.lock("x").reason("upgrade").await.unwrap();
    let keys = etcd.keys("");

    assert!(other.try_lock("x").await.unwrap().is_none());
    for limit in [Duration::ZERO, Duration::from_millis(50)] {
        let error = other.lock("x").timeout(limit).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.holder().unwrap().token, guard.token());
        let text = error.to_string();
        assert!(text.contains("\"x\" is held by ") && text.contains("reason \"upgrade\""), "{text}");
    }
    eventually("the queue is as before", async || etcd.keys("") == keys).await;

    let waiting = other.lock("x").start().unwrap();
    assert_eq!(waiting.wait(Duration::from_millis(50)).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(waiting.state(), State::Waiting);
    assert_eq!(waiting.info().token, guard.token());
    waiting.unlock().await.unwrap();
    assert_eq!(etcd.keys(""), keys);
}

#[tokio::test]
async fn a_dropped_future_leaves_the_queue() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let guard = one.lock("x").await.unwrap();
    let keys = etcd.keys("");
    for micros in [0, 100, 300, 1000, 3000, 10_000, 50_000] {
        for _ in 0..10 {
            let _ = timeout(Duration::from_micros(micros), other.lock("x")).await;
        }
    }
    eventually("the queue is as before", async || etcd.keys("") == keys).await;
    guard.unlock().await.unwrap();
    assert!(timeout(PATIENCE, other.try_lock("x")).await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_dropped_guard_unlocks() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    drop(client.lock("x").await.unwrap());
    let again = timeout(PATIENCE, client.lock("x")).await.unwrap().unwrap();
    assert!(again.held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_exclude_one_another() {
    let etcd = Etcd::start();
    let inside = Arc::new(AtomicI64::new(0));
    let last_token = Arc::new(AtomicI64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let client = client(&etcd).await;
        for _ in 0..8 {
            let (client, inside, last_token) = (client.clone(), inside.clone(), last_token.clone());
            tasks.push(tokio::spawn(async move {
                for _ in 0..10 {
                    let guard = client.lock("x").await.unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                    assert!(last_token.swap(guard.token(), Ordering::SeqCst) < guard.token(), "tokens must rise");
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    guard.unlock().await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        timeout(3 * PATIENCE, task).await.expect("no one waits for ever").unwrap();
    }
    assert_eq!(etcd.keys("/locker/"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_of_the_end_finds_it_so() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    for _ in 0..5 {
        let guard = Arc::new(client.lock("x").await.unwrap());
        let (told, runtime) = (guard.clone(), Handle::current());
        // On a thread of its own, that is awake at once.
        let listening = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                while told.changed().await.expect("its end").state != State::Ended {}
                told.state()
            })
        });
        etcd.ctl(&["del", &guard.key()]);
        assert_eq!(timeout(PATIENCE, listening).await.unwrap().unwrap(), State::Ended);
    }
}

#[tokio::test]
async fn a_watcher_is_told_every_change_of_holder() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let mut watcher = other.watch("x").await.unwrap();
    let mut next = async || timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap();
    assert!(!next().await.held());
    for n in 0..20 {
        let guard = one.lock("x").value(n.to_string()).await.unwrap();
        let info = next().await;
        assert_eq!((info.token, info.value.clone()), (guard.token(), n.to_string()));
        guard.unlock().await.unwrap();
        assert_eq!(next().await.token, 0);
    }
    other.disconnect().await.unwrap();
    assert!(watcher.next().await.is_none());
}

#[tokio::test]
async fn a_deleted_key_is_a_lost_lock_and_no_other_is_freed() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let guard = one.lock("x").await.unwrap();
    let waiting = other.lock("x").start().unwrap();
    etcd.ctl(&["del", &guard.key()]);
    let error = timeout(PATIENCE, guard.lost()).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert_eq!((guard.state(), guard.check().unwrap_err().kind()), (State::Ended, ErrorKind::Lost));
    timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
    assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
    assert!(waiting.held());
    assert_eq!(one.get("x").await.unwrap().token, waiting.token());
}

#[tokio::test]
async fn a_key_deleted_at_once_is_found_out_by_unlock() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").await.unwrap();
    etcd.ctl(&["del", &guard.key()]);
    assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
}

#[tokio::test]
async fn changes_are_told_in_order() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let guard = one.lock("x").await.unwrap();
    let waiting = other.lock("x").start().unwrap();
    // A waiter whose key somebody deletes enters again at the tail, and says so.
    eventually("it waits", async || etcd.keys("/locker/x/").len() == 2).await;
    let place = etcd.keys("/locker/x/").into_iter().find(|key| *key != guard.key()).unwrap();
    etcd.ctl(&["del", &place]);
    let change = timeout(PATIENCE, waiting.changed()).await.unwrap().unwrap();
    assert_eq!((change.state, change.token, change.error.unwrap().kind()), (State::Waiting, 0, ErrorKind::Lost));
    guard.unlock().await.unwrap();
    let change = timeout(PATIENCE, waiting.changed()).await.unwrap().unwrap();
    assert_eq!((change.state, change.token, change.error.is_none()), (State::Held, waiting.token(), true));
    waiting.unlock().await.unwrap();
    let change = timeout(PATIENCE, waiting.changed()).await.unwrap().unwrap();
    assert_eq!((change.state, change.token, change.error.is_none()), (State::Ended, 0, true));
    assert!(waiting.changed().await.is_none());
}

#[tokio::test]
async fn a_revoked_lease_ends_all_and_the_client_goes_on_with_a_new_one() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").await.unwrap();
    let lease = guard.key().rsplit('/').next().unwrap().split('-').next().unwrap().to_string();
    etcd.ctl(&["lease", "revoke", &lease]);
    assert_eq!(timeout(PATIENCE, guard.lost()).await.unwrap().kind(), ErrorKind::Lost);
    let again = timeout(PATIENCE, client.lock("x")).await.unwrap().unwrap();
    assert!(again.held());
}

#[tokio::test]
async fn a_held_lock_outlives_its_ttl() {
    let etcd = Etcd::start();
    let client = Client::connect(etcd.endpoint()).ttl(Duration::from_secs(2)).await.unwrap();
    let guard = client.lock("x").await.unwrap();
    let mut gone = std::pin::pin!(guard.lost());
    // Nothing to wait for but time: three lives of the lease.
    assert!(timeout(Duration::from_secs(6), &mut gone).await.is_err());
    assert!(guard.held());
    guard.unlock().await.unwrap();
}

#[tokio::test]
async fn disconnect_ends_everything() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let held = one.lock("x").await.unwrap();
    let waiting = one.lock("x").start().unwrap();
    let behind = other.lock("x").start().unwrap();
    one.disconnect().await.unwrap();
    assert!(!held.held());
    for guard in [&held, &waiting] {
        assert_eq!(timeout(PATIENCE, guard.lost()).await.unwrap().kind(), ErrorKind::Cancelled);
        assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    timeout(PATIENCE, behind.wait(None)).await.unwrap().unwrap();
    assert_eq!(one.lock("x").await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(one.get("x").await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(one.watch("x").await.unwrap_err().kind(), ErrorKind::Cancelled);
    other.disconnect().await.unwrap();
    assert_eq!((etcd.keys(""), etcd.leases()), (vec![], 0));
}

#[tokio::test]
async fn nobody_comes_to_hold_in_a_client_that_is_told_to_disconnect() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let holder = client.lock("x").await.unwrap();
    let waiting: Vec<_> = (0..20).map(|_| client.lock("x").start().unwrap()).collect();
    let disconnected = client.disconnect();
    drop(holder);
    for guard in waiting {
        let told = timeout(PATIENCE, guard.changed()).await.unwrap().unwrap();
        assert_eq!((told.state, told.error.unwrap().kind()), (State::Ended, ErrorKind::Cancelled));
    }
    disconnected.await.unwrap();
    assert_eq!(etcd.keys("/locker/"), [""; 0]);
}

#[tokio::test]
async fn a_client_that_is_dropped_leaves_no_lease() {
    let etcd = Etcd::start();
    let guard = client(&etcd).await.lock("x").await.unwrap();
    assert_eq!(etcd.leases(), 1);
    drop(guard);
    eventually("the lease is revoked", async || etcd.leases() == 0).await;
}

#[tokio::test]
async fn a_thousand_wait_for_one_lock() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let held = one.lock("x").await.unwrap();
    let waiting: Vec<_> = (0..1000).map(|_| other.lock("x").start().unwrap()).collect();
    eventually("they are in the queue", async || one.get("x").await.unwrap().waiters == 1).await;
    held.unlock().await.unwrap();
    let first = {
        let all: Vec<_> = waiting.iter().map(|guard| Box::pin(guard.wait(None))).collect();
        timeout(PATIENCE, futures_util::future::select_all(all)).await.unwrap().1
    };
    assert_eq!(one.get("x").await.unwrap().token, waiting[first].token());
    assert_eq!(waiting.iter().filter(|guard| guard.held()).count(), 1);
    drop(waiting);
    eventually("all have left", async || !one.get("x").await.unwrap().held()).await;
}

/// Of many clients that wait each hears only of the one before it: a release wakes no herd.
#[tokio::test]
async fn a_release_wakes_one_of_many_clients() {
    const CLIENTS: usize = 60;
    let etcd = Etcd::start();
    let (first, mut clients) = (client(&etcd).await, Vec::new());
    let held = first.lock("x").await.unwrap();
    let mut waiting = std::collections::VecDeque::new();
    for n in 1..=CLIENTS {
        let one = client(&etcd).await;
        waiting.push_back(one.lock("x").start().unwrap());
        clients.push(one);
        eventually("it is in the queue", async || first.get("x").await.unwrap().waiters as usize == n).await;
    }
    held.unlock().await.unwrap();
    let (mut token, mut messages) = (0, Vec::new());
    // Once round, so that all have entered behind many; then it counts.
    for turn in 0..2 * CLIENTS {
        let guard = waiting.pop_front().unwrap();
        timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
        assert!(guard.token() > token && !waiting.iter().any(|guard| guard.held()));
        token = guard.token();
        let sent = etcd.metrics().sum("grpc_server_msg_sent_total", "grpc_method=\"Watch\"");
        messages.push(sent);
        guard.unlock().await.unwrap();
        waiting.push_back(clients[turn % CLIENTS].lock("x").start().unwrap());
        eventually("it is in the queue", async || first.get("x").await.unwrap().waiters as usize == CLIENTS - 1).await;
    }
    let of_each = (messages[2 * CLIENTS - 1] - messages[CLIENTS + 1]) / (CLIENTS - 2) as f64;
    // Its watch begins, and tells once.
    assert!(of_each <= 5.0, "{of_each} messages of watches for each handover");
}

#[tokio::test]
async fn who_waits_for_himself_is_told_so() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let _mine = client.lock("x").reason("upgrade").await.unwrap();
    for limit in [Duration::ZERO, Duration::from_millis(50)] {
        let text = client.lock("x").timeout(limit).await.unwrap_err().to_string();
        assert!(text.starts_with("\"x\" is held by a guard of this very client since "), "{text}");
    }
}

/// Whichever comes first, nothing was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlock_beside_a_disconnect_is_no_loss() {
    let etcd = Etcd::start();
    for _ in 0..40 {
        let client = client(&etcd).await;
        let mut guards = Vec::new();
        for n in 0..6 {
            guards.push(client.lock(format!("x{n}")).await.unwrap());
        }
        let behind: Vec<_> = (0..6).map(|n| client.lock(format!("x{n}")).start().unwrap()).collect();
        let unlocking: Vec<_> =
            guards.into_iter().map(|guard| tokio::spawn(async move { guard.unlock().await })).collect();
        let ended = client.disconnect();
        for unlocked in unlocking {
            let unlocked = unlocked.await.unwrap();
            let is_known = unlocked.as_ref().map_or_else(|why| why.kind() == ErrorKind::Cancelled, |()| true);
            assert!(is_known, "{unlocked:?}");
        }
        ended.await.unwrap();
        drop(behind);
    }
}
