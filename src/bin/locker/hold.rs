//! A job that runs only while a lock is held.

use crate::args::{OnLost, Run};
use crate::guardian::Guardian;
use crate::job::{Event, Finished, Job};
use crate::output;
use crate::signals::Signals;
use humantime::format_duration;
use locker::{Change, Error, Guard, State};
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
/// When there is nothing to tell it again.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);
const NOT_OURS: &str = "the command runs as another user and cannot be stopped";

/// A job and the lock without which it must not run.
pub(crate) struct Hold<'a> {
    job: Job,
    guardian: Guardian,
    guard: &'a Guard,
    /// The lock's name, or those of several.
    title: String,
    on_lost: OnLost,
    kill_after: Duration,
    stop: Option<Stop>,
    /// Whether the job stands still until the lock is sure again.
    frozen: bool,
}

/// An ending of the job by us.
#[derive(Clone, Copy)]
struct Stop {
    at: Instant,
    kill_at: Instant,
    killed: bool,
}

impl<'a> Hold<'a> {
    pub(crate) fn new(job: Job, guardian: Guardian, guard: &'a Guard, run: &Run) -> Self {
        let (title, on_lost, kill_after) = (run.title(), run.on_lost, run.kill_after);
        Hold { job, guardian, guard, title, on_lost, kill_after, stop: None, frozen: false }
    }

    /// Waits for the job, passes signals on to its group, and does what `--on-lost` says when the lock is at risk or lost.
    /// Says whether it ended the group: SIGTERM, then SIGKILL after `--kill-after`, earlier if the lock ends before that.
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
        if self.on_lost == OnLost::Warn {
            self.guardian.allow(self.job.group(), None);
            return now + LONG;
        }
        let left = self.stop.map_or_else(|| self.guard.remaining(), |stop| stop.kill_at.saturating_duration_since(now));
        // A lock that was lost just now first has its job asked to end, with a time limit of its own.
        if self.stop.is_some() || !left.is_zero() {
            self.guardian.allow(self.job.group(), Some(left));
        }
        now + (left / PART).max(POLL)
    }

    /// Does to the job what this change asks for.
    fn consider(&mut self, change: &Change) {
        let why = || change.error.as_ref().map_or_else(|| "the lock is no longer sure".into(), Error::to_string);
        match (change.state, self.on_lost) {
            (State::AtRisk | State::Ended, OnLost::Warn) => self.warn(why()),
            (State::AtRisk, OnLost::Freeze) => self.freeze(why()),
            (State::Held, _) if self.frozen => self.thaw(),
            (State::AtRisk | State::Ended, _) => self.begin_stop(why()),
            _ => {}
        }
        if let Some(stop) = self.stop {
            self.stop = Some(Stop { kill_at: self.kill_at(stop.at).min(stop.kill_at), ..stop });
        }
    }

    fn warn(&self, why: impl Display) {
        output::say(format_args!("{}: {why}; the command goes on", self.title));
    }

    /// The guardian knows the end of the lock all the same.
    fn freeze(&mut self, why: impl Display) {
        self.frozen = true;
        let outcome = match self.job.freeze() {
            true => "the command stands still until it is sure again",
            false => NOT_OURS,
        };
        output::say(format_args!("{}: {why}; {outcome}", self.title));
    }

    fn thaw(&mut self) {
        self.frozen = false;
        self.job.thaw();
        output::say(format_args!("{}: the lock is sure again; the command goes on", self.title));
    }

    fn begin_stop(&mut self, why: impl Display) {
        if self.stop.is_some() {
            return;
        }
        // What was to stand still must not go on, not even to clean up.
        let at_once = self.on_lost == OnLost::Freeze;
        let (signal, done) = match at_once {
            true => (Signal::KILL, "the command is killed"),
            false => (Signal::TERM, "the command is stopped"),
        };
        let outcome = if self.job.signal(signal) { done } else { NOT_OURS };
        output::say(format_args!("{}: {why}; {outcome}", self.title));
        let at = Instant::now();
        let kill_at = if at_once { at } else { self.kill_at(at) };
        self.stop = Some(Stop { at, kill_at, killed: false });
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
        output::say(format_args!("{}: stopped; the lock is lost unless it goes on within {left}", self.title));
        output::flush();
        // What stands still together with us does no harm.
        self.guardian.allow(self.job.group(), None);
        self.job.suspend().await;
        match self.guard.check() {
            Ok(()) => {
                self.instruct();
                self.job.resume();
            }
            Err(error) if self.on_lost == OnLost::Warn => {
                self.warn(error);
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
