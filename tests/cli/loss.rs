//! What happens to the command of `locker run` when its lock is lost, or may be.

use crate::LOCKER;
use crate::etcd::Space;
use locker_harness::{Etcd, Process, wait_until};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// A command that says when it is asked to end, with a helper that does the same.
const POLITE: &str = "(trap 'echo helper asked; exit' TERM; echo helper ready; while :; do sleep 0.05; done) & \
                      trap 'wait; echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
/// One that does not want to, and neither does its helper.
const STUBBORN: &str =
    "trap '' TERM; (echo ready; while :; do sleep 0.05; done) & echo ready; while :; do sleep 0.05; done";

#[test]
fn a_lost_lock_stops_the_command() {
    let space = Space::new();
    let process = space.start(&["run", "x", "-c", POLITE]);
    process.line_with("ready");
    process.line_with("ready");
    space.etcdctl(&["del", &space.queue("x")[0]]);
    let ended = process.end();
    // That it ended with 0 does not hide the loss.
    assert_eq!((ended.code, ended.stdout.as_str()), (76, "helper asked\nasked\n"), "{}", ended.stderr);
    // The shell tells of the signal too.
    assert!(ended.stderr.lines().any(|line| line.starts_with("locker: x: ")), "{}", ended.stderr);
    assert_eq!(space.keys(), "");
}

#[test]
fn a_command_that_will_not_end_is_killed_with_its_children() {
    let space = Space::new();
    let process = space.start(&["run", "x", "--kill-after", "0.3", "-c", STUBBORN]);
    process.line_with("ready");
    process.line_with("ready");
    let begun = Instant::now();
    space.etcdctl(&["del", &space.queue("x")[0]]);
    // `end` waits until nobody holds the output any more.
    assert_eq!(process.end().code, 76);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[test]
fn children_that_outlive_a_stopped_command_are_killed() {
    let space = Space::new();
    let script = "(trap '' TERM; echo ready; while :; do sleep 0.05; done) & trap 'exit 0' TERM; echo ready; wait";
    let process = space.start(&["run", "x", "--kill-after", "0.3", "-c", script]);
    process.line_with("ready");
    process.line_with("ready");
    space.etcdctl(&["del", &space.queue("x")[0]]);
    assert_eq!(process.end().code, 76);
}

#[test]
fn a_command_that_stands_still_is_stopped_too() {
    let space = Space::new();
    let process =
        space.start(&["run", "x", "-c", "trap 'echo asked; exit' TERM; echo $$; while :; do sleep 0.05; done"]);
    let command = rustix::process::Pid::from_raw(process.line().parse().unwrap()).unwrap();
    rustix::process::kill_process(command, Signal::STOP).unwrap();
    space.etcdctl(&["del", &space.queue("x")[0]]);
    let ended = process.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (76, "asked\n"), "{}", ended.stderr);
}

#[test]
fn the_command_is_dead_before_another_can_hold_the_lock() {
    let etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    let process = space.start(&["run", "x", "--ttl", "2", "-c", STUBBORN]);
    process.line_with("ready");
    process.line_with("ready");
    // From now on etcd answers nobody: the lease cannot be renewed, and would last for two seconds at most.
    let begun = Instant::now();
    etcd.stop();
    let ended = process.end();
    etcd.go_on();
    assert_eq!(ended.code, 76, "{}", ended.stderr);
    // The kill came when the lock ran out, not after the five seconds of `--kill-after`; what else takes time is one
    // attempt to give the lease back.
    assert!(begun.elapsed() < Duration::from_secs(2 + 5), "{:?}", begun.elapsed());
}

#[test]
fn the_commands_own_code_survives_an_etcd_that_is_gone_at_the_end() {
    let etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    let mut process = space.start(&["run", "x", "--command-timeout", "3", "-c", "echo held; cat; exit 5"]);
    process.line_with("held");
    etcd.stop();
    process.close_stdin();
    let begun = Instant::now();
    let ended = process.end();
    etcd.go_on();
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("not released"), "{}", ended.stderr);
    // It is asked once, and not again to end the lease.
    assert!(begun.elapsed() < Duration::from_millis(5500), "{:?}", begun.elapsed());
}

#[test]
fn an_etcd_that_is_gone_is_not_asked_again_after_the_wait() {
    let etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    let holder = space.hold("x", &[]);
    let events = space.events("x");
    let begun = Instant::now();
    let waiter = space.start(&["run", "x", "--wait", "6", "--command-timeout", "4", "true"]);
    events.entered();
    etcd.stop();
    let ended = waiter.end();
    etcd.go_on();
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(holder);
}

#[test]
fn an_etcd_that_was_wiped_is_told_as_what_it_is() {
    let mut etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    let holder = space.hold("x", &[]);
    let events = space.events("x");
    let waiter = space.start(&["run", "x", "true"]);
    events.entered();
    let watch = space.start(&["watch", "x"]);
    watch.line_with("1 waiting");
    drop(events);
    etcd.wipe();
    for (process, code) in [(holder, 76), (waiter, 69), (watch, 69)] {
        let ended = process.end();
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(ended.stderr.contains("locker: "), "{}", ended.stderr);
    }
}

#[test]
fn a_lock_that_was_lost_unseen_is_no_success() {
    let space = Space::new();
    // While `locker` stands still, its command ends and its key goes: it finds both at once.
    let mut process = space.start(&["run", "x", "-c", "echo held; cat"]);
    process.line_with("held");
    process.signal(Signal::STOP);
    let events = space.events("x");
    space.etcdctl(&["del", &space.queue("x")[0]]);
    events.left();
    process.close_stdin();
    process.signal(Signal::CONT);
    let ended = process.end();
    assert_eq!(ended.code, 76, "{}", ended.stderr);
    assert!(ended.stderr.contains("x"), "{}", ended.stderr);
}

#[test]
fn a_command_is_dead_before_another_holds_the_lock_though_locker_stands_still() {
    let space = Space::new();
    let process = space.start(&["run", "x", "--ttl", "2", "-c", "trap '' TERM; sleep 600 & echo $! $$; wait"]);
    let pids = process.line();
    process.signal(Signal::STOP);
    // The next gets it when its lease has ended.
    let next = space.hold("x", &[]);
    for pid in pids.split(' ') {
        // What is dead may have nobody yet to be told to.
        assert!(matches!(state(pid), None | Some('Z')), "{pid}");
    }
    process.signal(Signal::CONT);
    drop(next);
    let ended = process.end();
    assert_eq!(ended.code, 76, "{}", ended.stderr);
}

#[test]
fn the_whole_group_ends_with_a_locker_that_is_killed() {
    let space = Space::new();
    let process = space.start(&["run", "x", "--ttl", "2", "-c", STUBBORN]);
    process.line_with("ready");
    process.line_with("ready");
    process.signal(Signal::KILL);
    // `end` waits until nobody holds the output any more.
    assert_eq!(process.end().code, 137);
}

#[test]
fn a_command_may_run_longer_than_the_lease() {
    let space = Space::new();
    let begun = Instant::now();
    assert_eq!(space.run(&["run", "x", "--ttl", "2", "sleep", "4"]).code, 0);
    assert!(begun.elapsed() >= Duration::from_secs(4));
}

/// What a process does, as a letter: `T` if it stands still.
fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// `locker run` with its messages among its output.
fn loud(space: &Space, arguments: &[&str]) -> Process {
    Process::start(space.command("sh", &[&["-c", "exec \"$0\" run \"$@\" 2>&1", LOCKER], arguments].concat()))
}

#[test]
fn a_frozen_command_goes_on_when_the_lock_is_sure_again() {
    let etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    let script = "trap 'echo asked; exit 7' TERM; echo $$; while :; do sleep 0.05; done";
    let process = space.start(&["run", "x", "--ttl", "8", "--on-lost", "freeze", "-c", script]);
    let pid = process.line();
    etcd.stop();
    wait_until("the command stands still", || state(&pid) == Some('T'));
    // What it is asked now, it does later.
    process.signal(Signal::TERM);
    assert!(process.is_silent());
    assert_eq!(state(&pid), Some('T'));
    etcd.go_on();
    assert_eq!(process.line(), "asked");
    let ended = process.end();
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(ended.stderr.contains("stands still until it is sure again"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the lock is sure again; the command goes on"), "{}", ended.stderr);
    assert_eq!(space.keys(), "");
}

#[test]
fn a_frozen_command_never_runs_without_the_lock() {
    let etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    let begun = Instant::now();
    let process = space.start(&["run", "x", "--ttl", "2", "--on-lost", "freeze", "-c", POLITE]);
    process.line_with("ready");
    process.line_with("ready");
    etcd.stop();
    let ended = process.end();
    etcd.go_on();
    assert_eq!((ended.code, ended.stdout.as_str()), (76, ""), "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(2 + 5), "{:?}", begun.elapsed());

    // A loss that nothing tells before.
    let process = space.start(&["run", "y", "--on-lost", "freeze", "-c", POLITE]);
    process.line_with("ready");
    process.line_with("ready");
    space.etcdctl(&["del", &space.queue("y")[0]]);
    let ended = process.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (76, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("the command is killed"), "{}", ended.stderr);
}

#[test]
fn a_command_may_go_on_without_the_lock_and_its_code_comes_back() {
    let etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    let mut process = loud(&space, &["x", "--ttl", "2", "--on-lost", "warn", "-c", "echo begun; cat; exit 5"]);
    process.line_with("begun");
    etcd.stop();
    // At risk, and lost.
    process.line_with("the command goes on");
    process.line_with("the command goes on");
    etcd.go_on();
    assert_eq!(space.run(&["run", "x", "-w", "30", "true"]).code, 0);
    process.write("more\n");
    process.line_with("more");
    let ended = process.end();
    assert_eq!(ended.code, 5, "{}", ended.stdout);
}

#[test]
fn a_command_that_may_go_on_does_so_though_locker_stands_still() {
    let space = Space::new();
    let mut process = space.start(&["run", "x", "--ttl", "2", "--on-lost", "warn", "-c", "echo $$; cat; exit 5"]);
    let pid = process.line();
    process.signal(Signal::STOP);
    let next = space.hold("x", &[]);
    assert_eq!(state(&pid), Some('S'));
    process.signal(Signal::CONT);
    process.write("more\n");
    assert_eq!(process.line(), "more");
    let ended = process.end();
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert_eq!(space.queue("x").len(), 1);
    drop(next);
}

#[test]
fn a_command_that_may_go_on_ends_with_a_locker_that_is_killed() {
    let space = Space::new();
    let process = space.start(&["run", "x", "--ttl", "2", "--on-lost", "warn", "-c", STUBBORN]);
    process.line_with("ready");
    process.line_with("ready");
    process.signal(Signal::KILL);
    // `end` waits until nobody holds the output any more.
    assert_eq!(process.end().code, 137);
}

#[test]
fn who_is_verbose_tells_what_is_waited_for_and_that_it_has_come() {
    let space = Space::new();
    let first = space.hold("x", &["--reason", "one"]);
    let events = space.events("x");
    let second = space.start(&["run", "x", "--reason", "two", "tail", "-f", space.held()]);
    events.entered();
    let third = loud(&space, &["-v", "y", "--and", "x", "echo", "run"]);
    assert!(third.line().starts_with("locker: waiting for x: held by "));
    drop(first);
    let line = third.line_with("waiting for x: held by ");
    assert!(line.contains("reason: two"), "{line}");
    drop(second);
    let line = third.line_with("held, token ");
    assert!(line.starts_with("locker: y, x: held, token "), "{line}");
    assert_eq!(third.line(), "run");
    assert_eq!(third.end().code, 0);

    let at_once = loud(&space, &["-v", "x", "-n", "true"]);
    assert!(at_once.line().starts_with("locker: x: held, token "));
    assert_eq!(at_once.end().code, 0);
}
