//! The faults are what they say. A harness that harms nothing would make every test on it worthless.
#![allow(missing_docs)]

use locker_harness::{Cluster, Etcd, Lossy, Mood, Proxy, Stall, skip};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Longer than an election takes.
const LONG: &str = "--command-timeout=3s";

fn put(etcd: &Etcd, limit: &str) -> bool {
    etcd.ctl_command(&[limit, "put", "/x", "1"]).output().unwrap().status.success()
}

/// Both ends of a connection through a proxy.
fn connection() -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&format!("http://{}", listener.local_addr().unwrap()));
    let client = TcpStream::connect(proxy.endpoint().trim_start_matches("http://")).unwrap();
    let server = listener.accept().unwrap().0;
    (proxy, client, server)
}

/// What comes within a moment.
fn read(stream: &mut TcpStream) -> Result<String, ErrorKind> {
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut buffer = [0; 100];
    let length = stream.read(&mut buffer).map_err(|error| error.kind())?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into())
}

#[test]
fn a_hole_lets_nothing_through_and_then_all() {
    let (proxy, mut client, mut server) = connection();
    client.write_all(b"one").unwrap();
    assert_eq!(read(&mut server).unwrap(), "one");
    proxy.set(Mood::HOLE);
    client.write_all(b"two").unwrap();
    server.write_all(b"three").unwrap();
    drop(client.try_clone().unwrap());
    assert_eq!(read(&mut server).unwrap_err(), ErrorKind::WouldBlock);
    assert_eq!(read(&mut client).unwrap_err(), ErrorKind::WouldBlock);
    proxy.set(Mood::NORMAL);
    assert_eq!((read(&mut server).unwrap(), read(&mut client).unwrap()), ("two".into(), "three".into()));
    // The end of a connection does not come through either.
    proxy.set(Mood::HOLE);
    drop(client);
    assert_eq!(read(&mut server).unwrap_err(), ErrorKind::WouldBlock);
    proxy.set(Mood::NORMAL);
    assert_eq!(read(&mut server).unwrap(), "");
}

#[test]
fn lost_answers_and_resets() {
    let (proxy, mut client, mut server) = connection();
    proxy.set(Mood::LOSE_ANSWERS);
    client.write_all(b"one").unwrap();
    assert_eq!(read(&mut server).unwrap(), "one");
    server.write_all(b"two").unwrap();
    assert_eq!(read(&mut client).unwrap_err(), ErrorKind::WouldBlock);
    proxy.set(Mood::NORMAL);
    assert_eq!(read(&mut client).unwrap(), "");

    let (proxy, mut client, mut server) = connection();
    proxy.set(Mood::DOWN);
    assert_eq!(read(&mut client).unwrap_err(), ErrorKind::ConnectionReset);
    assert_eq!(read(&mut server).unwrap_err(), ErrorKind::ConnectionReset);
}

#[test]
fn late_is_late_for_each_and_does_not_add_up() {
    let (proxy, mut client, mut server) = connection();
    proxy.set(Mood::late(Duration::from_millis(100)));
    let begun = Instant::now();
    for _ in 0..10 {
        client.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut all = String::new();
    while all.len() < 10 {
        all += &read(&mut server).unwrap();
    }
    assert!((145..500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[test]
fn a_leader_that_is_isolated_is_followed_by_another_and_comes_back() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    cluster.isolate(leader);
    assert!(!put(cluster.member(leader), LONG));
    let next = cluster.leader_after(leader);
    assert!(put(cluster.member(next), LONG));
    cluster.heal(leader);
    cluster.healthy();
    assert!(put(cluster.member(leader), LONG));
}

#[test]
fn a_cluster_outlives_one_member_and_not_two() {
    let mut cluster = Cluster::start();
    let [one, other] = cluster.followers()[..] else { panic!("three members") };
    let leader = cluster.leader();
    cluster.member(one).kill();
    assert!(put(cluster.member(leader), LONG));
    cluster.member(other).stop();
    assert!(!put(cluster.member(leader), LONG));
    cluster.member(other).go_on();
    cluster.member(one).restart();
    cluster.healthy();
    assert!(put(cluster.member(one), LONG));
}

#[test]
fn a_stalled_disk_stalls_writes() {
    let etcd = Etcd::with(&["--unsafe-no-fsync=false"]);
    let stall = match Stall::begin(&etcd, Duration::from_secs(3)) {
        Ok(stall) => stall,
        Err(why) => return skip("a disk that hangs", &why),
    };
    assert!(!put(&etcd, "--command-timeout=1s"));
    drop(stall);
    assert!(put(&etcd, "--command-timeout=10s"));
}

#[test]
fn data_that_goes_and_comes_back() {
    let mut etcd = Etcd::start();
    etcd.ctl(&["put", "/x", "1"]);
    let before = etcd.revision();
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("snapshot");
    etcd.snapshot(&snapshot);
    etcd.ctl(&["put", "/y", "1"]);
    etcd.restore(&snapshot);
    assert_eq!((etcd.revision(), etcd.keys("/")), (before, vec!["/x".to_string()]));
    etcd.wipe();
    assert_eq!((etcd.revision(), etcd.keys("/")), (1, vec![]));
}

#[test]
fn no_space_and_space_again() {
    let etcd = Etcd::with(&["--quota-backend-bytes", "16777216"]);
    etcd.fill_space();
    assert!(!put(&etcd, LONG));
    etcd.free_space();
    assert!(put(&etcd, LONG));
}

#[test]
fn users() {
    let mut etcd = Etcd::start();
    etcd.enable_users("alice", "secret", "/ours/");
    let put =
        |user: &str, key: &str| etcd.ctl_command(&["--user", user, "put", key, "1"]).output().unwrap().status.success();
    assert!(put("alice:secret", "/ours/x") && !put("alice:secret", "/theirs/x") && !put("alice:guess", "/ours/x"));
    assert_eq!(etcd.keys("/"), ["/ours/x"]);
}

#[test]
fn packets_are_lost() {
    let lossy = match Lossy::new(50) {
        Ok(lossy) => lossy,
        Err(why) => return skip("a network that loses packets", &why),
    };
    // Nobody listens there: each that comes through is answered by another.
    let script = "for n in {1..200}; do echo x >/dev/udp/127.0.0.1/9; done; nft list table inet loss";
    let output = String::from_utf8(lossy.command("bash").args(["-c", script]).output().unwrap().stdout).unwrap();
    let dropped = output.split("counter packets ").nth(1).and_then(|text| text.split(' ').next()).unwrap();
    assert!((100..200).contains(&dropped.parse::<u32>().unwrap()), "{output}");
}
