//! The one tokio runtime of the process.

use crate::error::{Failure, Result, internal};
use crate::log::{self, Line, WAITING_LINES};
use crate::loss::Notice;
use crate::outbox::Outbox;
use locker::ErrorKind;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use pyo3::prelude::*;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The runtime of this process. Only locked by threads that hold the GIL, as does the one that forks: a child never
/// finds it locked.
static RUNTIME: Mutex<Option<&'static Runtime>> = Mutex::new(None);

/// After so much time an exit is held up by something, twice as long as [`exit`](crate::exit) may wait for etcd.
const LONG_EXIT: Duration = Duration::from_secs(2);

/// A tokio runtime that turns on a thread of its own, named `locker`, from the first connect to the end of the process:
/// leases are kept alive whatever the Python threads do. It never touches Python.
pub(crate) struct Runtime {
    pid: u32,
    handle: Handle,
    /// The clients that are being disconnected. The exit of the interpreter waits for them.
    endings: TaskTracker,
    /// The thread that runs the exit of the interpreter, once it has begun, and since when.
    exiting: OnceLock<(ThreadId, Instant)>,
    /// What a thread of Python is to tell those who gave an `on_lost`.
    losses: Outbox<Notice>,
    /// What another is to carry to Python's `logging`.
    lines: Outbox<Line>,
}

impl Runtime {
    /// The runtime of this process, made at the first call; after a fork the child gets one of its own. The old one is
    /// forgotten there: its thread does not exist.
    pub(crate) fn get(py: Python<'_>) -> Result<&'static Runtime> {
        let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        match *slot {
            Some(runtime) if !runtime.is_inherited() => Ok(runtime),
            _ => {
                let runtime = start().map_err(|error| internal(py, format!("cannot start a thread: {error}")))?;
                Ok(slot.insert(runtime))
            }
        }
    }

    /// The runtime of this process if there is one.
    pub(crate) fn existing() -> Option<&'static Runtime> {
        RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).filter(|runtime| !runtime.is_inherited())
    }

    /// Whether this process got the runtime by a fork.
    pub(crate) fn is_inherited(&self) -> bool {
        self.pid != std::process::id()
    }

    /// Fails in a child that got the runtime, and with it the caller's object, by a fork.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_inherited() {
            return Err(Failure::Invalid("inherited across fork: connect anew in this process".into()));
        }
        Ok(())
    }

    pub(crate) fn handle(&self) -> Result<&Handle> {
        self.check()?;
        Ok(&self.handle)
    }

    pub(crate) fn losses(&self) -> &Outbox<Notice> {
        &self.losses
    }

    pub(crate) fn lines(&self) -> &Outbox<Line> {
        &self.lines
    }

    /// The tasks that the exit of the interpreter waits for.
    pub(crate) fn endings(&self) -> &TaskTracker {
        &self.endings
    }

    /// Disconnects a client, whether anybody waits for it or not; the exit of the interpreter does.
    pub(crate) fn disconnect(&self, client: &locker::Client) -> JoinHandle<locker::Result<()>> {
        let client = client.clone();
        let disconnect = async move {
            match client.disconnect().await {
                Err(error) if error.kind() == ErrorKind::Cancelled => Ok(()), // It is disconnected already.
                outcome => outcome,
            }
        };
        self.endings.spawn_on(disconnect, &self.handle)
    }

    /// From now on all threads but this one that wait for locker stay there: those are daemon threads (Python has
    /// joined all others by now), and should not wake up in the middle of the exit to complain that their client is
    /// gone.
    pub(crate) fn begin_exit(&self) {
        self.exiting.get_or_init(|| (thread::current().id(), Instant::now()));
    }

    /// Does not return soon if the interpreter exits and this is not the thread that does it: not before an exit would be
    /// over that nothing holds up. Else a handler of the program may wait for this thread, which then goes on to hear that
    /// its client is gone. If the interpreter is past all handlers by then, PyO3 keeps it from coming back to Python.
    /// Call it without the GIL.
    pub(crate) fn stay_if_exiting(&self) {
        while let Some(since) = self.exiting_elsewhere() {
            let left = LONG_EXIT.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    /// As [`stay_if_exiting`](Runtime::stay_if_exiting), of a thread that nobody waits for: it never returns.
    pub(crate) fn end_if_exiting(&self) {
        while self.exiting_elsewhere().is_some() {
            thread::park();
        }
    }

    /// Since when the interpreter exits, if it is another thread that does it.
    fn exiting_elsewhere(&self) -> Option<Instant> {
        self.exiting.get().filter(|(thread, _)| *thread != thread::current().id()).map(|(_, since)| *since)
    }
}

/// Makes a runtime, for ever: the threads of Python may use it until the process is gone.
fn start() -> io::Result<&'static Runtime> {
    let engine = Builder::new_current_thread().enable_all().thread_name("locker").build()?;
    let runtime: &'static Runtime = Box::leak(Box::new(Runtime {
        pid: std::process::id(),
        handle: engine.handle().clone(),
        endings: TaskTracker::new(),
        exiting: OnceLock::new(),
        losses: Outbox::new(usize::MAX), // At most one for each guard.
        lines: Outbox::new(WAITING_LINES),
    }));
    let turn = move || {
        log::collect(runtime.lines());
        match engine.block_on(pending::<Infallible>()) {}
    };
    without_signals(|| thread::Builder::new().name("locker".into()).spawn(turn))??;
    Ok(runtime)
}

/// Runs `make` with the signals blocked that are sent to the process, so that a thread made in it, and the threads made
/// by that one, never take them: Python wants them in its own threads. Faults still reach their handlers.
fn without_signals<T>(make: impl FnOnce() -> T) -> io::Result<T> {
    use Signal::*;
    let mut blocked = SigSet::all();
    [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS].into_iter().for_each(|fault| blocked.remove(fault));
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let made = make();
    before.thread_set_mask()?;
    Ok(made)
}
