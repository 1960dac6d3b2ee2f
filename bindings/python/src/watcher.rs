//! Who holds a lock, each time it changes hands.

use crate::connection::Connection;
use crate::error::Result;
use crate::info::Info;
use crate::owned::Owned;
use crate::scope;
use crate::work::Work;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// A watcher of the core, and the state that comes next.
struct Stream {
    /// Gone once it has ended. One reader at a time waits for it.
    watcher: tokio::sync::Mutex<Option<locker::Watcher>>,
    /// A state that has come and that no reader has taken. It is not handed to the reader that waited for it: that one may
    /// have been interrupted or cancelled meanwhile, and the next one would be told newer states first.
    next: Mutex<Option<locker::Result<Arc<locker::Info>>>>,
    /// Wakes those who wait in the stream when it is to end.
    ended: CancellationToken,
}

impl Stream {
    fn next(&self) -> MutexGuard<'_, Option<locker::Result<Arc<locker::Info>>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a state to be taken, or none to come. Dropped, it loses nothing.
    async fn ready(&self) -> bool {
        let mut watcher = self.watcher.lock().await;
        if self.next().is_some() {
            return true;
        }
        let Some(watcher) = watcher.as_mut() else { return false };
        let next = watcher.next().await;
        let ready = next.is_some();
        *self.next() = next;
        ready
    }
}

/// Who holds one lock: an iterator of Info, first the present holder, then each change. A free lock is an Info with
/// token 0. It never ends by itself, but when its client disconnects.
///
/// It resumes by itself after a break. When it is read slowly, consecutive states may be merged; the last one is never
/// lost. Any thread may use it at any time; each state goes to one of those that iterate. As a context manager it ends
/// the watch at the end of the block.
#[pyclass(frozen, weakref, module = "locker")]
pub(crate) struct Watcher {
    stream: Owned<Stream>,
    name: String,
    /// Keeps the client connected while there is a watcher.
    _connection: Arc<Connection>,
}

impl Watcher {
    pub(crate) fn new(name: String, watcher: locker::Watcher, connection: Arc<Connection>) -> Self {
        let stream = Stream {
            watcher: tokio::sync::Mutex::new(Some(watcher)),
            next: Mutex::new(None),
            ended: CancellationToken::new(),
        };
        Watcher { stream: Owned::new(connection.client.runtime(), stream), name, _connection: connection }
    }

    /// Waits until there is a state to be taken; false: there will be none.
    pub(crate) fn ready(&self) -> Result<Work<bool>> {
        self.stream
            .ask(|stream| async move { Ok(stream.ended.run_until_cancelled(stream.ready()).await.unwrap_or(false)) })
    }

    pub(crate) fn unwatching(&self) -> Result<Work<()>> {
        let end = self.stream.begin(|stream| async move {
            stream.watcher.lock().await.take();
            Ok(())
        })?;
        self.stream.get()?.ended.cancel();
        Ok(end)
    }
}

/// The state that has come, unless another reader has taken it.
#[pyfunction]
#[pyo3(signature = (watcher, /))]
pub(crate) fn take(watcher: &Watcher) -> Result<Option<Info>> {
    let stream = watcher.stream.get()?;
    if stream.ended.is_cancelled() {
        return Ok(None);
    }
    Ok(stream.next().take().transpose()?.map(Arc::unwrap_or_clone).map(Info))
}

#[pymethods]
impl Watcher {
    /// End the watch; whoever iterates over it finds its end. A second call does nothing.
    fn unwatch(&self, py: Python<'_>) -> Result<()> {
        self.unwatching()?.wait(py)
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<Info>> {
        loop {
            match take(self)? {
                None if self.ready()?.wait(py)? => {}
                taken => return Ok(taken),
            }
        }
    }

    fn __enter__(this: Py<Self>) -> Result<Py<Self>> {
        this.get().stream.get()?;
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
        scope::leave(self.unwatch(py), exc_value.as_ref())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Ok(stream) = self.stream.get() else { return Ok("<locker.Watcher, inherited across fork>".into()) };
        let name = PyString::new(py, &self.name).repr()?;
        let end = if stream.ended.is_cancelled() { ", ended" } else { "" };
        Ok(format!("<locker.Watcher of {name}{end}>"))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(scope::not_copyable("Watcher"))
    }
}
