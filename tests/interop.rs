//! One queue with `etcdctl lock` and `etcdctl elect`: the same names under an empty prefix, each excluding the others.
#![allow(missing_docs)]

mod common;

use common::{Etcd, PATIENCE, eventually};
use locker::{Client, Mode, State};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;
use tokio::time::timeout;

async fn client(etcd: &Etcd) -> Client {
    Client::connect(etcd.endpoint()).prefix("").await.unwrap()
}

/// An etcdctl that is ended with the test.
struct Ctl {
    process: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Ctl {
    fn start(etcd: &Etcd, arguments: &[&str]) -> Self {
        let mut command = etcd.ctl_command(arguments);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = process.stdout.take().map(BufReader::new);
        Ctl { process, output }
    }

    /// Its next line of output.
    async fn line(&mut self) -> String {
        let mut output = self.output.take().unwrap();
        let (line, output) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            (line, output)
        })
        .await
        .unwrap();
        self.output = Some(output);
        line.trim().to_string()
    }

    fn terminate(&self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.process), rustix::process::Signal::TERM)
            .unwrap();
    }
}

impl Drop for Ctl {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn etcdctl_waits_for_us() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").await.unwrap();
    let mut ctl = Ctl::start(&etcd, &["lock", "x", "echo", "inside"]);
    eventually("etcdctl is in the queue", async || client.get("x").await.unwrap().waiters == 1).await;
    assert_eq!(client.get("x").await.unwrap().token, guard.token());
    assert!(ctl.process.try_wait().unwrap().is_none());
    guard.unlock().await.unwrap();
    assert_eq!(timeout(PATIENCE, ctl.line()).await.unwrap(), "inside");
}

#[tokio::test]
async fn we_wait_for_etcdctl_in_its_queue() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let mut ctl = Ctl::start(&etcd, &["lock", "x"]);
    let key = timeout(PATIENCE, ctl.line()).await.unwrap();
    assert!(key.starts_with("x/"), "{key}");

    let info = client.get("x").await.unwrap();
    assert_eq!((info.mode, info.value.as_str(), info.host.as_str()), (Mode::Foreign, "", ""));
    let error = client.lock("x").timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.to_string(), "\"x\" is held by something that is not locker");

    let guard = client.lock("x").start().unwrap();
    eventually("we are in the queue", async || client.get("x").await.unwrap().waiters == 1).await;
    assert_eq!(guard.state(), State::Waiting);
    ctl.terminate();
    timeout(PATIENCE, guard.wait(None)).await.unwrap().unwrap();
    assert!(guard.token() > info.token);
}

#[tokio::test]
async fn etcdctl_elect_shows_our_value_and_campaigns_behind_us() {
    let etcd = Etcd::start();
    let client = client(&etcd).await;
    let guard = client.lock("x").value("node-3").await.unwrap();
    let mut listener = Ctl::start(&etcd, &["elect", "-l", "x"]);
    assert_eq!(timeout(PATIENCE, listener.line()).await.unwrap(), guard.key());
    assert!(timeout(PATIENCE, listener.line()).await.unwrap().contains("node-3"));

    let mut watcher = client.watch("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, guard.token());
    let _candidate = Ctl::start(&etcd, &["elect", "x", "proposal"]);
    eventually("it is in the queue", async || client.get("x").await.unwrap().waiters == 1).await;
    guard.unlock().await.unwrap();
    let info = timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((info.mode, info.value.as_str()), (Mode::Foreign, "proposal"));
}
