//! Locks that are to be had again when they are lost, against a real etcd.
#![allow(missing_docs)]

use locker::{Change, Client, ErrorKind, Guard, Loss, State};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::time::Duration;
use tokio::time::timeout;

async fn client(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).ttl(Duration::from_secs(3)).await.expect("etcd answers")
}

async fn change(guard: &Guard) -> Change {
    timeout(PATIENCE, guard.changed()).await.expect("it is told").expect("it goes on")
}

#[tokio::test]
async fn what_is_lost_is_had_again_at_the_tail() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let guard = one.lock("x").standby().await.unwrap();
    let first = change(&guard).await;
    assert_eq!((first.state, first.token), (State::Held, guard.token()));
    let next = other.lock("x").start().unwrap();
    eventually("another waits", async || one.get("x").await.unwrap().waiters == 1).await;

    etcd.ctl(&["del", &guard.key()]);
    let lost = change(&guard).await;
    assert_eq!((lost.state, lost.token), (State::Waiting, 0));
    assert_eq!(lost.error.unwrap().loss(), Some(Loss::KeyDeleted));
    assert_eq!((guard.held(), guard.token(), guard.state()), (false, 0, State::Waiting));
    assert_eq!(guard.check().unwrap_err().kind(), ErrorKind::Lost);

    // Who waited has it before.
    timeout(PATIENCE, next.wait(None)).await.unwrap().unwrap();
    assert_eq!(guard.wait(Duration::from_millis(50)).await.unwrap_err().kind(), ErrorKind::Timeout);
    next.unlock().await.unwrap();
    timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
    let again = change(&guard).await;
    assert_eq!((again.state, again.token), (State::Held, guard.token()));
    assert!(again.token > next.token() && again.token > first.token);

    guard.unlock().await.unwrap();
    let end = change(&guard).await;
    assert!(end.state == State::Ended && end.error.is_none());
    assert!(guard.changed().await.is_none());
    assert_eq!(etcd.keys("/locker/x/"), [""; 0]);
}

#[tokio::test]
async fn it_waits_for_an_etcd_that_is_away_for_longer_than_its_lease() {
    let mut etcd = Etcd::start();
    let guard = client(&etcd).await.lock("x").standby().await.unwrap();
    assert_eq!(change(&guard).await.state, State::Held);
    etcd.kill();
    let (risk, lost) = (change(&guard).await, change(&guard).await);
    assert_eq!((risk.state, lost.state), (State::AtRisk, State::Waiting));
    assert_eq!(lost.error.unwrap().loss(), Some(Loss::Expired));
    // It goes on for longer than a first wait for etcd would.
    assert!(timeout(Duration::from_secs(6), guard.changed()).await.is_err(), "it ended");
    etcd.restart();
    // On a slow machine the first lease after that may be over before its place has come.
    let again = loop {
        let change = change(&guard).await;
        if change.state != State::Waiting {
            break change;
        }
    };
    assert_eq!((again.state, again.token), (State::Held, guard.token()));
    guard.unlock().await.unwrap();
}

#[tokio::test]
async fn it_ends_with_its_guard_and_with_its_client_wherever_it_stands() {
    let etcd = Etcd::start();
    let (one, other) = (client(&etcd).await, client(&etcd).await);
    let guard = one.lock("x").standby().await.unwrap();
    let held = {
        etcd.ctl(&["del", &guard.key()]);
        eventually("it waits", async || guard.state() == State::Waiting || etcd.keys("/locker/x/").len() == 1).await;
        timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
        other.lock("x").start().unwrap()
    };
    etcd.ctl(&["del", &guard.key()]);
    timeout(PATIENCE, held.wait(None)).await.unwrap().unwrap();
    eventually("it waits for the other", async || etcd.keys("/locker/x/").len() == 2).await;
    guard.unlock().await.unwrap();
    assert_eq!(etcd.keys("/locker/x/"), [held.key()]);

    let guard = one.lock("x").standby().start().unwrap();
    eventually("another waits", async || etcd.keys("/locker/x/").len() == 2).await;
    one.disconnect().await.unwrap();
    assert_eq!(timeout(PATIENCE, guard.lost()).await.unwrap().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_permit_and_several_locks_are_had_again_too() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let permit = client.lock("s").limit(2).standby().await.unwrap();
    let all = client.lock_all(["a", "b"]).standby().await.unwrap();
    for (guard, key) in [(&permit, permit.key()), (&all, all.keys().pop().unwrap())] {
        let token = guard.token();
        etcd.ctl(&["del", &key]);
        eventually("it is held anew", async || guard.held() && guard.token() > token).await;
    }
    eventually("of each there is one place", async || etcd.keys("/locker/").len() == 3).await;
    assert_eq!(client.get("s").await.unwrap().holders, 1);
}

#[tokio::test]
async fn guards_of_one_client_have_their_turn_when_it_is_lost() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").standby().await.unwrap();
    let next = client.lock("x").start().unwrap();
    etcd.ctl(&["del", &guard.key()]);
    timeout(PATIENCE, next.wait(None)).await.unwrap().unwrap();
    assert_eq!(guard.state(), State::Waiting);
    drop(next);
    timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_is_not_for_what_is_persistent() {
    let etcd = Etcd::start();
    let error = client(&etcd).await.lock("x").standby().persistent().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
