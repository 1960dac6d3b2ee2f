//! The examples for the shell, as they are.

use crate::LOCKER;
use crate::etcd::Space;
use locker_harness::{Process, ended};
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

/// An example in a shell that finds `locker` on its PATH.
fn example(space: &Space, name: &str, arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let mut command = space.command(script.to_str().unwrap(), arguments);
    let directory = Path::new(LOCKER).parent().unwrap().display().to_string();
    command.env("PATH", format!("{directory}:{}", std::env::var("PATH").unwrap()));
    command
}

#[test]
fn lock() {
    let space = Space::new();
    let process = Process::start(example(&space, "lock.sh", &[]));
    let token = process.line();
    let info = space.run(&["get", "db-migrate"]).stdout;
    assert!(
        info.contains("reason: migrating the schema, value: example.sh") && info.contains(&token),
        "{token}: {info}"
    );
    assert!(token.starts_with("token "), "{token}");
    assert_eq!(process.end().code, 0);
    assert_eq!(space.keys(), "");
}

#[test]
fn watch() {
    let space = Space::new();
    assert_eq!(ended(example(&space, "watch.sh", &[])).code, 2);
    let watch = Process::start(example(&space, "watch.sh", &["db-migrate"]));
    assert_eq!(watch.line(), "free");
    assert_eq!(ended(example(&space, "lock.sh", &[])).code, 0);
    assert!(watch.line().contains("value: example.sh"));
    assert_eq!(watch.line(), "free");
    watch.signal(Signal::TERM);
    assert_eq!(watch.end().code, 143);
}
