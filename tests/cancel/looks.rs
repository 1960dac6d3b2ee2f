//! Looks at who holds a lock that are not waited for.

use crate::dropped::{Point, everywhere, looked_once};
use crate::{all_ends, connected, locked, nothing_is_left};
use futures_util::StreamExt;
use locker::{Info, Result, Watcher};
use locker_harness::{Etcd, PATIENCE};
use std::sync::Arc;
use tokio::time::timeout;

#[tokio::test]
async fn get() {
    let etcd = Etcd::start();
    let (client, other) = (connected(&etcd).await, connected(&etcd).await);
    let info = everywhere(async |point| {
        let info = point.drop(client.get("x")).await;
        nothing_is_left(&etcd, &client, &other).await;
        info
    });
    assert!(!info.await.unwrap().held());
    all_ends(&etcd, [client, other]).await;
}

#[tokio::test]
async fn watch() {
    let etcd = Etcd::start();
    let other = connected(&etcd).await;
    let watcher = everywhere(async |point| {
        let client = connected(&etcd).await;
        let watcher = point.drop(client.watch("y")).await;
        nothing_is_left(&etcd, &client, &other).await;
        let mut again = client.watch("y").await.unwrap();
        assert!(!again.next().await.unwrap().unwrap().held());
        client.disconnect().await.unwrap();
        watcher
    });
    // Its client is disconnected: what was told before is left.
    let mut watcher = watcher.await.unwrap();
    while let Some(info) = timeout(PATIENCE, watcher.next()).await.unwrap() {
        info.unwrap();
    }
    all_ends(&etcd, [other]).await;
}

/// Drops a look at the next state everywhere: each state is told, and once.
async fn next_state(mut next: impl AsyncFnMut(Point, &mut Watcher) -> Option<Option<Result<Arc<Info>>>>) {
    let etcd = Etcd::start();
    let (client, other) = (connected(&etcd).await, connected(&etcd).await);
    let told = everywhere(async |point| {
        // What was before is none of its business.
        let name = format!("{point:?}");
        let mut watcher = client.watch(&name).await.unwrap();
        assert!(!watcher.next().await.unwrap().unwrap().held());
        let lock = async { locked(&other, &name).await };
        let (info, guard) = tokio::join!(next(point, &mut watcher), lock);
        let told = info.map(|info| info.unwrap().unwrap().token);
        let mut tokens = Vec::from_iter(told);
        let token = guard.token();
        guard.unlock().await.unwrap();
        while tokens.last() != Some(&0) {
            tokens.push(timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap().token);
        }
        assert_eq!(tokens, [token, 0], "{point:?}");
        nothing_is_left(&etcd, &client, &other).await;
        told
    });
    assert!(told.await > 0);
    all_ends(&etcd, [client, other]).await;
}

#[tokio::test]
async fn next() {
    next_state(async |point, watcher| point.drop(watcher.next()).await).await;
}

/// A watcher is a `Stream`.
#[tokio::test]
async fn stream() {
    next_state(async |point, watcher| point.drop(StreamExt::next(watcher)).await).await;
}

/// Whoever looks at a quiet lock and gives up, again and again, is not remembered.
#[tokio::test]
async fn next_of_a_quiet_lock() {
    let etcd = Etcd::start();
    let client = connected(&etcd).await;
    let mut watcher = client.watch("x").await.unwrap();
    watcher.next().await.unwrap().unwrap();
    let mut wakers = Vec::new();
    for _ in 0..100 {
        wakers.push(looked_once(watcher.next()));
        wakers.push(looked_once(StreamExt::next(&mut watcher)));
    }
    let kept = wakers.iter().filter(|waker| waker.strong_count() > 0).count();
    assert!(kept <= 1, "{kept} of those who gave up are remembered");
    all_ends(&etcd, [client]).await;
}
