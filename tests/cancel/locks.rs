//! Acquisitions that are given up.

use crate::dropped::{Point, everywhere, waits};
use crate::{all_ends, connected, locked, nothing_is_left};
use locker::{Client, ErrorKind, Guard, Lock, Result};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::cell::Cell;
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::timeout;

/// Drops what `make` makes everywhere, with new clients each time: the first lock grants the lease, too.
async fn given_up<T>(etcd: &Etcd, make: impl AsyncFn(Point, &Client, &Client) -> Option<T>, check: impl Fn(T)) {
    let other = connected(etcd).await;
    let given = everywhere(async |point| {
        let client = connected(etcd).await;
        let given = make(point, &client, &other).await;
        // It is looked at first, and held until then.
        let given = given.map(&check);
        nothing_is_left(etcd, &client, &other).await;
        client.disconnect().await.unwrap();
        eventually("its lease is gone", async || etcd.leases() == 1).await;
        given
    });
    given.await;
    all_ends(etcd, [other]).await;
}

fn is_held(guard: Result<Guard>) {
    assert!(guard.unwrap().held());
}

fn is_busy(guard: Result<Guard>) {
    assert_eq!(guard.unwrap_err().kind(), ErrorKind::Timeout);
}

/// Drops an acquisition of `held` while another holds that, who gives it up once this one is in the queue or was dropped.
async fn behind(point: Point, lock: Lock, other: &Client, held: &str) -> Option<Result<Guard>> {
    let (holder, dropped) = (locked(other, held).await, Cell::new(false));
    let attempt = async {
        let given = point.drop(lock).await;
        dropped.set(true);
        given
    };
    let turn = async {
        let waits = async || dropped.get() || other.get(held).await.unwrap().waiters > 0;
        eventually("it is in the queue", waits).await;
        holder.unlock().await.unwrap();
    };
    tokio::join!(attempt, turn).0
}

#[tokio::test]
async fn a_lock_that_is_free() {
    let etcd = Etcd::start();
    given_up(&etcd, async |point, client, _| point.drop(client.lock("x")).await, is_held).await;
}

#[tokio::test]
async fn a_lock_that_is_busy() {
    let etcd = Etcd::start();
    given_up(&etcd, async |point, client, other| behind(point, client.lock("x"), other, "x").await, is_held).await;
}

/// Another guard of the same client is in the way: no request of its own is in etcd's queue.
#[tokio::test]
async fn a_lock_that_is_busy_in_the_same_client() {
    let etcd = Etcd::start();
    let in_line = async |point: Point, client: &Client, _: &Client| {
        let holder = locked(client, "x").await;
        let turn = async {
            tokio::task::yield_now().await;
            holder.unlock().await.unwrap();
        };
        tokio::join!(point.drop(client.lock("x")), turn).0
    };
    given_up(&etcd, in_line, is_held).await;
}

/// The guard before it leaves, and enters for it in the same request: it is dropped before, while that is under way, and
/// when the lock has come.
#[tokio::test]
async fn a_lock_that_is_handed_over() {
    let etcd = Etcd::start();
    let (client, other) = (connected(&etcd).await, connected(&etcd).await);
    // So many turns of the runtime it takes to send the request, and some more to hear of it.
    for turns in 0..40 {
        let holder = locked(&client, "x").await;
        let mut waiting = Box::pin(client.lock("x").into_future());
        assert!(waits(waiting.as_mut()));
        let mut unlocking = std::pin::pin!(holder.unlock());
        assert!(waits(unlocking.as_mut()));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        drop(waiting);
        unlocking.await.unwrap();
        nothing_is_left(&etcd, &client, &other).await;
    }
    all_ends(&etcd, [client, other]).await;
}

#[tokio::test]
async fn a_lock_with_a_limit() {
    let etcd = Etcd::start();
    let in_vain = async |point: Point, client: &Client, other: &Client| {
        let _holder = locked(other, "x").await;
        point.drop(client.lock("x").timeout(Duration::from_millis(100))).await
    };
    given_up(&etcd, in_vain, is_busy).await;
}

#[tokio::test]
async fn try_lock() {
    let etcd = Etcd::start();
    let free = async |point: Point, client: &Client, _: &Client| point.drop(client.try_lock("x")).await;
    given_up(&etcd, free, |guard| assert!(guard.unwrap().unwrap().held())).await;
    let busy = async |point: Point, client: &Client, other: &Client| {
        let _holder = locked(other, "x").await;
        point.drop(client.try_lock("x")).await
    };
    let etcd = Etcd::start();
    given_up(&etcd, busy, |guard| assert!(guard.unwrap().is_none())).await;
}

#[tokio::test]
async fn lock_all() {
    let etcd = Etcd::start();
    let names = ["x", "y", "z"];
    given_up(&etcd, async |point, client, _| point.drop(client.lock_all(names)).await, is_held).await;
    let etcd = Etcd::start();
    let busy =
        async |point: Point, client: &Client, other: &Client| behind(point, client.lock_all(names), other, "y").await;
    given_up(&etcd, busy, is_held).await;
}

/// The guard stays where it is, and comes to hold.
#[tokio::test]
async fn wait() {
    let etcd = Etcd::start();
    let (client, other) = (connected(&etcd).await, connected(&etcd).await);
    for limit in [None, Some(PATIENCE)] {
        let waited = everywhere(async |point| {
            let holder = locked(&other, "x").await;
            let guard = client.lock("x").start().unwrap();
            let turn = async {
                eventually("it is in the queue", async || other.get("x").await.unwrap().waiters > 0).await;
                holder.unlock().await.unwrap();
            };
            let waited = tokio::join!(point.drop(guard.wait(limit)), turn).0;
            timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
            guard.unlock().await.unwrap();
            nothing_is_left(&etcd, &client, &other).await;
            waited
        });
        waited.await.unwrap();
    }
    all_ends(&etcd, [client, other]).await;
}
