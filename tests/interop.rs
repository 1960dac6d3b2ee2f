//! One queue with `etcdctl lock` and `etcdctl elect`: the same names under an empty prefix, each excluding the others.
#![allow(missing_docs)]

use locker::{Client, Mode, State};
use locker_harness::{Etcd, PATIENCE, Process, eventually};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::timeout;

async fn client(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).prefix("").await.unwrap()
}

/// An etcdctl that is ended with the test.
fn etcdctl(etcd: &Etcd, arguments: &[&str]) -> Process {
    Process::start(etcd.ctl_command(arguments))
}

#[tokio::test]
async fn etcdctl_waits_for_us() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").await.unwrap();
    let ctl = etcdctl(&etcd, &["lock", "x", "echo", "inside"]);
    eventually("etcdctl is in the queue", async || client.get("x").await.unwrap().waiters == 1).await;
    assert_eq!(client.get("x").await.unwrap().token, guard.token());
    assert!(ctl.is_silent());
    guard.unlock().await.unwrap();
    assert_eq!(ctl.line(), "inside");
}

#[tokio::test]
async fn we_wait_for_etcdctl_in_its_queue() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let ctl = etcdctl(&etcd, &["lock", "x"]);
    let key = ctl.line();
    assert!(key.starts_with("x/"), "{key}");

    let info = client.get("x").await.unwrap();
    assert_eq!((info.mode, info.value.as_str(), info.host.as_str()), (Mode::Foreign, "", ""));
    let error = client.lock("x").timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.to_string(), "\"x\" is held by something that is not locker");

    let guard = client.lock("x").start().unwrap();
    eventually("we are in the queue", async || client.get("x").await.unwrap().waiters == 1).await;
    assert_eq!(guard.state(), State::Waiting);
    ctl.signal(Signal::TERM);
    timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
    assert!(guard.token() > info.token);
}

#[tokio::test]
async fn etcdctl_elect_shows_our_value_and_campaigns_behind_us() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").value("node-3").await.unwrap();
    let listener = etcdctl(&etcd, &["elect", "-l", "x"]);
    assert_eq!(listener.line(), guard.key());
    assert!(listener.line().contains("node-3"));

    let mut watcher = client.watch("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, guard.token());
    let _candidate = etcdctl(&etcd, &["elect", "x", "proposal"]);
    eventually("it is in the queue", async || client.get("x").await.unwrap().waiters == 1).await;
    guard.unlock().await.unwrap();
    let info = timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((info.mode, info.value.as_str()), (Mode::Foreign, "proposal"));
}
