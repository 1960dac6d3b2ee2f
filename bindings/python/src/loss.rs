//! Functions of the program that are told, once, that a lock was lost.

use crate::error::{Reason, Result};
use crate::owned::Owned;
use crate::runtime::Runtime;
use locker::ErrorKind;
use pyo3::PyTraverseError;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::select;
use tokio_util::sync::CancellationToken;

/// The function that was given as `on_lost`, as a `Listener` of `_losses.py`. Only locked by threads that have the GIL.
#[derive(Default)]
struct Listener(Mutex<Option<Py<PyAny>>>);

impl Listener {
    fn take(&self) -> Option<Py<PyAny>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// That a lock was lost, on its way to the function that wants to know it.
pub(crate) struct Notice {
    listener: Arc<Listener>,
    error: locker::Error,
    /// Whether the client was told to disconnect meanwhile.
    silent: Arc<AtomicBool>,
}

impl Notice {
    /// None if nobody wants to know it any more: unlock() or disconnect() was called, or the function garbage collected.
    pub(crate) fn open(self) -> Option<(Py<PyAny>, Reason)> {
        let listener = self.listener.take()?;
        (!self.silent.load(Ordering::Relaxed)).then_some((listener, Reason(self.error)))
    }
}

/// Who is to be told when a lock that is asked for is lost one day, and by which way.
pub(crate) struct OnLost {
    listener: Arc<Listener>,
    send: Box<dyn FnOnce(Notice) + Send>,
}

impl OnLost {
    /// Tells `function`, which Python gave, by `send`, which is called on the thread of the runtime.
    pub(crate) fn new(function: &Bound<'_, PyAny>, send: impl FnOnce(Notice) + Send + 'static) -> Result<Self> {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = function.py();
        if !function.is_callable() {
            let class = function.get_type().name()?;
            return Err(PyTypeError::new_err(format!("on_lost: must be a function, not {class}")).into());
        }
        let listener = CLASS.import(py, "locker._losses", "Listener")?.call1((function,))?.unbind();
        Ok(OnLost { listener: Arc::new(Listener(Mutex::new(Some(listener)))), send: Box::new(send) })
    }

    /// Tells it on a thread of Python.
    pub(crate) fn on_a_thread(function: &Bound<'_, PyAny>) -> Result<Self> {
        static START: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = function.py();
        let runtime = Runtime::get(py)?;
        let on_lost = OnLost::new(function, |notice| runtime.losses().put(notice))?;
        START.import(py, "locker._losses", "start")?.call0()?;
        Ok(on_lost)
    }

    /// Waits for the loss of a lock that is held now, until the [`Watch`] says that nobody wants to know any more,
    /// or its client is `silent`.
    pub(crate) fn watch(self, runtime: &'static Runtime, guard: Arc<locker::Guard>, silent: Arc<AtomicBool>) -> Watch {
        let OnLost { listener, send } = self;
        let unwanted = CancellationToken::new();
        let watch = Watch { listener: Arc::clone(&listener), unwanted: Owned::new(runtime, unwanted.clone()) };
        tokio::spawn(async move {
            let error = select! { biased;
                error = guard.lost() => error,
                () = unwanted.cancelled() => return,
            };
            if error.kind() == ErrorKind::Lost {
                send(Notice { listener, error, silent });
            }
        });
        watch
    }
}

/// The watch over a lock that is held. It keeps the lock: whoever unlocks by forgetting it has to end the watch.
pub(crate) struct Watch {
    listener: Arc<Listener>,
    unwanted: Owned<CancellationToken>,
}

impl Watch {
    /// Nobody wants to know any more.
    pub(crate) fn end(&self) {
        if let Ok(unwanted) = self.unwanted.get() {
            unwanted.cancel();
        }
        self.forget();
    }

    /// For the garbage collector.
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.listener.0.try_lock() {
            Ok(function) => visit.call(&*function),
            Err(_) => Ok(()), // A thread takes it just now.
        }
    }

    /// Drops the function.
    pub(crate) fn forget(&self) {
        drop(self.listener.take());
    }
}

/// Waits for a loss: the function that is to be told, if it still is, with the error. None in a child of fork.
#[pyfunction]
pub(crate) fn next_losses(py: Python<'_>) -> Option<Vec<(Py<PyAny>, Reason)>> {
    let runtime = Runtime::existing()?;
    let notice = runtime.losses().fetch_first(py, runtime);
    Some(notice.and_then(Notice::open).into_iter().collect())
}

/// Tell `sys.unraisablehook` of an error that was raised where nobody could catch it.
#[pyfunction]
#[pyo3(signature = (error, raised_by, /))]
pub(crate) fn unraisable(py: Python<'_>, error: Bound<'_, PyAny>, raised_by: &Bound<'_, PyAny>) {
    PyErr::from_value(error).write_unraisable(py, Some(raised_by));
}
