//! The workers, as processes.

use crate::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long workers may take to come to their end: longer than a wait for a lock, and for an etcd that is away.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place in the fleet, with one process at a time in it.
pub(crate) struct Worker {
    pub(crate) language: String,
    pub(crate) ttl: Duration,
    program: Vec<PathBuf>,
    settings: Vec<(&'static str, String)>,
    log: PathBuf,
    process: Mutex<Child>,
}

/// Where everything of a run is.
pub(crate) struct Place<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) endpoints: String,
    pub(crate) locks: u32,
    pub(crate) clients: u32,
    pub(crate) tasks: u32,
    /// Where the workers were built.
    pub(crate) workers: &'a Path,
    pub(crate) python: &'a Path,
}

impl Place<'_> {
    pub(crate) fn history(&self) -> PathBuf {
        self.directory.join("history")
    }

    fn program(&self, language: &str) -> Result<Vec<PathBuf>> {
        let own = std::env::current_exe()?;
        Ok(match language {
            "rust" => vec![own, "worker".into()],
            "command" => vec![own, "command".into()],
            "python" => vec![self.python.into(), self.workers.join("worker.py")],
            "c" | "cpp" | "go" => vec![self.workers.join(format!("worker-{language}"))],
            _ => return Err(format!("there is no worker in {language:?}").into()),
        })
    }

    pub(crate) fn settings(&self, ttl: Duration) -> Result<Vec<(&'static str, String)>> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        Ok(vec![
            ("LOCKER_ENDPOINTS", self.endpoints.clone()),
            ("CHECK_HISTORY", path(&self.history())),
            ("CHECK_THINGS", path(self.directory)),
            ("CHECK_PROGRAM", path(&std::env::current_exe()?)),
            ("CHECK_LOCKS", self.locks.to_string()),
            ("CHECK_CLIENTS", self.clients.to_string()),
            ("CHECK_TASKS", self.tasks.to_string()),
            ("CHECK_TTL", ttl.as_millis().to_string()),
        ])
    }
}

impl Worker {
    pub(crate) fn start(place: &Place, number: usize, language: &str, ttl: Duration) -> Result<Self> {
        let (program, settings) = (place.program(language)?, place.settings(ttl)?);
        let log = place.directory.join(format!("{number}-{language}.log"));
        let process = Mutex::new(spawn(&program, &settings, &log)?);
        Ok(Worker { language: language.into(), ttl, program, settings, log, process })
    }

    fn process(&self) -> MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process().id()
    }

    /// All that stands still when it is paused: it, and what it has started, the youngest first.
    pub(crate) fn family(&self) -> Vec<u32> {
        let mut family = descendants(self.pid());
        family.insert(0, self.pid());
        family.reverse();
        family
    }

    /// The `locker` that it runs now, if it is a worker that does.
    pub(crate) fn locker(&self) -> Option<u32> {
        children(self.pid()).into_iter().next()
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&self) {
        let mut process = self.process();
        let _ = process.kill();
        let _ = process.wait();
    }

    /// Starts another in the place of one that has ended, if it has.
    pub(crate) fn revive(&self) -> Result<bool> {
        let mut process = self.process();
        let ended = process.try_wait()?.is_some();
        if ended {
            *process = spawn(&self.program, &self.settings, &self.log)?;
        }
        Ok(ended)
    }

    /// Asks it to end.
    pub(crate) fn end(&self) {
        signal(self.pid(), Signal::TERM);
    }

    /// Waits until it has, and says what it complained of if it did not end well.
    pub(crate) fn ended(&self) -> Result<Option<String>> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.process().try_wait()? {
                let log = fs::read_to_string(&self.log)?;
                return Ok((!status.success()).then(|| format!("{} worker: {status}\n{log}", self.language)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let family = self.family();
        self.kill();
        family.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        Ok(Some(format!("{} worker: does not end\n{}", self.language, fs::read_to_string(&self.log)?)))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let family = if matches!(self.process().try_wait(), Ok(None)) { self.family() } else { Vec::new() };
        family.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        self.kill();
    }
}

fn spawn(program: &[PathBuf], settings: &[(&'static str, String)], log: &Path) -> Result<Child> {
    let log = File::options().append(true).create(true).open(log)?;
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).envs(settings.iter().cloned()).env("CHECK_SEED", fastrand::u64(1..1 << 62).to_string());
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().map_err(|error| format!("{}: {error}", program[0].display()).into())
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// The processes that a process has started and that have not ended, those of all its threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn descendants(pid: u32) -> Vec<u32> {
    children(pid).into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}
