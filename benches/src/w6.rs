//! W6: a command under a lock, from the start of the process to its end.

use crate::Result;
use crate::bench::Bench;
use crate::interrupt;
use crate::ratio::take_turns;
use crate::row::{Row, Sides, TIME};
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let ours = || {
        let mut command = Command::new("target/release/locker");
        // Nothing but the search path, as the other one has it.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["--endpoints", &etcd.endpoint(), "run", "w6-ours", "--", "true"]);
        command
    };
    let theirs = || {
        let mut command = etcd.ctl_command(&["lock", "w6-theirs", "--", "true"]);
        // A later one has a warning to print because of it.
        command.env_remove("ETCDCTL_API");
        command
    };
    let millis = take_turns(2, bench.pick(20, 60), |n| timed(if n == 0 { ours() } else { theirs() }))?;
    let sides = Sides { ours: &millis[0], theirs: &millis[1], unit: "ms" };
    Ok(vec![Row::ratio("w6_run", "locker run x -- true", "etcdctl lock x -- true", TIME, sides).at_most(0.45)])
}

/// The guardian of the command is a child of it and waited for by it: its time is in it.
fn timed(mut command: Command) -> Result<f64> {
    interrupt::check()?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status()?;
    let millis = begun.elapsed().as_secs_f64() * 1000.0;
    if status.success() { Ok(millis) } else { Err(format!("{command:?}: {status}").into()) }
}
