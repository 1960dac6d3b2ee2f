//! What is wrong is said at once, by its name, and nothing hangs.
#![allow(missing_docs)]

use locker::{Client, Connect, ErrorKind, NAME_MAX, REASON_MAX, VALUE_MAX};
use locker_harness::{Etcd, PATIENCE, free_port};
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tokio::time::timeout;

async fn refused(connect: Connect, kind: ErrorKind, says: &str) {
    let error = timeout(PATIENCE, connect.into_future()).await.expect("no hang").expect_err(says);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

use std::future::IntoFuture;

#[tokio::test]
async fn arguments_of_connect() {
    let good = || Client::connect("http://127.0.0.1:1");
    for (connect, says) in [
        (Client::connect(""), "endpoints is empty"),
        (Client::connect(" , "), "endpoints is empty"),
        (Client::connect("ftp://x:1"), "endpoints: ftp://x:1: its scheme is neither http nor https"),
        (Client::connect("http://"), "endpoints: http://"),
        (Client::connect("http://bob:secret@x:1"), "endpoints: a user and a password do not belong there"),
        (Client::connect("http://a b:1"), "endpoints: http://a b:1"),
        (Client::connect("http://x:65536"), "endpoints: http://x:65536: its port is not a number up to 65535"),
        (Client::connect("[::1]:99999"), "its port is not a number up to 65535"),
        (Client::connect("https://;"), "endpoints: https://;: "),
        (Client::connect("127.0.0.1"), "endpoints: http://127.0.0.1: it names no port; that of etcd is usually 2379"),
        (Client::connect("http://x:1,https://[::1]/"), "endpoints: https://[::1]/: it names no port"),
        // A scheme is one in any letters.
        (Client::connect("HttpS://x"), "endpoints: https://x: it names no port"),
        (good().ttl(Duration::from_millis(1999)), "ttl is too short: 1.999s of at least 2s"),
        (good().ttl(Duration::MAX), "ttl is too long"),
        (good().timeout(Duration::ZERO), "timeout is too short"),
        (good().timeout(Duration::MAX), "timeout is too long"),
        (good().prefix("a\0b"), "prefix contains a NUL at byte 1"),
        (good().prefix("x".repeat(1025)), "prefix is too long"),
        (good().user("", "secret"), "user name is empty"),
        (good().ca_file("/nowhere/ca.pem"), "TLS files were given for an endpoint without TLS"),
        (good().key_file("Cargo.toml"), "TLS files were given for an endpoint without TLS"),
        (Client::connect("https://127.0.0.1:1").ca_file("/nowhere/ca.pem"), "ca_file /nowhere/ca.pem"),
        (Client::connect("https://127.0.0.1:1").ca_file("/dev/null"), "there is no CERTIFICATE in it"),
        (Client::connect("https://127.0.0.1:1").cert_file("Cargo.toml"), "cert_file is given without key_file"),
        (Client::connect("https://127.0.0.1:1").key_file("Cargo.toml"), "key_file is given without cert_file"),
    ] {
        refused(connect, ErrorKind::Invalid, says).await;
    }
}

/// An authority that has signed nothing.
const CA: &str = "-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUGH0EflRO1GYhLDRCTgoH8PQhgUMwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyMTE0MzMxNVoYDzIxMjYxMDI4MTQz
MzE1WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQmJM8ITaZIGNavhW+YHJKVX51b8aPJRMzfXmCPXDdE98ab6MvXntbl68m/rpaA
ZczSiOnE4FvHYdn0zhj3krbjo1MwUTAdBgNVHQ4EFgQUNFLWgWqc2c3PmgijdveI
n9nXsiwwHwYDVR0jBBgwFoAUNFLWgWqc2c3PmgijdveIn9nXsiwwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAjBTaOZxePN4dzXCkdax0qme1MzB2
STMQUrvNy4aSYwACIQDlAP/BKykhrY1WF1HDPgQjNg+wku0NJjyoGxQhhUlq+Q==
-----END CERTIFICATE-----
";

/// A pipe that can be read once if there is `content`, and of which every other read takes three seconds and gives nothing.
fn pipe(dir: &Path, content: Option<&'static str>) -> PathBuf {
    let path = dir.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = path.clone();
    thread::spawn(move || {
        if let Some(content) = content {
            std::fs::write(&writer, content).unwrap();
        }
        thread::sleep(Duration::from_secs(3));
        let _ = OpenOptions::new().read(true).write(true).open(writer);
    });
    path
}

#[tokio::test]
async fn a_file_that_cannot_be_read_in_time_costs_nobody_else_the_lock() {
    let (etcd, dir) = (Etcd::start(), tempfile::tempdir().unwrap());
    let client = Client::connect(etcd.endpoint()).ttl(Duration::from_secs(2)).await.unwrap();
    let guard = client.lock("x").await.unwrap();
    let (begun, path) = (Instant::now(), pipe(dir.path(), None));
    let connect = Client::connect("https://127.0.0.1:1").ca_file(&path).timeout(Duration::from_secs(1));
    refused(connect, ErrorKind::Unavailable, &format!("ca_file {}: not read in time", path.display())).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(2)).await;
    guard.check().unwrap();
}

#[tokio::test]
async fn a_file_is_read_once_for_all_endpoints() {
    let dir = tempfile::tempdir().unwrap();
    let connect = Client::connect("https://127.0.0.1:1,https://127.0.0.1:2").ca_file(pipe(dir.path(), Some(CA)));
    let connect = connect.timeout(Duration::from_secs(1));
    refused(connect, ErrorKind::Unavailable, "etcd is unavailable at https://127.0.0.1:").await;
}

/// A certificate of nobody.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBLjCB4aADAgECAhR4leU71bzauazSHQLwnmNV5WqSrTAFBgMrZXAwDDEKMAgG
A1UEAwwBeDAgFw0yNjExMjExNDU2MTlaGA8yMTI2MTAyODE0NTYxOVowDDEKMAgG
A1UEAwwBeDAqMAUGAytlcAMhAJ3WEJBgcYoPm7j9FhpcKNbsax23DBhZzkVpn4Ed
WC4Uo1MwUTAdBgNVHQ4EFgQURanKBgmMjKd9eDgzQs5uI+L/yEkwHwYDVR0jBBgw
FoAURanKBgmMjKd9eDgzQs5uI+L/yEkwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD
QQDf8PrXgHKVTX0+d6EM1b5dD/QNgX4aAW4JLywTHysjro+ceO0bHRW9FO2dl3ZQ
6WjZ8FEAsTGkOg6b7gbqCfQB
-----END CERTIFICATE-----
";
/// The key of another.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEILXFQq4B+wluiKrN80k/fza+KwdOby92AvTkUB7uDH2t
-----END PRIVATE KEY-----
";

#[tokio::test]
async fn a_certificate_and_a_key_that_do_not_match_are_told() {
    let files = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert", "key"].map(|name| files.path().join(name));
    std::fs::write(&cert, CERTIFICATE).unwrap();
    std::fs::write(&key, KEY).unwrap();
    let connect = Client::connect("https://127.0.0.1:1").cert_file(cert).key_file(key);
    refused(connect, ErrorKind::Invalid, "is of no use: keys may not be consistent").await;
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_unavailable_in_time_and_named() {
    let port = free_port();
    // One that takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (endpoint, cause) in [
        (format!("http://127.0.0.1:{port}"), "onnection refused"),
        (format!("http://{}", silent.local_addr().unwrap()), "no answer in time"),
        ("http://no-such-host.invalid:2379".into(), ""),
    ] {
        let begun = Instant::now();
        let connect = Client::connect(&endpoint).timeout(Duration::from_secs(1));
        refused(connect.clone(), ErrorKind::Unavailable, &endpoint).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        refused(connect, ErrorKind::Unavailable, cause).await;
    }
}

#[tokio::test]
async fn one_endpoint_of_two_is_enough() {
    let etcd = Etcd::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for dead in [format!("127.0.0.1:{}", free_port()), silent.local_addr().unwrap().to_string()] {
        // The one to begin with is chosen at random.
        for _ in 0..8 {
            let client = Client::connect(format!("{dead},{}", etcd.endpoint())).await.unwrap();
            client.lock("x").await.unwrap().unlock().await.unwrap();
            client.disconnect().await.unwrap();
        }
    }
}

#[tokio::test]
async fn arguments_of_lock_get_and_watch() {
    let etcd = Etcd::start();
    let client = Client::connect(etcd.endpoint()).await.unwrap();
    for (name, says) in [
        (String::new(), "name is empty"),
        ("x".repeat(NAME_MAX + 1), "name is too long: 256 bytes of at most 255"),
        ("a\0b".into(), "name contains a NUL at byte 1"),
    ] {
        let errors = [
            client.lock(&*name).await.unwrap_err(),
            client.try_lock(&*name).await.unwrap_err(),
            client.get(&*name).await.unwrap_err(),
            client.watch(&*name).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, says.into()));
        }
    }
    let error = client.lock("x").value("x".repeat(VALUE_MAX + 1)).await.unwrap_err();
    assert_eq!(error.to_string(), "value is too long: 1024 bytes of at most 1023");
    let error = client.lock("x").reason("x".repeat(REASON_MAX + 1)).await.unwrap_err();
    assert_eq!(error.to_string(), "reason is too long: 256 bytes of at most 255");
    assert_eq!(etcd.keys("/locker/"), [""; 0]);

    // The longest that is allowed, of the characters that take the most room.
    let guard = client.lock("\u{1}".repeat(NAME_MAX)).value("\u{1}".repeat(VALUE_MAX)).await.unwrap();
    assert_eq!(client.get("\u{1}".repeat(NAME_MAX)).await.unwrap(), guard.info());
    let guard = client.lock("y").timeout(Duration::MAX).await.unwrap();
    assert!(guard.held());
}

#[tokio::test]
async fn etcd_that_goes_away_is_unavailable_in_time() {
    let mut etcd = Etcd::start();
    let client = Client::connect(etcd.endpoint()).timeout(Duration::from_secs(1)).await.unwrap();
    let guard = client.lock("x").await.unwrap();
    etcd.kill();
    let begun = Instant::now();
    for error in [
        client.lock("y").await.unwrap_err(),
        client.lock("y").timeout(Duration::ZERO).await.unwrap_err(),
        client.get("x").await.unwrap_err(),
        client.watch("x").await.unwrap_err(),
        guard.unlock().await.unwrap_err(),
        client.disconnect().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert!(begun.elapsed() < 6 * Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(!guard.held());
}
