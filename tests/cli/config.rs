//! The configuration file.

use crate::etcd::Space;
use locker_harness::{Ended, Etcd, ended};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const NOWHERE: &str = "http://127.0.0.1:1";

/// A file, and commands that read it and nothing else.
struct File {
    space: Space,
    directory: TempDir,
}

impl File {
    fn new(space: Space) -> Self {
        File { space, directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("locker.yaml")
    }

    fn command(&self, text: &str, arguments: &[&str]) -> Command {
        fs::write(self.path(), text).unwrap();
        let mut command = self.space.locker(arguments);
        for variable in ["LOCKER_ENDPOINTS", "LOCKER_PREFIX", "ETCDCTL_ENDPOINTS"] {
            command.env_remove(variable);
        }
        command.env("LOCKER_CONFIG", self.path());
        command
    }

    fn run(&self, text: &str, arguments: &[&str]) -> Ended {
        ended(self.command(text, arguments))
    }

    /// What is said of a line of it.
    fn at(&self, line: usize) -> String {
        format!("locker: {}:{line}: ", self.path().display())
    }
}

#[test]
fn it_says_what_nothing_else_says() {
    let file = File::new(Space::new());
    let here = file.space.endpoint();
    let text = format!("endpoints: {here}\nprefix: {}\nttl: 3\ncommand-timeout: 4s\n", file.space.prefix);
    let ended = file.run(&text, &["run", "x", "-c", "echo $LOCKER_KEY"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with(&file.space.prefix) && ended.stderr.is_empty(), "{ended:?}");

    // Several endpoints are a list, or one text.
    for endpoints in
        [format!("[{NOWHERE}, \"{here}\"]"), format!("\n- {NOWHERE}\n- {here}"), format!("{NOWHERE},{here}")]
    {
        assert_eq!(file.run(&format!("endpoints: {endpoints}\n"), &["get", "x"]).stdout, "free\n", "{endpoints}");
    }
}

#[test]
fn all_else_goes_before_it() {
    let file = File::new(Space::new());
    let here = file.space.endpoint();
    // Flag, LOCKER_ENDPOINTS, ETCDCTL_ENDPOINTS, the file, whether that finds etcd.
    let cases = [
        (Some(here), NOWHERE, NOWHERE, NOWHERE, true),
        (None, here, NOWHERE, NOWHERE, true),
        (None, "", here, NOWHERE, true),
        (None, "", "", here, true),
        (Some(NOWHERE), here, here, here, false),
        (None, NOWHERE, here, here, false),
        (None, "", NOWHERE, here, false),
        (None, "", "", NOWHERE, false),
    ];
    for (flag, ours, etcdctls, said, found) in cases {
        let text = format!("endpoints: {said}\ncommand-timeout: 1");
        let mut command = file.command(&text, &["get", "x"]);
        command.args(flag.map(|flag| format!("--endpoints={flag}")));
        command.env("LOCKER_ENDPOINTS", ours).env("ETCDCTL_ENDPOINTS", etcdctls);
        assert_eq!(ended(command).code, if found { 0 } else { 69 }, "{flag:?} {ours} {etcdctls} {said}");
    }
}

#[test]
fn slips_are_named_with_their_line_and_key() {
    let file = File::new(Space::new());
    let long = format!("ttl: 5\nprefix: {}\n", "x".repeat(1025));
    let cases = [
        ("# ours\nttl: soon\n", 2, "ttl: soon: not a duration"),
        ("prefix: a\n\nttl: 1s\n", 3, "ttl: ttl is too short"),
        ("ttl: [1, 2]\n", 1, "ttl: must be one value"),
        ("user: {name: a}\n", 1, "user: must be one value"),
        ("ttl: 5\nttl: 6\n", 2, "ttl is there twice"),
        ("ttl: 5\nprefix: \"a\n", 2, ""),
        ("- ttl\n", 1, "not a list of keys and values"),
        (&long, 2, "prefix: prefix is too long"),
        ("endpoints: ftp://a:1\n", 1, "endpoints: "),
        ("endpoints: https://127.0.0.1:1\ncacert: /nonexistent\n", 2, "cacert: ca_file /nonexistent"),
        ("endpoints: https://127.0.0.1:1\nkey: /nonexistent\n", 2, "key: key_file is given without cert_file"),
        ("user: alice\npassword-file: /nonexistent\n", 2, "password-file: /nonexistent"),
    ];
    for (text, line, what) in cases {
        let ended = file.run(text, &["get", "x"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (78, ""), "{text}: {}", ended.stderr);
        let expected = format!("{}{what}", file.at(line));
        assert!(ended.stderr.starts_with(&expected), "{text}: {}", ended.stderr);
    }
    // What a flag says is the flag's.
    let ended = file.run("ttl: 5\n", &["get", "x", "--ttl", "1"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

#[test]
fn what_is_unknown_is_told_and_left_out() {
    let file = File::new(Space::new());
    let text = format!("endpoints: {}\ncommand_timeout: 3\nnested: {{ttl: 1}}\n", file.space.endpoint());
    let ended = file.run(&text, &["get", "x"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "free\n"), "{}", ended.stderr);
    for (line, key) in [(2, "command_timeout"), (3, "nested")] {
        assert!(ended.stderr.contains(&format!("{}{key} is unknown", file.at(line))), "{}", ended.stderr);
    }
    assert!(ended.stderr.contains("command-timeout"), "{}", ended.stderr);
}

#[test]
fn a_file_that_is_not_there() {
    let file = File::new(Space::new());
    let mut command = file.command("", &["get", "x"]);
    command.env("LOCKER_CONFIG", "/nonexistent/locker.yaml");
    let outcome = ended(command);
    assert_eq!(outcome.code, 78);
    assert!(outcome.stderr.starts_with("locker: /nonexistent/locker.yaml: "), "{}", outcome.stderr);

    // None is wanted.
    let mut command = file.command("ttl: soon", &["get", "x", "--endpoints", file.space.endpoint()]);
    command.env("LOCKER_CONFIG", "");
    assert_eq!(ended(command).code, 0);
}

#[test]
fn its_password_is_that_of_its_user() {
    let mut etcd = Etcd::start();
    let space = Space::at(&etcd.endpoint());
    etcd.enable_users("alice", "se:cret", &space.prefix);
    let file = File::new(space);
    fs::write(file.directory.path().join("right"), "se:cret\n").unwrap();
    let right = format!("user: alice\npassword-file: {}\n", file.directory.path().join("right").display());
    let etcd = format!("endpoints: {}\nprefix: {}\n", etcd.endpoint(), file.space.prefix);
    // What the file says more, variables, exit code.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], i32);
    let cases: [Case; 8] = [
        ("user: alice\npassword: se:cret\n", &[], 0),
        (&right, &[], 0),
        ("user: alice:se:cret\n", &[], 0),
        ("user: alice\npassword: guess\n", &[], 77),
        ("user: alice\npassword: guess\n", &[("LOCKER_PASSWORD", "se:cret")], 0),
        ("user: bob\npassword: guess\n", &[("LOCKER_USER", "alice:se:cret")], 0),
        ("user: alice\npassword: se:cret\n", &[("ETCDCTL_USER", "bob")], 2),
        ("user: alice\n", &[], 2),
    ];
    for (more, variables, code) in cases {
        let mut command = file.command(&format!("{etcd}{more}"), &["run", "x", "env"]);
        command.envs(variables.iter().copied());
        let ended = ended(command);
        assert_eq!(ended.code, code, "{more} {variables:?}: {}", ended.stderr);
        assert!(!ended.stdout.contains("se:cret") && !ended.stderr.contains("se:cret"), "{more}: {ended:?}");
    }
}

#[test]
fn it_is_of_another_etcd_than_that_of_dev() {
    let file = File::new(Space::new());
    let text = "cacert: /nonexistent\nuser: alice:secret\n";
    let ended = file.run(text, &["dev", crate::LOCKER, "get", "x"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "free\n"), "{}", ended.stderr);
}
