//! A child process and its process group.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitStatus};
use tokio::signal::unix::{self, SignalKind, signal};

/// A child that leads a process group of its own. Dropping it kills the group and waits for the child.
///
/// It is reaped by us alone and last: until then its number, which is the group's, cannot belong to others.
pub(crate) struct Child {
    process: process::Child,
    group: Pid,
    /// SIGCHLD, listened to since before the child was there.
    changed: unix::Signal,
    reaped: bool,
}

/// What happens to a child.
pub(crate) enum Event {
    /// It has ended. Others of its group may live on.
    Ended,
    /// It was stopped by the signal of this number.
    Stopped(i32),
}

impl Child {
    pub(crate) fn spawn(mut command: Command) -> io::Result<Self> {
        let changed = signal(SignalKind::child())?;
        let process = command.process_group(0).spawn()?;
        let group = Pid::from_child(&process);
        Ok(Child { process, group, changed, reaped: false })
    }

    /// The number of its group.
    pub(crate) fn group(&self) -> Pid {
        self.group
    }

    /// Signals the whole group. False if we may not: it has changed to another user.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        // Else it can only fail because nobody is left.
        kill_process_group(self.group, signal) != Err(Errno::PERM)
    }

    /// Waits for the next thing that happens to it. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        // Not reaped here: see above.
        let look = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(self.group), look)? {
                None => drop(self.changed.recv().await),
                Some(status) => match status.stopping_signal() {
                    None => return Ok(Event::Ended),
                    Some(signal) => {
                        // Takes the news, so that it is told once. If the child has ended since, there is none.
                        let _ = waitid(WaitId::Pid(self.group), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
                        return Ok(Event::Stopped(signal));
                    }
                },
            }
        }
    }

    /// Returns when it has ended. Cancel safe.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        while !matches!(self.next().await?, Event::Ended) {}
        Ok(())
    }

    /// Waits for it and says how it ended.
    pub(crate) fn reap(mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        self.process.wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.process.wait();
        }
    }
}
