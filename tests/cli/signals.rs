//! Signals to `locker run`: passed on while the command runs, the end of the wait before.

use crate::etcd::Space;
use locker_harness::{Process, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;

const PASSED_ON: [(Signal, &str, i32); 6] = [
    (Signal::INT, "INT", 130),
    (Signal::TERM, "TERM", 143),
    (Signal::HUP, "HUP", 129),
    (Signal::QUIT, "QUIT", 131),
    (Signal::USR1, "USR1", 138),
    (Signal::USR2, "USR2", 140),
];

#[test]
fn a_command_may_do_with_a_signal_what_it_likes() {
    let space = Space::new();
    let traps: String =
        PASSED_ON.iter().map(|(_, name, _)| format!("trap 'echo got {name}; n=x$n' {name}; ")).collect();
    let script = format!("{traps} echo ready; until [ \"$n\" = xxxxxx ]; do sleep 0.05; done; exit 5");
    let process = space.start(&["run", "x", "sh", "-c", &script]);
    process.line_with("ready");
    for (signal, name, _) in PASSED_ON {
        process.signal(signal);
        process.line_with(&format!("got {name}"));
    }
    assert_eq!(process.end().code, 5);
}

#[test]
fn a_signal_that_ends_the_command_frees_the_lock() {
    let space = Space::new();
    for (signal, name, code) in PASSED_ON {
        let process = space.hold("x", &[]);
        process.signal(signal);
        assert_eq!(process.end().code, code, "{name}");
        assert_eq!(space.keys(), "", "{name}");
    }
}

#[test]
fn a_signal_reaches_the_commands_children_too() {
    let space = Space::new();
    let script = "(trap 'echo grandchild ended; exit' TERM; echo grandchild ready; while :; do sleep 0.05; done) & \
                  trap 'wait; echo child ended; exit 3' TERM; echo child ready; while :; do sleep 0.05; done";
    let process = space.start(&["run", "x", "-c", script]);
    // In any order.
    process.line_with("ready");
    process.line_with("ready");
    process.signal(Signal::TERM);
    let ended = process.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "grandchild ended\nchild ended\n"), "{}", ended.stderr);
    assert_eq!(space.run(&["get", "x"]).stdout, "free\n");
}

#[test]
fn a_command_that_stands_still_can_be_ended() {
    let space = Space::new();
    let process = space.start(&["run", "x", "-c", "echo $$; exec sleep 1000"]);
    let command = Pid::from_raw(process.line().parse().unwrap()).unwrap();
    kill_process(command, Signal::STOP).unwrap();
    process.signal(Signal::TERM);
    assert_eq!(process.end().code, 143);
}

#[test]
fn a_signal_while_waiting_leaves_the_queue() {
    let space = Space::new();
    let holder = space.hold("x", &[]);
    for (signal, name, code) in PASSED_ON {
        let events = space.events("x");
        let waiter = space.start(&["run", "x", "true"]);
        let key = events.entered();
        waiter.signal(signal);
        let ended = waiter.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (code, ""), "{name}");
        assert_eq!(events.left(), key, "{name}");
        assert_eq!(space.queue("x").len(), 1, "{name}");
    }
    assert_eq!(space.etcdctl(&["lease", "list"]).matches(&lease_of(&space.queue("x")[0])).count(), 1);
    drop(holder);
    assert_eq!(space.keys(), "");
}

/// The lease in a key, as `lease list` writes it.
fn lease_of(key: &str) -> String {
    let place = key.rsplit('/').next().unwrap();
    format!("{:0>16}", place.split('-').next().unwrap())
}

#[test]
fn what_outlives_a_stopped_command_hears_signals_and_two_are_enough_to_end_it() {
    let space = Space::new();
    let script = "(trap 'echo heard' USR1; trap '' TERM INT; echo ready; while :; do sleep 0.05; done) &
                  trap 'exit 3' TERM; echo $$; while :; do wait; done";
    let process = space.start(&["run", "x", "--kill-after", "10m", "-c", script]);
    let (one, other) = (process.line(), process.line());
    let command = if one == "ready" { other } else { one };
    space.etcdctl(&["del", &space.queue("x")[0]]);
    wait_until("the command is reaped", || !Path::new(&format!("/proc/{command}")).exists());
    process.signal(Signal::USR1);
    process.line_with("heard");
    process.signal(Signal::TERM);
    assert!(process.is_silent());
    process.signal(Signal::INT);
    // The loss is not hidden by the signals.
    assert_eq!(process.end().code, 76);
}

#[test]
fn what_was_ignored_stays_ignored() {
    let space = Space::new();
    let script = "trap '' HUP; exec \"$0\" run x sh -c 'echo held; cat; echo lives'";
    let mut process = Process::start(space.command("sh", &["-c", script, crate::LOCKER]));
    process.line_with("held");
    process.signal(Signal::HUP);
    process.write("more\n");
    assert_eq!(process.line(), "more");
    process.close_stdin();
    let ended = process.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "lives\n"));
}
