//! The one tokio runtime of the process, and waiting for it from Python.

use crate::error::{Failure, Result, internal};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use pyo3::prelude::*;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio_util::task::TaskTracker;

/// How long a thread waits before it looks whether a signal came: Ctrl-C is noticed within this time.
const SLICE: Duration = Duration::from_millis(100);

/// The runtime of this process. Only locked by threads that hold the GIL, as does the one that forks: a child never
/// finds it locked.
static RUNTIME: Mutex<Option<&'static Runtime>> = Mutex::new(None);

/// A tokio runtime that turns on a thread of its own, named `locker`, from the first connect to the end of the process:
/// leases are kept alive whatever the Python threads do. It never touches Python.
pub(crate) struct Runtime {
    pid: u32,
    handle: Handle,
    /// The clients that are being disconnected behind the program's back. The exit of the interpreter waits for them.
    endings: TaskTracker,
    /// The thread that runs the exit of the interpreter, once it has begun.
    exiting: OnceLock<ThreadId>,
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

    /// The tasks that the exit of the interpreter waits for.
    pub(crate) fn endings(&self) -> &TaskTracker {
        &self.endings
    }

    /// Runs `work` in the background; the exit of the interpreter waits for it.
    pub(crate) fn end_behind(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.endings.spawn_on(work, &self.handle);
    }

    /// From now on all threads but this one that wait here stay there: those are daemon threads (Python has joined all
    /// others by now), and should not wake up in the middle of the exit to complain that their client is gone.
    pub(crate) fn begin_exit(&self) {
        self.exiting.get_or_init(|| thread::current().id());
    }

    /// Waits for `work` without the GIL. If a signal handler raises meanwhile, `work` is dropped and that is the result.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl Future<Output = locker::Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.wait_or(py, work, drop)
    }

    /// As [`wait`](Runtime::wait); a result that came in the same instant as the signal is handed to `late`.
    pub(crate) fn wait_or<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl Future<Output = locker::Result<T>> + Send + 'static,
        late: impl FnOnce(T),
    ) -> Result<T> {
        self.check()?;
        let (sender, mut receiver) = sync_channel(1);
        let task = self.handle.spawn(async move {
            let _ = sender.send(work.await); // Nobody listens if the caller was interrupted just now.
        });
        loop {
            match py.detach(|| self.receive(&mut receiver)) {
                Ok(result) => return Ok(result?),
                Err(RecvTimeoutError::Disconnected) => return Err(internal(py, "a task of locker panicked".into())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(interrupt) = py.check_signals() {
                task.abort();
                if let Ok(Ok(result)) = py.detach(|| self.receive(&mut receiver)) {
                    late(result);
                }
                return Err(interrupt.into());
            }
        }
    }

    fn receive<T>(&self, receiver: &mut Receiver<T>) -> Result<T, RecvTimeoutError> {
        let received = receiver.recv_timeout(SLICE);
        while self.exiting.get().is_some_and(|exiting| *exiting != thread::current().id()) {
            thread::park();
        }
        received
    }
}

/// Makes a runtime, for ever: the threads of Python may use it until the process is gone.
fn start() -> io::Result<&'static Runtime> {
    let runtime = Builder::new_current_thread().enable_all().thread_name("locker").build()?;
    let handle = runtime.handle().clone();
    let turn = move || match runtime.block_on(pending::<Infallible>()) {};
    without_signals(|| thread::Builder::new().name("locker".into()).spawn(turn))??;
    let runtime = Runtime { pid: std::process::id(), handle, endings: TaskTracker::new(), exiting: OnceLock::new() };
    Ok(Box::leak(Box::new(runtime)))
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
