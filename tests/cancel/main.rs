//! Every public future may be dropped wherever it stands: before it was polled, after each poll, and when it was woken and
//! would have gone on. Against a real etcd.
//!
//! What must be so then, its documentation says under "Cancel safety". What may never be left behind is looked for after
//! each: keys, leases, tasks, wakers.
#![allow(missing_docs)]

mod dropped;
mod guards;
mod locks;
mod looks;

use locker::{Client, Guard};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::future::IntoFuture;
use tokio::runtime::Handle;
use tokio::time::timeout;

async fn connected(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).await.expect("etcd answers")
}

/// Acquires the lock, in time.
async fn locked(client: &Client, name: &str) -> Guard {
    timeout(PATIENCE, client.lock(name).into_future()).await.expect("nobody is in its way").expect("etcd answers")
}

/// Nothing is left of what was given up: no key; the next one gets the lock; and this client works as before.
async fn nothing_is_left(etcd: &Etcd, client: &Client, other: &Client) {
    eventually("no key is left", async || etcd.keys("/locker/").is_empty()).await;
    for client in [other, client] {
        locked(client, "x").await.unlock().await.unwrap();
    }
    assert!(etcd.leases() <= 2, "each client has one");
}

/// These were all clients: nothing of them is left in etcd, nor a task in this process.
async fn all_ends(etcd: &Etcd, clients: impl IntoIterator<Item = Client>) {
    for client in clients {
        client.disconnect().await.unwrap();
    }
    eventually("no lease is left", async || etcd.leases() == 0).await;
    assert_eq!(etcd.keys(""), [""; 0]);
    let metrics = Handle::current().metrics();
    eventually("no task is left", async || metrics.num_alive_tasks() == 0).await;
}

/// Connecting makes nothing in etcd. A connection that was made for it is closed.
#[tokio::test]
async fn connect() {
    let etcd = Etcd::start();
    let client = dropped::everywhere(async |point| {
        let client = point.drop(Client::connect(etcd.endpoint())).await;
        if client.is_none() {
            all_ends(&etcd, None).await;
        }
        client
    });
    let client = client.await.unwrap();
    locked(&client, "x").await.unlock().await.unwrap();
    all_ends(&etcd, [client]).await;
}

/// All is over in the call, whatever becomes of the future; the lease is revoked behind.
#[tokio::test]
async fn disconnect() {
    let etcd = Etcd::start();
    let other = connected(&etcd).await;
    let done = dropped::everywhere(async |point| {
        let client = connected(&etcd).await;
        let (guard, mut watcher) = (locked(&client, "x").await, client.watch("x").await.unwrap());
        watcher.next().await.unwrap().unwrap();
        let done = point.drop(client.disconnect()).await;
        assert!(!guard.held() && client.lock("x").await.is_err());
        assert!(timeout(PATIENCE, watcher.next()).await.unwrap().is_none());
        locked(&other, "x").await.unlock().await.unwrap();
        eventually("its lease is gone", async || etcd.leases() == 1).await;
        done
    });
    done.await.unwrap();
    all_ends(&etcd, [other]).await;
}
