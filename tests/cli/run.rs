//! `locker run`: exit codes, what the command gets, waiting and not waiting.

use crate::LOCKER;
use crate::etcd::Space;
use locker_harness::{Process, ended};
use rustix::process::Signal;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn the_commands_exit_code_comes_back() {
    let space = Space::new();
    let cases: [(&[&str], i32); 9] = [
        (&["true"], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 7"], 7),
        (&["-c", "exit 255"], 255),
        (&["--", "sh", "-c", "exit 75"], 75),
        (&["-c", "kill -KILL $$"], 137),
        (&["-c", "kill -TERM $$"], 143),
        (&["/nonexistent/program"], 127),
        (&["no-such-program-anywhere"], 127),
    ];
    for (command, code) in cases {
        let ended = space.run(&[&["run", "x"], command].concat());
        assert_eq!(ended.code, code, "{command:?}: {}", ended.stderr);
        assert_eq!(space.keys(), "", "{command:?} leaves something behind");
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_named_and_leaves_the_lock_free() {
    let space = Space::new();
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let script = script.to_str().unwrap();
    for (program, code) in [("no-such-program-anywhere", 127), (script, 126), (directory.path().to_str().unwrap(), 126)]
    {
        let ended = space.run(&["run", "x", program]);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(ended.stderr.starts_with(&format!("locker: {program}: ")), "{}", ended.stderr);
        assert_eq!(space.run(&["get", "x"]).stdout, "free\n");
    }
}

#[test]
fn success_is_silent() {
    let ended = Space::new().run(&["run", "x", "true"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
}

#[test]
fn failures_of_its_own_have_codes() {
    let space = Space::new();
    let long = "x".repeat(256);
    let cases: [(&[&str], i32, &str); 10] = [
        (&[], 2, "Usage"),
        (&["run", "x"], 2, "CMD"),
        (&["run", "x", "--wiat", "5", "true"], 2, "--wiat"),
        (&["run", "x", "-w", "-5", "true"], 2, "--wait"),
        (&["run", "", "true"], 2, "name"),
        (&["run", &long, "true"], 2, "name"),
        (&["run", "x", "--value", &"v".repeat(1024), "true"], 2, "value"),
        (&["run", "x", "-r", &"r".repeat(256), "true"], 2, "reason"),
        (&["run", "x", "--ttl", "1", "true"], 2, "ttl"),
        (&["--endpoints", "http://127.0.0.1:1", "--command-timeout", "1", "run", "x", "true"], 69, "127.0.0.1:1"),
    ];
    for (arguments, code, named) in cases {
        let ended = space.run(arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(named), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(space.keys(), "");
}

#[test]
fn the_command_gets_our_input() {
    let space = Space::new();
    let mut process = space.start(&["run", "x", "--", "tr", "a-z", "A-Z"]);
    process.write("some text\n");
    process.close_stdin();
    let ended = process.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "SOME TEXT\n"));
}

#[test]
fn the_command_knows_its_lock() {
    let space = Space::new();
    let mut process = space.start(&["run", "a name", "--", "sh", "-c", "env; echo end; cat"]);
    let mut variables = HashMap::new();
    while let Some((name, value)) = process.line().split_once('=') {
        variables.insert(name.to_owned(), value.to_owned());
    }
    let key = &variables["LOCKER_KEY"];
    assert_eq!(variables["LOCKER_NAME"], "a name");
    assert_eq!(variables["ETCD_LOCK_KEY"], *key);
    assert_eq!(variables["ETCD_LOCK_REV"], variables["LOCKER_TOKEN"]);
    assert_eq!(space.queue("a name"), [key.as_str()]);
    let fields = space.etcdctl(&["get", key, "-w", "fields"]);
    assert!(fields.contains(&format!("\"CreateRevision\" : {}\n", variables["LOCKER_TOKEN"])), "{fields}");
    process.close_stdin();
    assert_eq!(process.end().code, 0);
}

#[test]
fn the_command_does_not_get_the_password() {
    // This etcd has no users: who asks for a token is refused, so the secrets are given where they are not used.
    let space = Space::new();
    let mut command = space.locker(&["run", "x", "env"]);
    command.env("LOCKER_PASSWORD", "secret1").env("ETCDCTL_PASSWORD", "secret2");
    let ended = ended(command);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("LOCKER_TOKEN=") && !ended.stdout.contains("secret"), "{}", ended.stdout);
}

#[test]
fn options_of_the_command_are_left_alone() {
    let space = Space::new();
    for arguments in
        [&["run", "x", "echo", "-n", "--ttl", "--", "-w"][..], &["run", "x", "--", "echo", "-n", "--ttl", "--", "-w"]]
    {
        assert_eq!(space.run(arguments).stdout, "--ttl -- -w\n", "{arguments:?}");
    }
}

#[test]
fn a_busy_lock_is_refused_with_its_holder() {
    let space = Space::new();
    let holder = space.hold("x", &["--reason", "yum upgrade", "--value", "node-3"]);
    let pid = holder.pid().as_raw_pid();
    for (options, code) in [
        (&["-n"][..], 75),
        (&["-w", "0"], 75),
        (&["-w", "0.2"], 75),
        (&["-n", "-E", "3"], 3),
        (&["-w", "200ms", "-E", "0"], 0),
    ] {
        let ended = space.run(&[&["run", "x"], options, &["touch", "/nonexistent/never"]].concat());
        assert_eq!(ended.code, code, "{options:?}: {}", ended.stderr);
        for part in [
            "locker: x is busy: held by ",
            &format!("(tail, pid {pid})"),
            " since 20",
            "reason: yum upgrade",
            "value: node-3",
            "token ",
        ] {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
    }
    assert_eq!(space.queue("x").len(), 1);
}

#[test]
fn who_does_not_wait_has_never_been_in_the_queue() {
    let space = Space::new();
    let holder = space.hold("x", &[]);
    let events = space.events("x");
    assert_eq!(space.run(&["run", "x", "-n", "true"]).code, 75);
    drop(holder);
    // The first thing that happened since is that the holder left.
    events.left();
}

#[test]
fn a_wait_lasts_as_long_as_was_said() {
    let space = Space::new();
    let _holder = space.hold("x", &[]);
    let begun = Instant::now();
    assert_eq!(space.run(&["run", "x", "-w", "0.7", "true"]).code, 75);
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert_eq!(space.queue("x").len(), 1);
}

#[test]
fn those_who_wait_come_one_after_the_other_with_rising_tokens() {
    let space = Space::new();
    let holder = space.hold("x", &[]);
    let events = space.events("x");
    let log = tempfile::NamedTempFile::new().unwrap();
    let script = format!("echo $1 $LOCKER_TOKEN >>{}", log.path().display());
    let waiters: Vec<Process> = ["a", "b", "c"]
        .iter()
        .map(|who| {
            let waiter = space.start(&["run", "x", "sh", "-c", &script, "sh", who]);
            events.entered();
            waiter
        })
        .collect();
    drop(holder);
    for waiter in waiters {
        assert_eq!(waiter.end().code, 0);
    }
    let log = fs::read_to_string(log.path()).unwrap();
    let (names, tokens): (Vec<&str>, Vec<u64>) = log
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, token)| (name, token.parse::<u64>().unwrap()))
        .unzip();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(tokens.is_sorted(), "{tokens:?}");
}

#[test]
fn the_command_dies_with_locker() {
    let space = Space::new();
    let process = space.start(&["run", "x", "--ttl", "2", "--", "sh", "-c", "echo held; exec sleep 1000"]);
    process.line_with("held");
    process.signal(Signal::KILL);
    // It has inherited the output whose end `end` waits for.
    assert_eq!(process.end().code, 137);
    // And the lock ends with its lease.
    assert_eq!(space.run(&["run", "x", "-w", "30", "true"]).code, 0);
}

#[test]
fn a_lock_in_a_lock() {
    let space = Space::new();
    let ended = space.run(&["run", "outer", LOCKER, "run", "inner", "sh", "-c", "echo $LOCKER_NAME; exit 4"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (4, "inner\n"), "{}", ended.stderr);
    assert_eq!(space.keys(), "");
}
