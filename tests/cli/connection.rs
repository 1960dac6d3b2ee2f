//! Flags and variables that say how to reach etcd.

use crate::etcd::{Space, etcdctl};
use locker_harness::{Etcd, Process, ended};
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn a_flag_wins_over_our_variable_and_that_over_etcdctls() {
    let space = Space::new();
    let here = space.endpoint();
    // Flag, LOCKER_ENDPOINTS, ETCDCTL_ENDPOINTS, whether that finds etcd.
    let cases = [
        (Some(here), NOWHERE, NOWHERE, true),
        (Some(NOWHERE), here, here, false),
        (None, here, NOWHERE, true),
        (None, NOWHERE, here, false),
        (None, "", here, true),
        (None, "", NOWHERE, false),
    ];
    for (flag, ours, etcdctls, found) in cases {
        let mut command = space.locker(&["get", "x", "--command-timeout", "1"]);
        command.args(flag.map(|flag| format!("--endpoints={flag}")));
        command.env("LOCKER_ENDPOINTS", ours).env("ETCDCTL_ENDPOINTS", etcdctls);
        assert_eq!(ended(command).code, if found { 0 } else { 69 }, "{flag:?} {ours} {etcdctls}");
    }
}

#[test]
fn flags_stand_before_and_after_the_command() {
    let space = Space::new();
    let here = space.endpoint();
    for arguments in
        [["--endpoints", here, "get", "x"], ["get", "--endpoints", here, "x"], ["get", "x", "--endpoints", here]]
    {
        let mut command = space.locker(&arguments);
        command.env("LOCKER_ENDPOINTS", NOWHERE);
        assert_eq!(ended(command).code, 0, "{arguments:?}");
    }
}

#[test]
fn an_empty_prefix_shares_names_with_etcdctl() {
    let space = Space::new();
    // A name under an empty prefix is everybody's: this one is unique.
    let name = format!("t{}", space.prefix.replace('/', "-"));
    let holder = Process::start(space.command(&etcdctl(), &["lock", &name]));
    holder.line_with(&name);
    let mut by_variable = space.locker(&["run", &name, "-n", "true"]);
    by_variable.env("LOCKER_PREFIX", "");
    assert_eq!(ended(by_variable).code, 75);
    assert_eq!(space.run(&["--prefix", "", "run", &name, "-n", "true"]).code, 75);
    assert_eq!(space.run(&["run", &name, "-n", "true"]).code, 0);
}

#[test]
fn variables_with_nonsense_are_named() {
    let space = Space::new();
    for (variable, value) in [("LOCKER_TTL", "soon"), ("LOCKER_TIMEOUT", "-1"), ("ETCDCTL_COMMAND_TIMEOUT", "nan")] {
        let mut command = space.locker(&["get", "x"]);
        command.env(variable, value);
        let ended = ended(command);
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.starts_with(&format!("locker: {variable}={value}: ")), "{}", ended.stderr);
    }
}

#[test]
fn users_and_passwords() {
    let mut etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    etcd.enable_users("alice", "se:cret", &space.prefix);
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (directory.path().join("right"), directory.path().join("wrong"));
    fs::write(&right, "se:cret\n").unwrap();
    fs::write(&wrong, "guess\n").unwrap();
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());

    // Flags, variables, exit code.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32);
    let cases: [Case; 14] = [
        (&[], &[], 77),
        (&["--user", "alice:se:cret"], &[], 0),
        (&["--user", "alice:guess"], &[], 77),
        (&["--user", "alice", "--password", "se:cret"], &[], 0),
        (&["--user", "alice", "--password-file", right], &[], 0),
        (&["--user", "alice", "--password-file", wrong], &[("LOCKER_PASSWORD", "se:cret")], 77),
        (&["--user", "alice", "--password-file", "/nonexistent"], &[], 2),
        (&["--user", "alice"], &[], 2),
        (&[], &[("LOCKER_USER", "alice"), ("LOCKER_PASSWORD", "se:cret")], 0),
        (&[], &[("LOCKER_USER", "alice"), ("LOCKER_PASSWORD_FILE", right)], 0),
        (&[], &[("ETCDCTL_USER", "alice:se:cret")], 0),
        (&[], &[("ETCDCTL_USER", "alice"), ("ETCDCTL_PASSWORD", "se:cret")], 0),
        (&[], &[("LOCKER_USER", "alice:guess"), ("ETCDCTL_USER", "alice:se:cret")], 77),
        // Another prefix than hers.
        (&["--prefix", "/other/", "--user", "alice:se:cret"], &[], 77),
    ];
    for (flags, variables, code) in cases {
        let mut command = space.locker(&[&["run", "x"], flags, &["env"]].concat());
        command.envs(variables.iter().copied());
        let begun = Instant::now();
        let ended = ended(command);
        assert_eq!(ended.code, code, "{flags:?} {variables:?}: {}", ended.stderr);
        // A refusal is none to wait after.
        assert!(begun.elapsed() < Duration::from_secs(3), "{flags:?} {variables:?}: {:?}", begun.elapsed());
        let wants_a_user = ended.stderr.contains("it wants a user and a password");
        assert_eq!(wants_a_user, flags.is_empty() && variables.is_empty(), "{}", ended.stderr);
        assert!(!ended.stdout.contains("se:cret"), "{flags:?} {variables:?}: {}", ended.stdout);
        assert!(!ended.stderr.contains("se:cret"), "{flags:?} {variables:?}: {}", ended.stderr);
    }
}

#[test]
fn files_for_tls() {
    let space = Space::new();
    let mut present = tempfile::NamedTempFile::new().unwrap();
    writeln!(present, "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----").unwrap();
    let settings = [
        ("--cacert", "LOCKER_CACERT", "ETCDCTL_CACERT"),
        ("--cert", "LOCKER_CERT", "ETCDCTL_CERT"),
        ("--key", "LOCKER_CERT_KEY", "ETCDCTL_KEY"),
    ];
    for (flag, ours, etcdctls) in settings {
        // Whoever says most names a file that is missing: the complaint is about that one.
        for said_by in 1..=3 {
            let mut command = space.locker(&["get", "x", "--endpoints", "https://127.0.0.1:1"]);
            command.envs(settings.map(|(_, _, etcdctls)| (etcdctls, present.path())));
            command.env(etcdctls, "/nonexistent/1");
            if said_by >= 2 {
                command.env(ours, "/nonexistent/2");
            }
            if said_by == 3 {
                command.args([flag, "/nonexistent/3"]);
            }
            let ended = ended(command);
            assert_eq!(ended.code, 2, "{flag} {said_by}: {}", ended.stderr);
            assert!(ended.stderr.contains(&format!("/nonexistent/{said_by}")), "{flag} {said_by}: {}", ended.stderr);
        }
    }
    let ended = space.run(&["get", "x", "--endpoints", "https://127.0.0.1:1", "--key", "/dev/null"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("cert"), "{}", ended.stderr);
}
