//! `locker doctor`: that it finds what is wrong, and nothing where nothing is.

use crate::etcd::Space;
use locker_harness::{Authority, Ended, Etcd, ended, free_port};
use serde_json::Value;
use std::fs;

fn objects(ended: &Ended) -> Vec<Value> {
    ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The findings of this kind.
fn of<'a>(findings: &'a [Value], check: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["check"] == check).collect()
}

#[test]
fn where_all_is_well_it_says_so_and_leaves_nothing() {
    let space = Space::new();
    let ended = space.run(&["doctor"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    assert!(
        ended.stdout.lines().all(|line| line.starts_with("ok ") || line.starts_with("warning ")),
        "{}",
        ended.stdout
    );
    let here = space.endpoint();
    for part in [
        &format!("ok      endpoint {here}: etcd 3."),
        "ok      lock: had under \"/t/",
        "ok      ttl: 10 s",
        "ok      clock: ",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    assert_eq!(space.keys(), "");

    let findings = objects(&space.run(&["doctor", "--json"]));
    let endpoint = of(&findings, "endpoint")[0];
    let version = space.etcdctl(&["endpoint", "status", "-w", "json"]);
    assert!(version.contains(&format!("\"version\":{}", endpoint["version"])), "{endpoint} {version}");
    assert_eq!((&endpoint["status"], &endpoint["subject"]), (&"ok".into(), &here.into()));
    assert!(endpoint["latency_ms"].as_f64().unwrap() > 0.0, "{endpoint}");
    // What is known to be wrong with an old release, and what to do.
    let is_old = endpoint["version"].as_str().unwrap().starts_with("3.4.2");
    assert_eq!(of(&findings, "version").len(), usize::from(is_old), "{findings:?}");
    assert!(of(&findings, "version").iter().all(|finding| finding["advice"] == "update etcd"), "{findings:?}");
}

#[test]
fn an_endpoint_that_is_away_is_named_and_the_others_are_tried() {
    let space = Space::new();
    let away = format!("http://127.0.0.1:{}", free_port());
    let both = format!("{away},{}", space.endpoint());
    let ended = space.run(&["doctor", "--json", "--endpoints", &both, "--command-timeout", "1"]);
    assert_eq!(ended.code, 69, "{}", ended.stdout);
    let findings = objects(&ended);
    let endpoints = of(&findings, "endpoint");
    assert_eq!((&endpoints[0]["status"], &endpoints[0]["subject"]), (&"problem".into(), &away.as_str().into()));
    assert!(endpoints[0]["advice"].as_str().unwrap().contains("see whether etcd runs"), "{}", endpoints[0]);
    assert_eq!((&endpoints[1]["status"], &of(&findings, "lock")[0]["status"]), (&"ok".into(), &"ok".into()));

    let ended = space.run(&["doctor", "--endpoints", &away, "--command-timeout", "1"]);
    assert_eq!(ended.code, 69, "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("problem endpoint {away}: ")), "{}", ended.stdout);
    assert!(!ended.stdout.contains(" lock: "), "{}", ended.stdout);
}

#[test]
fn endpoints_of_two_clusters_are_found_out() {
    let (space, other) = (Space::new(), Etcd::start());
    let both = format!("{},{}", space.endpoint(), other.endpoint());
    let ended = space.run(&["doctor", "--endpoints", &both]);
    assert_eq!(ended.code, 78, "{}", ended.stdout);
    assert!(ended.stdout.contains("problem cluster http://"), "{}", ended.stdout);
    assert!(ended.stdout.contains("they are not of one cluster; to do: "), "{}", ended.stdout);
    assert_eq!(space.keys(), "");
}

#[test]
fn who_may_not_is_told_what_to_ask_for() {
    let mut etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    etcd.enable_users("alice", "secret", &space.prefix);
    let ended = space.run(&["doctor"]);
    assert_eq!(ended.code, 77, "{}", ended.stdout);
    assert!(
        ended.stdout.contains("to do: give a user whom etcd knows: --user and --password-file"),
        "{}",
        ended.stdout
    );

    let ended = space.run(&["doctor", "--user", "alice:secret"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(!ended.stdout.contains("secret"), "{}", ended.stdout);

    // Another prefix than hers.
    let ended = space.run(&["doctor", "--user", "alice:secret", "--prefix", "/other/"]);
    assert_eq!(ended.code, 77, "{}", ended.stdout);
    let advice = "etcdctl role grant-permission ROLE --prefix=true readwrite \"/other/\"";
    assert!(ended.stdout.contains(advice), "{}", ended.stdout);
}

#[test]
fn tls_is_told() {
    let authority = Authority::new();
    let etcd = Etcd::with_tls(&authority, "127.0.0.1", false);
    let space = Space::new();
    let here = etcd.secure_endpoint();
    let cacert = |authority: &Authority| authority.cert.to_str().unwrap().to_owned();
    let ended = space.run(&["doctor", "--endpoints", &here, "--cacert", &cacert(&authority)]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains(", with TLS"), "{}", ended.stdout);

    let ended = space.run(&["doctor", "--endpoints", &here, "--cacert", &cacert(&Authority::new())]);
    assert_eq!(ended.code, 77, "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("problem endpoint {here}: ")), "{}", ended.stdout);
    assert!(ended.stdout.contains("to do: name the authority that has signed"), "{}", ended.stdout);
}

#[test]
fn a_time_to_live_that_is_short_is_a_warning() {
    let space = Space::new();
    let ended = space.run(&["doctor", "--ttl", "3"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("warning ttl: 3 s"), "{}", ended.stdout);

    // etcd does not grant less than its elections take.
    let slow = Etcd::with(&["--election-timeout", "6000", "--heartbeat-interval", "500"]);
    let ended = space.run(&["doctor", "--ttl", "3", "--endpoints", &slow.endpoint()]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("warning ttl: asked for 3 s, but etcd grants more"), "{}", ended.stdout);
}

#[test]
fn a_file_or_a_flag_that_is_wrong_is_a_problem_too() {
    let space = Space::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("locker.yaml");
    fs::write(&file, "ttl: soon\n").unwrap();
    let mut command = space.locker(&["doctor"]);
    command.env("LOCKER_CONFIG", &file);
    let outcome = ended(command);
    assert_eq!(outcome.code, 78, "{}", outcome.stdout);
    assert!(outcome.stdout.contains(&format!("{}:1: ttl: soon: not a duration", file.display())), "{}", outcome.stdout);
    let ended = space.run(&["doctor", "--ttl", "1"]);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert!(ended.stdout.contains("problem endpoint "), "{}", ended.stdout);
}
