//! A child as a shell runs one: with the terminal, and stopped and continued together with us.

use crate::child::{self, Child};
use crate::output;
use crate::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_current_process_group};
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::sleep;

/// Long enough for the runtime to look at the signals that have come.
const BLINK: Duration = Duration::from_millis(1);

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
    /// Whether it was asked to end, which it cannot while it stands still.
    to_end: bool,
    /// Whether it stands still, and for want of the terminal.
    stopped: bool,
    starved: bool,
    /// Whether we have it stand still.
    frozen: bool,
    /// Whether it was told that it will not get the terminal.
    hung_up: bool,
    /// SIGCONT.
    continued: unix::Signal,
}

/// What happens to a job.
pub(crate) enum Event {
    /// The child has ended. Others of its group may live on.
    Ended,
    /// The terminal has stopped it: now [`Job::suspend`], then [`Job::resume`].
    Suspended,
}

impl Job {
    pub(crate) fn spawn(command: Command) -> io::Result<Self> {
        let mut job = Job {
            continued: signal(SignalKind::from_raw(Signal::CONT.as_raw()))?,
            child: Child::spawn(command)?,
            terminal: Terminal::controlling(),
            wanted: io::stdin().is_terminal() && io::stdout().is_terminal(),
            lent: false,
            to_stop: false,
            to_end: false,
            stopped: false,
            starved: false,
            frozen: false,
            hung_up: false,
        };
        job.lend();
        Ok(job)
    }

    /// The number of the child's group.
    pub(crate) fn group(&self) -> Pid {
        self.child.group()
    }

    /// Signals the child's whole group. If that asks it to end, it goes on to do so, unless it is frozen. False if we may
    /// not.
    pub(crate) fn signal(&mut self, signal: Signal) -> bool {
        let permitted = self.child.signal(signal);
        self.to_stop |= signal == Signal::TSTP;
        self.to_end |= matches!(signal, Signal::TERM | Signal::HUP);
        if self.to_end && self.stopped && !self.frozen {
            self.go_on();
        }
        permitted
    }

    /// Has it stand still until [`Job::thaw`], whatever it is asked meanwhile. False if we may not.
    pub(crate) fn freeze(&mut self) -> bool {
        self.frozen = true;
        self.child.signal(Signal::STOP)
    }

    /// Has it go on, and do what it was asked.
    pub(crate) fn thaw(&mut self) {
        self.frozen = false;
        self.go_on();
    }

    /// Waits for the next thing that happens to it. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        loop {
            let stopped_by = match self.child.next().await? {
                child::Event::Ended => return Ok(Event::Ended),
                child::Event::Stopped(signal) => Signal::from_named_raw(signal),
            };
            self.stopped = true;
            self.starved = matches!(stopped_by, Some(Signal::TTIN | Signal::TTOU));
            self.wanted |= self.starved;
            if self.frozen {
                continue;
            }
            // It may have stopped for the terminal before it saw the other signal, which going on would undo.
            if self.to_end || self.starved && !self.to_stop && self.lend() {
                self.go_on();
            } else if self.terminal.is_some() && (self.starved || stopped_by == Some(Signal::TSTP)) {
                return Ok(Event::Suspended);
            }
        }
    }

    /// Stops us too, so that the shell takes over, and returns when it continues us; at once if there is no such shell.
    pub(crate) async fn suspend(&mut self) {
        self.reclaim();
        self.to_stop = false;
        // SIGTSTP is passed on to the child; this one does to us what it would. We are in the group, so it cannot fail.
        let _ = kill_current_process_group(Signal::TTOU);
        tokio::select! {
            biased;
            // Whoever was stopped has had this before he comes here.
            _ = self.continued.recv() => self.starved = false,
            () = sleep(BLINK) => {}
        }
    }

    /// Continues the child. If it waits for the terminal and nobody is there who could ever give it, it is hung up, as
    /// the kernel does with those whose shell has gone.
    pub(crate) fn resume(&mut self) {
        if self.lend() || !self.starved {
            self.go_on();
        } else if !std::mem::replace(&mut self.hung_up, true) {
            output::say("the command wants the terminal, and no shell can give it: it gets SIGHUP");
            self.signal(Signal::HUP);
        }
    }

    fn go_on(&mut self) {
        self.stopped = false;
        self.to_end = false;
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
