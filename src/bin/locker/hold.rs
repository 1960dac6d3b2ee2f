//! A job that runs only while a lock is held.

use crate::guardian::Guardian;
use crate::job::{Event, Finished, Job};
use crate::output;
use crate::signals::Signals;
use humantime::format_duration;
use locker::{Change, Guard, State};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::fmt::Display;
use std::future::pending;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How often a stopped group is looked at. That a group becomes empty is no event to anybody.
const POLL: Duration = Duration::from_millis(20);

/// How often the guardian is told how long the lock lasts: after this part of that time, so that it is never much behind.
const PART: u32 = 10;

/// A job and the lock without which it must not run.
pub(crate) struct Hold<'a> {
    job: Job,
    guardian: Guardian,
    guard: &'a Guard,
    kill_after: Duration,
    stop: Option<Stop>,
}

/// An ending of the job by us.
#[derive(Clone, Copy)]
struct Stop {
    at: Instant,
    kill_at: Instant,
    killed: bool,
}

impl<'a> Hold<'a> {
    pub(crate) fn new(job: Job, guardian: Guardian, guard: &'a Guard, kill_after: Duration) -> Self {
        Hold { job, guardian, guard, kill_after, stop: None }
    }

    /// Waits for the job, passes signals on to its group, and stops the group when the lock is at risk or lost: SIGTERM,
    /// then SIGKILL after `kill_after`, earlier if the lock ends before that. Says whether it did.
    pub(crate) async fn until_ended(mut self, signals: &mut Signals) -> io::Result<(Finished, bool)> {
        let mut more = true;
        loop {
            let again = self.instruct();
            tokio::select! {
                () = sleep_until(again) => {}
                event = self.job.next() => match event? {
                    Event::Ended => break,
                    Event::Suspended => self.suspend().await,
                },
                signal = signals.next() => drop(self.job.signal(signal)),
                () = due(self.stop) => self.kill(),
                change = self.guard.changed(), if more => match change {
                    Some(change) => self.consider(&change),
                    None => more = false,
                },
            }
        }
        let stop = self.stop;
        let group = self.job.group();
        let finished = self.job.reap()?;
        if let Some(stop) = stop {
            clear(group, stop.kill_at, signals).await;
        }
        Ok((finished, stop.is_some()))
    }

    /// Tells the guardian how long the job may run, and gives the time at which to do so again.
    fn instruct(&mut self) -> Instant {
        let now = Instant::now();
        let left = self.stop.map_or_else(|| self.guard.remaining(), |stop| stop.kill_at.saturating_duration_since(now));
        // A lock that was lost just now first has its job asked to end, with a time limit of its own.
        if self.stop.is_some() || !left.is_zero() {
            self.guardian.allow(self.job.group(), Some(left));
        }
        now + (left / PART).max(POLL)
    }

    /// Stops the job if this change asks for it.
    fn consider(&mut self, change: &Change) {
        if matches!(change.state, State::AtRisk | State::Ended) {
            match &change.error {
                Some(error) => self.begin_stop(error),
                None => self.begin_stop("the lock is no longer sure"),
            }
        }
        if let Some(stop) = self.stop {
            self.stop = Some(Stop { kill_at: self.kill_at(stop.at).min(stop.kill_at), ..stop });
        }
    }

    fn begin_stop(&mut self, why: impl Display) {
        if self.stop.is_some() {
            return;
        }
        let outcome = match self.job.signal(Signal::TERM) {
            true => "the command is stopped",
            false => "the command runs as another user and cannot be stopped",
        };
        output::say(format_args!("{}: {why}; {outcome}", self.guard.name()));
        let at = Instant::now();
        self.stop = Some(Stop { at, kill_at: self.kill_at(at), killed: false });
    }

    /// When a stop that began at `at` must be over. Once the lock is lost there is no deadline to keep any more.
    fn kill_at(&self, at: Instant) -> Instant {
        let patience = at + self.kill_after;
        if self.guard.held() { patience.min(Instant::now() + self.guard.remaining()) } else { patience }
    }

    fn kill(&mut self) {
        self.job.signal(Signal::KILL);
        self.stop = self.stop.map(|stop| Stop { killed: true, ..stop });
    }

    /// Stands still together with the job until a shell continues both. Nobody keeps the lock meanwhile.
    async fn suspend(&mut self) {
        let left = format_duration(Duration::from_secs(self.guard.remaining().as_secs()));
        output::say(format_args!("{}: stopped; the lock is lost unless it goes on within {left}", self.guard.name()));
        output::flush();
        // What stands still together with us does no harm.
        self.guardian.allow(self.job.group(), None);
        self.job.suspend().await;
        match self.guard.check() {
            Ok(()) => {
                self.instruct();
                self.job.resume();
            }
            Err(error) => self.begin_stop(error),
        }
    }
}

/// Returns when it is time to kill.
async fn due(stop: Option<Stop>) {
    match stop.filter(|stop| !stop.killed) {
        Some(stop) => sleep_until(stop.kill_at).await,
        None => pending().await,
    }
}

/// Sees to it that nobody of a group is left that we have stopped, at the latest at `kill_at`. Signals are passed on to
/// it; who asks twice for an end does not want to wait for that.
async fn clear(group: Pid, kill_at: Instant, signals: &mut Signals) {
    let mut requests = 0;
    while test_kill_process_group(group).is_ok() {
        if requests > 1 || Instant::now() >= kill_at {
            // It can only fail because nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
            return;
        }
        tokio::select! {
            () = sleep(POLL) => {}
            signal = signals.next() => {
                requests += u32::from(asks_for_an_end(signal));
                let _ = kill_process_group(group, signal);
            }
        }
    }
}

fn asks_for_an_end(signal: Signal) -> bool {
    matches!(signal, Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT)
}
