//! Makes faults, of processes, of etcd and by hand, and records them.

use crate::Result;
use crate::fleet::{Worker, signal};
use crate::hand::Victim;
use crate::holding::Holding;
use locker_check::faults::What;
use locker_check::history::History;
use locker_check::record::{Kind, Lang, Record, now};
use locker_harness::{Cluster, Mood};
use rustix::process::Signal;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often to try to hit a holder.
const TRIES: usize = 8;
/// A machine that wakes us so much too late keeps nobody's promises.
const LAG: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_millis(10);

/// Where faults are recorded, and when they have to end.
pub(crate) struct Nemesis {
    path: PathBuf,
    history: History,
    numbers: AtomicU32,
    end: AtomicBool,
}

/// A fault that goes on.
struct Open(Record);

impl Nemesis {
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        let history = History::open(&path)?;
        Ok(Nemesis { path, history, numbers: AtomicU32::new(1), end: AtomicBool::new(false) })
    }

    /// Begins no more faults.
    pub(crate) fn stop(&self) {
        self.end.store(true, Ordering::Relaxed);
    }

    fn on(&self, what: What, about: Record) -> Result<Open> {
        let seq = self.numbers.fetch_add(1, Ordering::Relaxed);
        let record = Record { seq, revision: what as u64, ..about };
        self.history.append(&record)?;
        Ok(Open(record))
    }

    fn off(&self, open: Open, token: u64) -> Result<()> {
        Ok(self.history.append(&Record { kind: Kind::FaultOff, at: now(), token, ..open.0 })?)
    }

    /// Sleeps for a random time; false if there are to be no more faults.
    fn rest(&self, ms: Range<u64>) -> bool {
        let until = Instant::now() + Duration::from_millis(fastrand::u64(ms));
        while Instant::now() < until && !self.end.load(Ordering::Relaxed) {
            sleep(TICK);
        }
        !self.end.load(Ordering::Relaxed)
    }

    /// Pauses and kills workers.
    pub(crate) fn harm_workers(&self, workers: &[Worker]) -> Result<()> {
        while self.rest(100..900) {
            let worker = &workers[fastrand::usize(..workers.len())];
            let a_holder = fastrand::bool();
            if fastrand::u32(..3) == 0 { self.kill(worker, a_holder)? } else { self.pause(worker, a_holder)? }
        }
        Ok(())
    }

    /// Mostly for longer than the lease lasts, if that is not long.
    fn pause(&self, worker: &Worker, a_holder: bool) -> Result<()> {
        let lease = worker.ttl.as_millis() as u64;
        let time = if lease <= 3000 && fastrand::u32(..4) > 0 { lease + 300..lease + 1500 } else { 200..1500 };
        let time = Duration::from_millis(fastrand::u64(time));
        for _ in 0..TRIES {
            if self.pause_once(worker, a_holder, time)? {
                break;
            }
        }
        Ok(())
    }

    /// False, and over at once, if it was to hit a holder and the worker has just let go: most have a lock for so short
    /// a time that few pauses would show what becomes of a stale holder.
    fn pause_once(&self, worker: &Worker, a_holder: bool, time: Duration) -> Result<bool> {
        let mut holding = Holding::of(worker.pid(), &self.path)?;
        if a_holder {
            holding.begun()?;
        }
        let open = self.on(What::Pause, Record { pid: worker.pid(), ..about() })?;
        let family = worker.family();
        family.iter().for_each(|pid| signal(*pid, Signal::STOP));
        let hit = !a_holder || holding.now()?;
        if hit {
            sleep(time);
        }
        family.iter().for_each(|pid| signal(*pid, Signal::CONT));
        self.off(open, 0)?;
        Ok(hit)
    }

    /// Of a worker that runs commands the `locker` is killed: what it runs has to die with it.
    fn kill(&self, worker: &Worker, a_holder: bool) -> Result<()> {
        if a_holder {
            Holding::of(worker.pid(), &self.path)?.begun()?;
        }
        let open = self.on(What::Kill, Record { pid: worker.pid(), ..about() })?;
        match worker.language.as_str() {
            "command" => worker.locker().into_iter().for_each(|pid| signal(pid, Signal::KILL)),
            _ => worker.kill(),
        }
        self.off(open, 0)
    }

    /// Harms the cluster, and leaves it time to recover.
    pub(crate) fn harm_cluster(&self, cluster: &mut Cluster) -> Result<()> {
        while self.rest(3500..6000) {
            self.harm_once(cluster)?;
        }
        Ok(())
    }

    fn harm_once(&self, cluster: &mut Cluster) -> Result<()> {
        let any = fastrand::usize(..cluster.size());
        let leader = cluster.leader();
        let some = if fastrand::bool() { leader } else { any };
        let wait = || sleep(Duration::from_millis(fastrand::u64(800..3000)));
        match fastrand::u32(..6) {
            0 => {
                let open = self.on(What::MemberKill, about())?;
                cluster.member(some).kill();
                wait();
                cluster.member(some).restart();
                self.off(open, 0)
            }
            1 => {
                let open = self.on(What::MemberStop, about())?;
                cluster.member(some).stop();
                wait();
                cluster.member(some).go_on();
                self.off(open, 0)
            }
            2 => {
                let open = self.on(What::Isolate, about())?;
                cluster.isolate(leader);
                wait();
                cluster.heal(leader);
                self.off(open, 0)
            }
            3 => {
                let open = self.on(What::Reset, about())?;
                cluster.door(any).set(Mood::DOWN);
                sleep(Duration::from_millis(fastrand::u64(10..500)));
                cluster.door(any).set(Mood::NORMAL);
                self.off(open, 0)
            }
            way => {
                let open = self.on(What::Hole, about())?;
                cluster.door(any).set(if way == 4 { Mood::HOLE } else { Mood::LOSE_ANSWERS });
                wait();
                cluster.door(any).set(Mood::NORMAL);
                self.off(open, 0)
            }
        }
    }

    /// Deletes keys of locks and revokes leases.
    pub(crate) async fn free_by_hand(&self, endpoints: &[String], locks: u32) -> Result<()> {
        while self.rest(300..1500) {
            let lock = fastrand::u32(1..=locks);
            let what = if fastrand::bool() { What::Delete } else { What::Revoke };
            // When etcd does not answer, nobody is chosen.
            if let Ok(Some(victim)) = Victim::choose(endpoints, lock, what).await {
                let open = self.on(what, Record { lock, token: victim.token(), ..about() })?;
                let revision = victim.free().await?;
                self.off(open, revision)?;
            }
        }
        Ok(())
    }

    /// Records when the machine was late.
    pub(crate) fn watch_the_machine(&self, done: &AtomicBool) -> Result<()> {
        while !done.load(Ordering::Relaxed) {
            let (at, before) = (now(), Instant::now());
            sleep(TICK);
            if before.elapsed() > TICK + LAG {
                let open = self.on(What::Lag, Record { at, ..about() })?;
                self.off(open, 0)?;
            }
        }
        Ok(())
    }
}

fn about() -> Record {
    Record { pid: 0, ..Record::new(Lang::Nemesis, Kind::FaultOn) }
}
