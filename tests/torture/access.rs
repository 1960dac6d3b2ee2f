//! Rows 21 and 22: tokens that etcd forgets, passwords that are wrong, users and permissions that go.

use crate::measure::{Times, millis, now};
use crate::row::{Figure, Outcome, Trials};
use locker::{Client, ErrorKind};
use locker_harness::{Etcd, PATIENCE, eventually};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Longer than a lease lasts.
const REST: Duration = Duration::from_secs(3);
const PASSWORD: &str = "canary-in-the-mine";

async fn connect(etcd: &Etcd, ttl: u64) -> locker::Result<Client> {
    Client::connect(etcd.endpoint()).ttl(Duration::from_secs(ttl)).user("alice", PASSWORD).await
}

fn with_users(flags: &[&str]) -> Etcd {
    let mut etcd = Etcd::with(flags);
    etcd.enable_users("alice", PASSWORD, "/locker/");
    etcd
}

/// etcd keeps tokens in memory: a restart loses them, and so does a rest that is longer than they last.
pub(crate) async fn token_lost(trials: Trials) -> Outcome {
    let mut etcd = with_users(&["--auth-token-ttl", "4"]);
    let client = connect(&etcd, 10).await.unwrap();
    let (held, mut watcher) = (client.lock("held").await.unwrap(), client.watch("watched").await.unwrap());
    assert_eq!(watcher.next().await.unwrap().unwrap().token, 0);
    let mut times = Times::default();
    for n in 0..trials.count {
        // Every tenth time by a rest, in which only beats go.
        match n % 10 {
            1 => sleep(Duration::from_secs(12)).await,
            _ => {
                etcd.kill();
                etcd.restart();
            }
        }
        let asked = now();
        let guard = client.lock("watched").await.unwrap();
        let info = timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap();
        times.add(now() - asked);
        assert_eq!(info.token, guard.token());
        guard.unlock().await.unwrap();
        assert_eq!(timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap().token, 0);
        let until = now() + held.remaining();
        eventually("renewed", async || now() + held.remaining() > until + millis(100) || !held.held()).await;
        assert!(held.held());
    }
    assert!(times.longest() <= millis(trials.limit(1000)), "{times}");
    Ok(Figure(format!("0 errors, 0 lost; locked, and seen by a watcher, after {times}")))
}

/// A wrong password; then a permission that is taken away from one who holds, or the user himself.
pub(crate) async fn refused(trials: Trials) -> Outcome {
    let (mut refusals, mut calls, mut rate) = (Times::default(), 0.0, 0.0_f64);
    let mut check = |error: locker::Error, asked: Duration| {
        refusals.add(now() - asked);
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(!format!("{error:?}").contains(PASSWORD), "{error:?}");
    };
    for n in 0..trials.count {
        let etcd = with_users(&[]);
        let asked = now();
        check(Client::connect(etcd.endpoint()).user("alice", "guess").await.unwrap_err(), asked);

        let client = connect(&etcd, 2).await.unwrap();
        let held = client.lock("held").await.unwrap();
        match n % 2 {
            0 => etcd.ctl(&["role", "revoke-permission", "--prefix=true", "ours", "/locker/"]),
            _ => etcd.ctl(&["user", "delete", "alice"]),
        };
        let started = || etcd.metrics().sum("grpc_server_started_total", "");
        let (asked, before) = (now(), started());
        check(client.lock("new").await.unwrap_err(), asked);
        calls = started() - before;
        assert!(calls <= 12.0, "{calls} calls for a lock that is refused");

        // etcd renews a lease for whoever knows its number; if not, the hold ends in time. Neither is a reason to storm.
        let (asked, before) = (now(), started());
        let lost = timeout(REST, held.lost()).await;
        rate = rate.max((started() - before) / (now() - asked).as_secs_f64());
        assert!(rate <= 10.0, "{rate} calls a second for a hold whose user is refused");
        assert_eq!(lost.is_err(), held.held());
        if lost.is_err() {
            assert_eq!(held.unlock().await.unwrap_err().kind(), ErrorKind::Denied);
        }
    }
    assert!(refusals.longest() <= millis(trials.limit(1000)), "{refusals}");
    Ok(Figure(format!("denied after {refusals}, in {calls} calls; {rate:.1} calls a second after; no password told")))
}
