//! One acquisition of one lock, or of several at once.

use crate::connection::Connection;
use crate::error::{Failure, Reason, Result};
use crate::info::Info;
use crate::loss::{OnLost, Watch};
use crate::owned::Owned;
use crate::scope;
use crate::work::Work;
use locker::ErrorKind;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One acquisition of one lock, made by Client.lock(), or of several at once, made by Client.lock_all(). It is never used
/// again once it has ended.
///
/// Any thread may use it at any time; one may lock and another unlock. As a context manager it unlocks at the end of
/// the block; when it has ended before, the beginning raises what check() raises, and the block does not run. A guard
/// that is garbage collected unlocks too, without waiting for etcd.
#[pyclass(frozen, weakref, module = "locker")]
pub(crate) struct Guard {
    guard: Owned<locker::Guard>,
    /// Whether this object was told to unlock: the end of a `with` block then has nothing left to do.
    unlocked: AtomicBool,
    /// Whether a `with` block has it. A second one inside of that would unlock what the first goes on with.
    entered: AtomicBool,
    /// Tells `on_lost`.
    watch: Option<Watch>,
    /// Keeps the client connected while there is a guard.
    _connection: Arc<Connection>,
}

impl Guard {
    /// Call it on the thread of the runtime.
    pub(crate) fn new(guard: locker::Guard, on_lost: Option<OnLost>, connection: Arc<Connection>) -> Self {
        let runtime = connection.client.runtime();
        let guard = Arc::new(guard);
        let watch = on_lost.map(|on_lost| on_lost.watch(runtime, Arc::clone(&guard), Arc::clone(&connection.silent)));
        let guard = Owned::sharing(runtime, guard);
        Guard { guard, unlocked: AtomicBool::default(), entered: AtomicBool::default(), watch, _connection: connection }
    }

    pub(crate) fn losing(&self) -> Result<Work<Reason>> {
        self.guard.ask(|guard| async move { Ok(Reason(guard.lost().await)) })
    }

    pub(crate) fn unlocking(&self) -> Result<Work<()>> {
        let unlock = self.guard.begin(|guard| async move { guard.unlock().await })?;
        self.unlocked.store(true, Ordering::Relaxed);
        if let Some(watch) = &self.watch {
            watch.forget();
        }
        Ok(unlock)
    }

    fn was_lost(&self) -> bool {
        let check = self.guard.get().map(|guard| guard.check());
        matches!(check, Ok(Err(error)) if error.kind() == ErrorKind::Lost)
    }
}

/// A guard that nobody has unlocks; whoever wanted to know of a loss before that is told all the same.
impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch
            && !self.was_lost()
        {
            watch.end();
        }
    }
}

#[pymethods]
impl Guard {
    /// The lock's name; of several the first.
    #[getter]
    fn name(&self) -> Result<&str> {
        Ok(self.guard.get()?.name())
    }

    /// The names of all its locks, in the order in which they were asked for: more than one if lock_all() made it.
    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyTuple>> {
        let names: Vec<_> = self.guard.get()?.names().collect();
        Ok(PyTuple::new(py, names)?)
    }

    /// The fencing token while the lock is held, else 0. Each holder of a name gets a greater one: have what the lock
    /// protects refuse a token lower than one it has seen. Among those who hold a lock together it says nothing; whoever
    /// holds it alone after them has a greater one than all of them.
    #[getter]
    fn token(&self) -> Result<i64> {
        Ok(self.guard.get()?.token())
    }

    /// The key in etcd that holds the lock, of several the first; empty while there is none.
    #[getter]
    fn key(&self) -> Result<String> {
        Ok(self.guard.get()?.key())
    }

    /// The keys in etcd that hold its locks, one for each name; empty while there are none.
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyTuple>> {
        Ok(PyTuple::new(py, self.guard.get()?.keys())?)
    }

    /// Where it stands: "waiting", "held", "at_risk" (held, but not renewed for so long that it may soon be lost) or
    /// "ended". It reads the clock in the call: a guard whose time ran out is "ended" whatever was heard from etcd.
    #[getter]
    fn state(&self) -> Result<&'static str> {
        Ok(self.guard.get()?.state().name())
    }

    /// Whether the lock is held now, as far as this process can know.
    #[getter]
    fn held(&self) -> Result<bool> {
        Ok(self.guard.get()?.held())
    }

    /// Seconds for which the lock stays held if etcd stops answering now; 0 when it is not held.
    #[getter]
    fn remaining(&self) -> Result<f64> {
        Ok(self.guard.get()?.remaining().as_secs_f64())
    }

    /// What Client.get() would say of this guard, from memory.
    fn info(&self) -> Result<Info> {
        Ok(Info(self.guard.get()?.info()))
    }

    /// Raise LostError if the lock was lost, CancelledError if the guard was unlocked or its client disconnected.
    /// It asks nobody: call it as often as you like.
    fn check(&self) -> Result<()> {
        Ok(self.guard.get()?.check()?)
    }

    /// Wait until the lock is no longer held, and return why: a LostError, or a CancelledError after unlock() or
    /// disconnect() in another thread.
    fn lost(&self, py: Python<'_>) -> Result<Reason> {
        self.losing()?.wait(py)
    }

    /// Release the lock, and wait until etcd has confirmed it, at most for the client's timeout.
    ///
    /// Raises LostError if the lock was lost before, CancelledError if it had been unlocked or its client disconnected
    /// before, and UnavailableError if etcd has not confirmed: the hold is over then too, and the release goes on
    /// behind the call until the lease has ended.
    fn unlock(&self, py: Python<'_>) -> Result<()> {
        self.unlocking()?.wait(py)
    }

    fn __enter__(this: Py<Self>) -> Result<Py<Self>> {
        this.get().check()?;
        if this.get().entered.swap(true, Ordering::Relaxed) {
            return Err(Failure::Invalid("the guard is in a with block already, which would lose the lock".into()));
        }
        Ok(this)
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<Bound<'_, PyAny>>,
        exc_value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> Result<()> {
        let _ = (exc_type, traceback);
        if self.unlocked.load(Ordering::Relaxed) {
            return Ok(());
        }
        scope::leave(self.unlock(py), exc_value.as_ref())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Ok(guard) = self.guard.get() else { return Ok("<locker.Guard, inherited across fork>".into()) };
        let names: Vec<_> = guard.names().map(|name| PyString::new(py, name).repr()).collect::<PyResult<_>>()?;
        let names: Vec<_> = names.iter().map(|name| name.to_str()).collect::<PyResult<_>>()?;
        Ok(format!("<locker.Guard of {}, {}, token {}>", names.join(", "), guard.state().name(), guard.token()))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(scope::not_copyable("Guard"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.visit(&visit))
    }

    fn __clear__(&self) {
        if let Some(watch) = &self.watch {
            watch.forget();
        }
    }
}
