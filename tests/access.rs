//! Who may, and whom we trust: TLS with certificates of either side, users whose tokens end. Against a real etcd.
#![allow(missing_docs)]

use locker::{Client, Connect, ErrorKind};
use locker_harness::{Authority, Etcd, PATIENCE};
use std::future::IntoFuture;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Locks and unlocks, and what keeps a lease alive and watches does its part.
async fn succeeds(connect: Connect) {
    let client = timeout(PATIENCE, connect.into_future()).await.unwrap().unwrap();
    let mut watcher = client.watch("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, 0);
    let guard = client.lock("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, guard.token());
    guard.unlock().await.unwrap();
    client.disconnect().await.unwrap();
}

async fn refused(connect: Connect, kind: ErrorKind, says: &str) {
    let begun = Instant::now();
    let error = timeout(PATIENCE, connect.timeout(Duration::from_secs(2)).into_future()).await.expect("no hang");
    let error = error.expect_err(says);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error} instead of {says}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn both_sides_show_certificates() {
    let (ours, other) = (Authority::new(), Authority::new());
    let etcd = Etcd::with_tls(&ours, "127.0.0.1", true);
    let (known, stranger) = (ours.issue("client", "DNS:client"), other.issue("stranger", "DNS:stranger"));
    let at = || Client::connect(etcd.secure_endpoint());
    succeeds(at().ca_file(&ours.cert).cert_file(&known.cert).key_file(&known.key)).await;

    use ErrorKind::Denied;
    let connect = at().ca_file(&other.cert).cert_file(&known.cert).key_file(&known.key);
    refused(connect, Denied, "invalid peer certificate").await;
    refused(at().ca_file(&ours.cert), Denied, "received fatal alert").await;
    let connect = at().ca_file(&ours.cert).cert_file(&stranger.cert).key_file(&stranger.key);
    refused(connect, Denied, "received fatal alert").await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let etcd = Etcd::with_tls(&authority, "127.0.0.2", false);
    let connect = Client::connect(etcd.secure_endpoint()).ca_file(&authority.cert);
    refused(connect, ErrorKind::Denied, "certificate not valid for name").await;
}

#[tokio::test]
async fn tls_and_none_do_not_understand_each_other_and_it_is_said() {
    let authority = Authority::new();
    let etcd = Etcd::with_tls(&authority, "127.0.0.1", false);
    succeeds(Client::connect(etcd.secure_endpoint()).ca_file(&authority.cert)).await;
    let without = Client::connect(etcd.secure_endpoint().replace("https", "http"));
    refused(without, ErrorKind::Unavailable, "does it speak TLS?").await;
    let with = Client::connect(etcd.endpoint().replace("http", "https")).ca_file(&authority.cert);
    refused(with, ErrorKind::Unavailable, "does it speak no TLS?").await;
}

/// etcd forgets a token that was not used for this long, in seconds.
const TOKEN: &str = "--auth-token-ttl=1";

#[tokio::test]
async fn a_token_that_has_ended_is_replaced_unseen() {
    let mut etcd = Etcd::with(&[TOKEN]);
    etcd.enable_users("ann", "secret", "/locker/");
    let client = Client::connect(etcd.endpoint()).user("ann", "secret").await.unwrap();
    let held = client.lock("kept").await.unwrap();
    for _ in 0..3 {
        // Nothing tells when a token has ended.
        sleep(Duration::from_millis(2500)).await;
        client.lock("x").await.unwrap().unlock().await.unwrap();
        assert_eq!(client.get("kept").await.unwrap().token, held.token());
    }
    held.unlock().await.unwrap();
    client.disconnect().await.unwrap();
}

/// etcd keeps tokens in memory only.
#[tokio::test]
async fn a_token_that_a_restart_has_ended_is_replaced_unseen() {
    let mut etcd = Etcd::start();
    etcd.enable_users("ann", "secret", "/locker/");
    let client = Client::connect(etcd.endpoint()).user("ann", "secret").await.unwrap();
    let held = client.lock("kept").await.unwrap();
    etcd.restart();
    client.lock("x").await.unwrap().unlock().await.unwrap();
    assert!(held.held());
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn wrong_users_are_denied_at_once() {
    let mut etcd = Etcd::start();
    let at = |etcd: &Etcd| Client::connect(etcd.endpoint());
    refused(at(&etcd).user("ann", "secret"), ErrorKind::Denied, "authentication is not enabled").await;
    etcd.enable_users("ann", "secret", "/locker/");
    refused(at(&etcd), ErrorKind::Denied, "it wants a user and a password").await;
    refused(at(&etcd).user("ann", "guess"), ErrorKind::Denied, "authentication failed").await;
    refused(at(&etcd).user("ann", "secret").prefix("/other/"), ErrorKind::Denied, "permission denied").await;
    succeeds(at(&etcd).user("ann", "secret")).await;
}

/// Of many that travel in one request, too: etcd 3.4.23 asks for no permission of what is inside a transaction.
#[tokio::test]
async fn each_of_many_locks_needs_its_permission() {
    let mut etcd = Etcd::start();
    etcd.enable_users("ann", "secret", "/locker/a");
    etcd.ctl(&["role", "grant-permission", "--prefix=true", "ours", "readwrite", "/locker/%!/"]);
    let client = Client::connect(etcd.endpoint()).user("ann", "secret").await.unwrap();
    client.lock("a").await.unwrap().unlock().await.unwrap();
    let names = (0..20).map(|n| format!("{}-{n}", if n % 3 == 2 { "b" } else { "a" }));
    let guards: Vec<_> = names.map(|name| client.lock(name).start().unwrap()).collect();
    for guard in &guards {
        let held = timeout(PATIENCE, guard.wait(None)).await.unwrap().map_err(|error| error.kind());
        assert_eq!(
            held,
            if guard.name().starts_with('a') { Ok(()) } else { Err(ErrorKind::Denied) },
            "{}",
            guard.name()
        );
    }
    assert_eq!(etcd.keys("/locker/b"), [""; 0]);
    client.disconnect().await.unwrap();
}
