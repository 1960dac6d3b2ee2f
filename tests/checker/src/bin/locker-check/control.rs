//! The control: what the checks must find when the locker does not look after its lock.
//!
//! Several contend for one lock with a command under it, and only the process that keeps the lock is paused, not the
//! command: `etcdctl lock` lets two commands run at once then.

use crate::Result;
use crate::fleet::{Place, children, signal};
use clap::{Args, ValueEnum};
use locker_check::checks::Rule;
use locker_check::history;
use locker_check::record::{Kind, Lang};
use locker_check::report::Report;
use locker_check::run::Run;
use locker_harness::Etcd;
use locker_harness::interrupt::{interrupted, listen};
use rustix::process::Signal;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Who contends.
const CONTENDERS: usize = 4;
/// etcd's least.
const TTL: Duration = Duration::from_secs(2);
/// How long a command works: so long that it is still there when another gets the lock.
const WORK: Duration = Duration::from_millis(3500);
/// How long what keeps the lock is paused.
const PAUSE: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(20);

/// Pauses what keeps a lock for a command, and counts the commands that ran at once.
#[derive(Args, Debug)]
pub(crate) struct Control {
    /// For how long, in seconds.
    seconds: u64,
    /// What keeps the lock.
    #[arg(long, value_enum, default_value = "etcdctl")]
    locker: Locker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Locker {
    Etcdctl,
    Locker,
}

impl Control {
    /// Gives whether the checks found what there was to find: overlaps of `etcdctl`, none of `locker`.
    pub(crate) fn run(self) -> Result<bool> {
        listen()?;
        let directory = tempfile::Builder::new().prefix("locker-check-").tempdir()?;
        let etcd = Etcd::start();
        let nowhere = Path::new("");
        let endpoints = etcd.endpoint();
        let (directory, workers, python) = (directory.path(), nowhere, nowhere);
        let place = Place { directory, endpoints, locks: 1, clients: 1, tasks: 1, workers, python };
        self.contend(&place)?;
        let records = history::read(&place.history()).map_err(|damage| format!("the history {damage}"))?;
        let run = Run::new(records);
        let report = Report::new(&run);
        let count = |kind| run.records.iter().filter(|record| record.kind == kind).count();
        let of = |rule| report.violations.iter().filter(|violation| violation.rule == rule).count();
        let (holds, overlaps) = (report.figures.holds(), of(Rule::Exclusion));
        let (refused, taken) = (count(Kind::FencedStale), of(Rule::Fence));
        println!(
            "{:?}: {overlaps} of {holds} holds overlap; the fenced file refused {refused} stale writes and took {taken}",
            self.locker
        );
        Ok(holds >= CONTENDERS && taken == 0 && (overlaps > 0) == (self.locker == Locker::Etcdctl))
    }

    fn contend(&self, place: &Place) -> Result<()> {
        let (done, seq) = (AtomicBool::new(false), AtomicU32::new(1));
        let keepers: Vec<AtomicU32> = (0..CONTENDERS).map(|_| AtomicU32::new(0)).collect();
        thread::scope(|scope| {
            let contenders: Vec<_> =
                keepers.iter().map(|keeper| scope.spawn(|| self.take_turns(place, keeper, &seq, &done))).collect();
            let end = Instant::now() + Duration::from_secs(self.seconds);
            let mut known = Vec::new();
            while Instant::now() + PAUSE < end && !interrupted() {
                let holding: Vec<u32> =
                    keepers.iter().map(|keeper| keeper.load(Ordering::Relaxed)).filter(holds).collect();
                // Not one that has lost its lock to another already.
                if let [keeper] = holding[..]
                    && !known.contains(&keeper)
                {
                    signal(keeper, Signal::STOP);
                    sleep(PAUSE);
                    signal(keeper, Signal::CONT);
                }
                known = holding;
                sleep(TICK);
            }
            done.store(true, Ordering::Relaxed);
            contenders.into_iter().try_for_each(|contender| contender.join().map_err(|_| "a contender has panicked")?)
        })
    }

    /// Takes the lock again and again; `keeper` is the process that keeps it.
    fn take_turns(&self, place: &Place, keeper: &AtomicU32, seq: &AtomicU32, done: &AtomicBool) -> Result<()> {
        while !done.load(Ordering::Relaxed) {
            let mut child = self.start(place, seq.fetch_add(1, Ordering::Relaxed))?;
            keeper.store(child.id(), Ordering::Relaxed);
            child.wait()?;
            keeper.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn start(&self, place: &Place, seq: u32) -> Result<Child> {
        let program = std::env::current_exe()?;
        let ttl = TTL.as_secs().to_string();
        let mut command = match self.locker {
            Locker::Etcdctl => {
                let mut command = Command::new(std::env::var("LOCKER_ETCDCTL").unwrap_or_else(|_| "etcdctl".into()));
                command
                    .args(["--endpoints", &place.endpoints, "lock", "--ttl", &ttl, "control"])
                    .env("ETCDCTL_API", "3");
                command
            }
            Locker::Locker => {
                let mut command = Command::new(program.with_file_name("locker"));
                command.args(["--ttl", &ttl, "run", "control", "--"]);
                command
            }
        };
        let lang = if self.locker == Locker::Etcdctl { Lang::Etcdctl } else { Lang::Command } as u32;
        command.arg(program).arg("held").args([lang, std::process::id(), 1, seq].map(|number| number.to_string()));
        command.envs(place.settings(TTL)?).env("CHECK_SEED", "1").env("CHECK_WORK_MS", WORK.as_millis().to_string());
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }
}

/// It has started the command, thus has had the lock.
fn holds(keeper: &u32) -> bool {
    *keeper != 0 && !children(*keeper).is_empty()
}
