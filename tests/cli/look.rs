//! `locker get` and `locker watch`.

use crate::LOCKER;
use crate::etcd::{Space, etcdctl};
use locker_harness::{Ended, Process, ended};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::SystemTime;

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn get(space: &Space, arguments: &[&str]) -> String {
    let Ended { code, stdout, stderr } = space.run(&[&["get"], arguments].concat());
    assert_eq!((code, stderr.as_str(), stdout.matches('\n').count()), (0, "", 1), "{stdout}");
    stdout.trim_end().to_owned()
}

#[test]
fn a_free_lock() {
    let space = Space::new();
    assert_eq!(get(&space, &["x"]), "free");
    let expected = json!({
        "name": "x", "token": 0, "mode": "free", "value": "", "reason": "", "host": "", "pid": 0, "program": "",
        "since": null, "waiters": 0, "lease_left": null,
    });
    assert_eq!(object(&get(&space, &["x", "--json"])), expected);
}

#[test]
fn a_held_lock() {
    let space = Space::new();
    let holder = space.hold("x", &["--reason", "yum upgrade", "--value", "node-3"]);
    let events = space.events("x");
    let _waiter = space.start(&["run", "x", "true"]);
    events.entered();

    let info = object(&get(&space, &["--json", "x"]));
    let fields = space.etcdctl(&["get", &space.queue("x")[0], "-w", "fields"]);
    assert!(fields.contains(&format!("\"CreateRevision\" : {}\n", info["token"])), "{fields}");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let expected = [
        ("name", json!("x")),
        ("mode", json!("exclusive")),
        ("value", json!("node-3")),
        ("reason", json!("yum upgrade")),
        ("host", json!(host)),
        ("pid", json!(holder.pid().as_raw_pid())),
        ("program", json!("tail")),
        ("waiters", json!(1)),
    ];
    for (field, value) in expected {
        assert_eq!(info[field], value, "{info}");
    }
    let since = humantime::parse_rfc3339(info["since"].as_str().unwrap()).unwrap();
    assert!(SystemTime::now().duration_since(since).unwrap() < locker_harness::PATIENCE);

    let line = get(&space, &["x"]);
    let expected = format!("held by {host} (tail, pid {}) since ", holder.pid().as_raw_pid());
    assert!(line.starts_with(&expected), "{line}");
    let expected = format!(", reason: yum upgrade, value: node-3, token {}, 1 waiting", info["token"]);
    assert!(line.ends_with(&expected), "{line}");
}

#[test]
fn a_foreign_holder() {
    let space = Space::new();
    let name = format!("{}x", space.prefix);
    let holder = Process::start(space.command(&etcdctl(), &["lock", &name]));
    // Then it holds.
    holder.line_with(&name);
    assert_eq!(object(&get(&space, &["x", "--json"]))["mode"], "foreign");
    let line = get(&space, &["x"]);
    assert!(line.starts_with("held by something that is not locker"), "{line}");
}

#[test]
fn what_others_wrote_cannot_steer_a_terminal() {
    let space = Space::new();
    let _holder = space.hold("x", &["--reason", "\u{1b}[2J\nfree"]);
    let line = get(&space, &["x"]);
    assert!(line.contains(r"reason: \u{1b}[2J\nfree"), "{line}");
    assert_eq!(object(&get(&space, &["x", "--json"]))["reason"], "\u{1b}[2J\nfree");
}

#[test]
fn a_watch_tells_each_change() {
    let space = Space::new();
    let (text, json) = (space.start(&["watch", "x"]), space.start(&["watch", "--json", "x"]));
    assert_eq!(text.line(), "free");
    assert_eq!(object(&json.line())["token"], 0);
    for reason in ["one", "two"] {
        let holder = space.hold("x", &["--reason", reason]);
        assert!(text.line_with("held by ").contains(&format!("reason: {reason}")));
        let info = object(&json.line());
        assert_eq!((&info["reason"], &info["pid"]), (&json!(reason), &json!(holder.pid().as_raw_pid())));
        drop(holder);
        assert_eq!(text.line_with("free"), "free");
        assert_eq!(object(&json.line())["mode"], "free");
    }
}

#[test]
fn a_watch_ends_by_a_signal() {
    let space = Space::new();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let watch = space.start(&["watch", "x"]);
        assert_eq!(watch.line(), "free");
        watch.signal(signal);
        let ended = watch.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (code, ""));
    }
}

#[test]
fn a_watch_ends_when_nobody_reads_it() {
    let space = Space::new();
    // Nothing changes hands: that the reader goes is all there is to notice.
    let script = "\"$0\" watch x | head -n1; echo ${PIPESTATUS[0]}";
    let ended = ended(space.command("bash", &["-c", script, LOCKER]));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("free\n141\n", ""));
}

#[test]
fn failures() {
    let space = Space::new();
    let away = ["--endpoints", "http://127.0.0.1:1", "--command-timeout", "1"];
    for command in ["get", "watch"] {
        assert_eq!(space.run(&[command]).code, 2);
        assert_eq!(space.run(&[command, ""]).code, 2);
        let ended = space.run(&[&[command, "x"], &away[..]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (69, ""));
        assert!(ended.stderr.starts_with("locker: ") && ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);
    }
}
