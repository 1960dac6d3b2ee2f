//! `locker run` in its other modes: readers, so many at most, several locks at once.

use crate::etcd::{Space, etcdctl};
use locker_harness::Process;
use rustix::process::Signal;
use serde_json::Value;

fn object(space: &Space, name: &str) -> Value {
    serde_json::from_str(&space.run(&["get", "--json", name]).stdout).unwrap()
}

/// Runs it without waiting, and gives the message of one that found it busy.
fn refused(space: &Space, name: &str, options: &[&str]) -> String {
    let ended = space.run(&[&["run", name, "-n"], options, &["touch", "/nonexistent/never"]].concat());
    assert_eq!(ended.code, 75, "{options:?}: {}", ended.stderr);
    ended.stderr
}

#[test]
fn readers_hold_it_together_and_a_writer_alone() {
    let space = Space::new();
    let watch = space.start(&["watch", "x"]);
    assert_eq!(watch.line(), "free");
    let first = space.hold("x", &["--shared"]);
    assert!(watch.line().starts_with("shared by 1, first by "));
    let second = space.hold("x", &["-s"]);
    assert!(watch.line().starts_with("shared by 2, first by "));

    let line = space.run(&["get", "x"]).stdout;
    assert!(line.contains(&format!("(tail, pid {})", first.pid().as_raw_pid())), "{line}");
    let info = object(&space, "x");
    assert_eq!((&info["mode"], &info["holders"], &info["limit"]), (&"shared".into(), &2.into(), &0.into()));
    let message = refused(&space, "x", &[]);
    assert!(message.starts_with("locker: x is busy: shared by 2, first by "), "{message}");
    assert!(!message.contains("waiting"), "{message}");

    let events = space.events("x");
    let writer = space.start(&["run", "x", "tail", "-f", space.held()]);
    events.entered();
    // Nobody passes the writer.
    let message = refused(&space, "x", &["--shared"]);
    assert!(message.contains("x is busy: shared by 2") && message.ends_with(", 1 waiting\n"), "{message}");
    drop(first);
    assert!(writer.is_silent());
    drop(second);
    assert_eq!(writer.line(), "held");
    let message = refused(&space, "x", &["--shared"]);
    assert!(message.starts_with("locker: x is busy: held by "), "{message}");
    writer.signal(Signal::TERM);
    assert_eq!(writer.end().code, 143);
    assert_eq!(space.keys(), "");
}

#[test]
fn so_many_at_most_and_etcdctl_alone() {
    let space = Space::new();
    let mut holders: Vec<Process> = (0..3).map(|_| space.hold("x", &["--limit", "3"])).collect();
    let info = object(&space, "x");
    assert_eq!((&info["mode"], &info["holders"], &info["limit"]), (&"shared".into(), &3.into(), &3.into()));
    let message = refused(&space, "x", &["-l", "3"]);
    assert!(message.starts_with("locker: x is busy: shared by 3 of 3, first by "), "{message}");

    let events = space.events("x");
    let key = format!("{}x", space.prefix);
    let other = Process::start(space.command(&etcdctl(), &["lock", &key]));
    events.entered();
    drop(holders.pop());
    events.left();
    // There is room, but somebody waits who wants it alone.
    let fourth = space.start(&["run", "x", "--limit", "3", "tail", "-f", space.held()]);
    events.entered();
    let line = space.run(&["get", "x"]).stdout;
    assert!(line.starts_with("shared by 2 of 3, first by ") && line.ends_with(", 2 waiting\n"), "{line}");
    assert!(other.is_silent() && fourth.is_silent());

    holders.clear();
    other.line_with(&key);
    assert!(fourth.is_silent());
    drop(other);
    assert_eq!(fourth.line(), "held");
}

#[test]
fn another_limit_is_refused_with_both() {
    let space = Space::new();
    let _holder = space.hold("x", &["--limit", "3"]);
    for (options, said) in [(&["--limit", "2"][..], "2"), (&["--shared"], "none")] {
        let ended = space.run(&[&["run", "x"], options, &["true"]].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("limit is {said}")) && ended.stderr.contains('3'), "{}", ended.stderr);
    }
    assert_eq!(space.queue("x").len(), 1);
}

#[test]
fn several_locks_are_had_together() {
    let space = Space::new();
    let script = "printf '%s|' \"$LOCKER_NAME\" \"$LOCKER_NAMES\" \"$LOCKER_KEY\" \"$LOCKER_KEYS\" | tr '\\n' ,; echo; \
                  echo $LOCKER_TOKEN; exec cat";
    let process = space.start(&["run", "a", "--and", "b c", "--and", "d", "-c", script]);
    let line = process.line();
    let queues: Vec<String> = ["a", "b c", "d"].iter().flat_map(|name| space.queue(name)).collect();
    assert_eq!(line, format!("a|a,b c,d|{}|{}|", queues[0], queues.join(",")));
    let token: i64 = process.line().parse().unwrap();
    for name in ["a", "b c", "d"] {
        assert_eq!(object(&space, name)["token"], token, "{name}");
        assert!(refused(&space, name, &[]).contains(&format!("locker: {name} is busy: held by ")));
    }
    assert_eq!(process.end().code, 0);
    assert_eq!(space.keys(), "");
}

#[test]
fn several_locks_are_had_all_or_none() {
    let space = Space::new();
    let holder = space.hold("b", &[]);
    let events = space.events("a");
    let message = refused(&space, "a", &["--and", "b"]);
    assert!(message.starts_with("locker: b is busy: held by "), "{message}");

    let waiter = space.start(&["run", "a", "--and", "b", "tail", "-f", space.held()]);
    // The first thing that happened to it: who was refused has never been there.
    let key = events.entered();
    assert!(waiter.is_silent());
    waiter.signal(Signal::INT);
    assert_eq!(waiter.end().code, 130);
    assert_eq!(events.left(), key);
    assert_eq!((space.queue("a").len(), space.queue("b").len()), (0, 1));

    let waiter = space.start(&["run", "a", "--and", "b", "tail", "-f", space.held()]);
    drop(holder);
    assert_eq!(waiter.line(), "held");
    // What is lost of it in one place is given up in all.
    space.etcdctl(&["del", &space.queue("b")[0]]);
    let ended = waiter.end();
    assert_eq!(ended.code, 76, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("locker: a, b: "), "{}", ended.stderr);
    assert_eq!(space.keys(), "");
}

#[test]
fn who_wants_several_locks_in_any_order_waits_for_nobody_who_waits_for_him() {
    let space = Space::new();
    let orders = [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]];
    let all: Vec<Process> = (0..9)
        .map(|n| {
            let [one, two, three] = orders[n % orders.len()];
            space.start(&["run", one, "--and", two, "--and", three, "true"])
        })
        .collect();
    for process in all {
        let ended = process.end();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    assert_eq!(space.keys(), "");
}

#[test]
fn a_name_too_many() {
    let space = Space::new();
    let names: Vec<String> = (0..61).map(|n| n.to_string()).collect();
    let many: Vec<&str> = names[1..].iter().flat_map(|name| ["-a", name]).collect();
    for (more, named) in [(&["-a", "0"][..], "twice"), (&many, "60")] {
        let ended = space.run(&[&["run", "0"], more, &["true"]].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(named), "{}", ended.stderr);
    }
}
