//! What is asked of a guard, and not waited for.

use crate::dropped::everywhere;
use crate::{all_ends, connected, locked, nothing_is_left};
use locker::{ErrorKind, State};
use locker_harness::{Etcd, PATIENCE, eventually};
use tokio::time::timeout;

/// Before the first poll nothing has happened; after it, nothing keeps it from being unlocked.
#[tokio::test]
async fn unlock() {
    let etcd = Etcd::start();
    let (client, other) = (connected(&etcd).await, connected(&etcd).await);
    let unlocked = everywhere(async |point| {
        let guard = locked(&client, "x").await;
        let unlocked = point.drop(guard.unlock()).await;
        assert_eq!(guard.held(), point.polls == 0);
        if point.polls == 0 {
            assert_eq!(etcd.keys("/locker/"), [guard.key()]);
            guard.unlock().await.unwrap();
        }
        assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Cancelled);
        nothing_is_left(&etcd, &client, &other).await;
        unlocked
    });
    unlocked.await.unwrap();
    all_ends(&etcd, [client, other]).await;
}

/// A change that nobody took is told to the next who asks, and each once.
#[tokio::test]
async fn changed() {
    let etcd = Etcd::start();
    let (client, other) = (connected(&etcd).await, connected(&etcd).await);
    let told = everywhere(async |point| {
        let holder = locked(&other, "x").await;
        let guard = client.lock("x").start().unwrap();
        let turn = async {
            eventually("it is in the queue", async || other.get("x").await.unwrap().waiters > 0).await;
            holder.unlock().await.unwrap();
        };
        let told = tokio::join!(point.drop(guard.changed()), turn).0.map(|change| change.unwrap().state);
        let mut states = Vec::from_iter(told);
        guard.wait(None).await.unwrap();
        guard.unlock().await.unwrap();
        while let Some(change) = timeout(PATIENCE, guard.changed()).await.unwrap() {
            states.push(change.state);
        }
        assert_eq!(states, [State::Held, State::Ended], "{point:?}");
        nothing_is_left(&etcd, &client, &other).await;
        told
    });
    assert_eq!(told.await, State::Held);
    all_ends(&etcd, [client, other]).await;
}

/// It is told to everybody who asks, at any time.
#[tokio::test]
async fn lost() {
    let etcd = Etcd::start();
    let (client, other) = (connected(&etcd).await, connected(&etcd).await);
    let why = everywhere(async |point| {
        let guard = locked(&client, "x").await;
        let loss = async { etcd.ctl(&["del", &guard.key()]) };
        let (why, _) = tokio::join!(point.drop(guard.lost()), loss);
        assert_eq!(timeout(PATIENCE, guard.lost()).await.unwrap().kind(), ErrorKind::Lost);
        nothing_is_left(&etcd, &client, &other).await;
        why
    });
    assert_eq!(why.await.kind(), ErrorKind::Lost);
    all_ends(&etcd, [client, other]).await;
}
