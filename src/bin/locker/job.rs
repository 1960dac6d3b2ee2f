//! A child as a shell runs one: with the terminal, and stopped and continued together with us.

use crate::child::{self, Child};
use crate::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_current_process_group};
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

/// A child that has the terminal when it needs it.
///
/// At a terminal it is in the foreground from its start. In a pipeline, where a pager may be, it is so from the moment
/// at which it reads from the terminal, and until then signals of the terminal's keys reach it through us.
pub(crate) struct Job {
    child: Child,
    terminal: Option<Terminal>,
    /// Whether the child should be in the foreground when we could be.
    wanted: bool,
    /// Whether it is in the foreground.
    lent: bool,
    /// Whether it was asked to stop, and has not stopped since.
    to_stop: bool,
}

/// What happens to a job.
pub(crate) enum Event {
    /// The child has ended. Others of its group may live on.
    Ended,
    /// The terminal has stopped it: now [`Job::suspend`], and later [`Job::resume`].
    Suspended,
}

impl Job {
    pub(crate) fn spawn(command: Command) -> io::Result<Self> {
        let terminal = Terminal::controlling();
        let wanted = io::stdin().is_terminal() && io::stdout().is_terminal();
        let mut job = Job { child: Child::spawn(command)?, terminal, wanted, lent: false, to_stop: false };
        job.lend();
        Ok(job)
    }

    /// The number of the child's group.
    pub(crate) fn group(&self) -> Pid {
        self.child.group()
    }

    /// Signals the child's whole group.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.to_stop |= signal == Signal::TSTP;
        self.child.signal(signal);
    }

    /// Waits for the next thing that happens to it. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        loop {
            let stopped_by = match self.child.next().await? {
                child::Event::Ended => return Ok(Event::Ended),
                child::Event::Stopped(signal) => Signal::from_named_raw(signal).filter(|_| self.terminal.is_some()),
            };
            match stopped_by {
                Some(Signal::TTIN | Signal::TTOU) => {
                    self.wanted = true;
                    // It may have stopped for this before it saw the other signal, which going on would undo.
                    if self.to_stop || !self.lend() {
                        return Ok(Event::Suspended);
                    }
                    self.child.signal(Signal::CONT);
                }
                Some(Signal::TSTP) => return Ok(Event::Suspended),
                // Somebody else's wish, and not about the terminal.
                _ => {}
            }
        }
    }

    /// Stops us too, so that the shell takes over, and returns when it continues us; at once if there is no such shell.
    pub(crate) fn suspend(&mut self) {
        self.reclaim();
        self.to_stop = false;
        // SIGTSTP is passed on to the child; this one does to us what it would. We are in the group, so it cannot fail.
        let _ = kill_current_process_group(Signal::TTOU);
    }

    /// Continues the child.
    pub(crate) fn resume(&mut self) {
        self.lend();
        self.child.signal(Signal::CONT);
    }

    /// Waits for the child and says how it ended.
    pub(crate) fn reap(mut self) -> io::Result<Finished> {
        let had_terminal = self.lent;
        self.reclaim();
        let status = self.child.reap()?;
        Ok(Finished { status, had_terminal })
    }

    fn lend(&mut self) -> bool {
        self.lent |= self.wanted && self.terminal.as_ref().is_some_and(|it| it.lend(self.child.group()));
        self.lent
    }

    fn reclaim(&mut self) {
        if let Some(terminal) = self.terminal.as_ref().filter(|_| self.lent) {
            // If the terminal is gone, there is nothing to take back.
            let _ = terminal.reclaim();
        }
        self.lent = false;
    }
}

/// A job that has ended.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    had_terminal: bool,
}

impl Finished {
    /// Gives our own group the signal of a key that ended the child while it alone was in the foreground: a script that
    /// runs us ends by Ctrl-C too. To be called last.
    pub(crate) fn echo(&self) {
        let signal = self.status.signal().and_then(Signal::from_named_raw);
        if let (true, Some(signal @ (Signal::INT | Signal::QUIT))) = (self.had_terminal, signal) {
            let _ = kill_current_process_group(signal);
        }
    }
}
