//! `locker get` and `locker watch`.

use crate::LOCKER;
use crate::etcd::{Space, etcdctl};
use locker_harness::{Ended, Process, ended};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

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
    let info = object(&get(&space, &["x", "--json"]));
    assert!(info["revision"].as_i64().unwrap() > 0, "{info}");
    let expected = json!({
        "name": "x", "token": 0, "mode": "free", "value": "", "reason": "", "host": "", "pid": 0, "program": "",
        "since": null, "holders": 0, "limit": 0, "waiters": 0, "lease_left": null, "revision": info["revision"],
    });
    assert_eq!(info, expected);
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
        ("holders", json!(1)),
        ("limit", json!(0)),
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

/// A pipe that is full, and stays so while its reader lives.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    // Opened anew: who inherits the other is not to find it non-blocking.
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut filler = File::options().write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path).unwrap();
    while filler.write(&[b'.'; 4096]).is_ok() {}
    (reader, writer)
}

#[test]
fn a_signal_ends_what_nobody_reads() {
    let space = Space::new();
    for command in ["get", "watch"] {
        let (_reader, writer) = full_pipe();
        let mut locker = space.locker(&[command, "x"]).stdout(writer).spawn().unwrap();
        // Long enough for it to have something to say.
        sleep(Duration::from_millis(500));
        assert_eq!(locker.try_wait().unwrap(), None);
        kill_process(Pid::from_child(&locker), Signal::TERM).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && locker.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(10));
        }
        // One that does not end must not outlive this test.
        locker.kill().unwrap();
        assert_eq!(locker.wait().unwrap().code(), Some(143), "{command}");
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
fn a_watch_ends_when_nobody_reads_it_though_the_pipe_is_anothers() {
    let space = Space::new();
    // What may not be opened anew, as the pipe of another user; root may not either without these capabilities.
    let script = "drop='setpriv --bounding-set=-dac_override,-dac_read_search'; [ \"$(id -u)\" = 0 ] || drop=
                  { chmod 0 /proc/self/fd/1; exec $drop \"$0\" watch x; } | head -n1; echo ${PIPESTATUS[0]}";
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
