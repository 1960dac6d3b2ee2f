//! `locker dev`: that it gives an etcd, and that nothing of it stays.

use crate::LOCKER;
use crate::etcd::{etcd_of, etcdctl};
use locker_harness::{PATIENCE, Process, ended, program};
use rustix::process::{Pid, Signal};
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn dev(arguments: &[&str]) -> Command {
    let mut command = program(LOCKER);
    command.arg("dev").args(arguments);
    command
}

/// A running `locker dev` and what must not outlive it.
struct Dev {
    process: Process,
    endpoint: String,
    directory: PathBuf,
    /// A connection to its etcd, which ends with it.
    connection: TcpStream,
}

impl Dev {
    fn start() -> Self {
        let process = Process::start(dev(&[]));
        let endpoint = process.line();
        let directory = directory_of(etcd_of(process.pid()));
        let connection = TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        Dev { process, endpoint, directory, connection }
    }

    /// Waits until its etcd has ended.
    fn await_etcds_end(mut connection: TcpStream) {
        let read = connection.read(&mut [0]);
        let reset = read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(reset || matches!(read, Ok(0)), "{read:?}");
    }
}

/// The temporary directory of an etcd.
fn directory_of(etcd: Pid) -> PathBuf {
    let line = fs::read(format!("/proc/{}/cmdline", etcd.as_raw_pid())).unwrap();
    let words: Vec<&str> = std::str::from_utf8(&line).unwrap().split('\0').collect();
    let data = words.iter().position(|word| *word == "--data-dir").expect("an etcd");
    Path::new(words[data + 1]).parent().unwrap().to_owned()
}

#[test]
fn it_serves_until_a_signal_and_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let Dev { process, endpoint, directory, connection } = Dev::start();
        assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
        let mut put = program(&etcdctl());
        put.args(["--endpoints", &endpoint, "put", "a", "b"]).env("ETCDCTL_API", "3");
        assert_eq!(ended(put).stdout, "OK\n");
        assert!(directory.exists());
        process.signal(signal);
        let ended = process.end();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
        assert!(!directory.exists());
        Dev::await_etcds_end(connection);
    }
}

#[test]
fn two_at_once_are_two() {
    let (one, two) = (Dev::start(), Dev::start());
    assert_ne!(one.endpoint, two.endpoint);
    one.process.signal(Signal::TERM);
    assert_eq!(one.process.end().code, 0);
    let mut put = program(&etcdctl());
    put.args(["--endpoints", &two.endpoint, "put", "a", "b"]).env("ETCDCTL_API", "3");
    assert_eq!(ended(put).stdout, "OK\n");
}

#[test]
fn etcd_does_not_survive_a_kill_and_the_next_one_cleans_up() {
    let Dev { process, directory, connection, .. } = Dev::start();
    process.signal(Signal::KILL);
    assert_eq!(process.end().code, 137);
    Dev::await_etcds_end(connection);
    assert!(directory.exists(), "nobody could remove it");
    assert_eq!(ended(dev(&["true"])).code, 0);
    assert!(!directory.exists());
}

#[test]
fn a_command_finds_it_and_its_code_comes_back() {
    let script = "test \"$LOCKER_ENDPOINTS\" = \"$ETCDCTL_ENDPOINTS\" && \"$1\" put a b && \"$0\" run x sh -c 'exit 7'";
    let ended = ended(dev(&["--", "sh", "-c", script, LOCKER, &etcdctl()]));
    assert_eq!((ended.code, ended.stdout.as_str()), (7, "OK\n"), "{}", ended.stderr);
}

#[test]
fn exit_codes_of_the_command() {
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["no-such-program-anywhere"], 127),
        (&["/"], 126),
    ] {
        let ended = ended(dev(command));
        assert_eq!(ended.code, code, "{command:?}: {}", ended.stderr);
    }
}

#[test]
fn a_signal_goes_to_the_commands_group_and_nothing_stays() {
    // A shell has what it starts in the background ignore SIGINT.
    for (signal, helped_by) in [(Signal::TERM, "true"), (Signal::INT, "kill $helper")] {
        let script = format!(
            "(trap 'echo helper asked; exit' TERM; echo ready; while :; do sleep 0.05; done) & helper=$!; \
             trap '{helped_by}; wait; echo asked; exit 9' TERM INT; echo ready; while :; do sleep 0.05; done"
        );
        let process = Process::start(dev(&["sh", "-c", &script]));
        process.line_with("ready");
        process.line_with("ready");
        let directory = directory_of(etcd_of(process.pid()));
        process.signal(signal);
        let ended = process.end();
        assert_eq!((ended.code, ended.stdout.as_str()), (9, "helper asked\nasked\n"), "{}", ended.stderr);
        assert!(!directory.exists());
    }
}

#[test]
fn what_the_command_leaves_behind_is_killed() {
    // `end` waits until nobody holds the output any more.
    let ended = ended(dev(&["sh", "-c", "(trap '' TERM INT HUP; exec sleep 1000) & echo left"]));
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "left\n"));
}

#[test]
fn the_command_is_told_when_dev_is_killed() {
    let process =
        Process::start(dev(&["sh", "-c", "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.05; done"]));
    process.line_with("ready");
    process.signal(Signal::KILL);
    let ended = process.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (137, "told\n"));
}

#[test]
fn the_command_is_ended_when_etcd_is_gone() {
    let process =
        Process::start(dev(&["sh", "-c", "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.05; done"]));
    process.line_with("ready");
    rustix::process::kill_process(etcd_of(process.pid()), Signal::KILL).unwrap();
    let ended = process.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (69, "told\n"));
    assert!(ended.stderr.contains("locker: etcd has ended by itself"), "{}", ended.stderr);
}

#[test]
fn no_etcd() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["true"]] {
        let mut command = dev(arguments);
        command.env("PATH", directory.path()).env_remove("LOCKER_ETCD");
        let ended = ended(command);
        assert_eq!((ended.code, ended.stdout.as_str()), (69, ""));
        assert!(ended.stderr.contains("apt-get install --yes --no-install-recommends etcd-server"), "{}", ended.stderr);
    }
}

/// A program in a directory of its own.
fn script(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("etcd");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (directory, path)
}

#[test]
fn an_etcd_that_does_not_start_is_shown() {
    let (_directory, etcd) = script("#!/bin/sh\necho this is why >&2\nexit 1\n");
    let mut command = dev(&["true"]);
    command.env("LOCKER_ETCD", &etcd);
    let outcome = ended(command);
    assert_eq!(outcome.code, 69);
    assert_eq!(outcome.stderr, format!("locker: {} did not start:\nthis is why\n", etcd.display()));

    let mut command = dev(&["true"]);
    command.env("LOCKER_ETCD", "/nonexistent/etcd");
    let outcome = ended(command);
    assert_eq!(outcome.code, 69);
    assert!(outcome.stderr.starts_with("locker: LOCKER_ETCD=/nonexistent/etcd: "), "{}", outcome.stderr);
}

#[test]
fn a_port_that_somebody_took_meanwhile_is_no_failure() {
    let text = "#!/bin/sh\n[ -e \"$0.tried\" ] && exec \"$REAL\" \"$@\"\n\
                : >\"$0.tried\"\necho 'listen tcp 127.0.0.1:1: bind: address already in use' >&2\nexit 1\n";
    let (_directory, etcd) = script(text);
    let mut command = dev(&["true"]);
    command.env("REAL", std::env::var("LOCKER_ETCD").unwrap_or_else(|_| "etcd".into())).env("LOCKER_ETCD", &etcd);
    let ended = ended(command);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(etcd.with_extension("tried").exists());
}

#[test]
fn settings_of_other_etcds_do_not_matter() {
    let mut command = dev(&["sh", "-c", "env; \"$0\" get x", LOCKER]);
    for (variable, value) in [
        ("ETCD_DATA_DIR", "/nonexistent"),
        ("ETCD_DISCOVERY", "http://nowhere.invalid"),
        ("ETCD_CONFIG_FILE", "/nonexistent"),
        ("LOCKER_CACERT", "/nonexistent"),
        ("LOCKER_USER", "alice:secret"),
        ("ETCDCTL_USER", "alice:secret"),
        ("ETCDCTL_CERT", "/nonexistent"),
    ] {
        command.env(variable, value);
    }
    let ended = ended(command);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.ends_with("free\n") && !ended.stdout.contains("secret"), "{}", ended.stdout);
}

#[test]
fn flags_of_another_etcd_are_refused() {
    let ended = ended(dev(&["--endpoints", "http://127.0.0.1:1", "true"]));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}
