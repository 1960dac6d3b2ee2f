//! The `locker` command as its users meet it: the real program, real signals, a real etcd.
#![cfg(feature = "cli")]

mod connection;
mod dev;
mod etcd;
mod examples;
mod look;
mod loss;
mod process;
mod run;
mod signals;
mod terminal;

/// The program under test.
const LOCKER: &str = env!("CARGO_BIN_EXE_locker");

/// How long anything that must happen may take before a test says that it did not. Generous: machines are slow.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
