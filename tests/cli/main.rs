//! The `locker` command as its users meet it: the real program, real signals, a real etcd.
#![cfg(feature = "cli")]

mod completions;
mod config;
mod connection;
mod dev;
mod doctor;
mod etcd;
mod examples;
mod look;
mod loss;
mod modes;
mod run;
mod signals;
mod terminal;

/// The program under test.
const LOCKER: &str = env!("CARGO_BIN_EXE_locker");
