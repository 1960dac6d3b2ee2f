//! A disk that hangs.

use crate::{Etcd, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Every `fsync` and `fdatasync` of an etcd takes so much longer, until this is dropped. Start that etcd with
/// `--unsafe-no-fsync=false`, or it does none.
#[derive(Debug)]
pub struct Stall {
    strace: Child,
}

impl Stall {
    /// Returns when it has begun. Fails, with the reason, where `strace` is missing or may not be used.
    pub fn begin(etcd: &Etcd, delay: Duration) -> Result<Self, String> {
        let tasks = tasks(etcd.pid());
        let inject = format!("inject=fdatasync,fsync:delay_enter={}", delay.as_micros());
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &inject]);
        command.args(["-p", &etcd.pid().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let strace = command.spawn().map_err(|error| format!("strace: {error}"))?;
        let mut stall = Stall { strace };
        let mut ended = false;
        wait_until("strace is attached", || {
            ended = stall.strace.try_wait().is_ok_and(|status| status.is_some());
            ended || tasks().all(|status| !status.contains("TracerPid:\t0\n"))
        });
        match ended {
            false => Ok(stall),
            true => Err(stall.complaint()),
        }
    }

    fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.strace.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
        }
        text.trim().to_string()
    }
}

/// What the kernel says of each thread.
fn tasks(pid: u32) -> impl Fn() -> Box<dyn Iterator<Item = String>> {
    move || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        Box::new(tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()))
    }
}

impl Drop for Stall {
    /// Asked by SIGINT, it lets go of the process as it is.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.strace), Signal::INT);
        let _ = self.strace.wait();
    }
}
