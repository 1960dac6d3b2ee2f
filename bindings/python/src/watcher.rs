//! Who holds a lock, each time it changes hands.

use crate::client::Connection;
use crate::error::Result;
use crate::info::Info;
use crate::owned::Owned;
use crate::scope;
use crate::work::Work;
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// The core's watcher, gone once it has ended. One reader at a time.
type Stream = tokio::sync::Mutex<Option<locker::Watcher>>;

/// Who holds one lock: an iterator of Info, first the present holder, then each change. A free lock is an Info with
/// token 0. It never ends by itself, but when its client disconnects.
///
/// It resumes by itself after a break. When it is read slowly, consecutive states may be merged; the last one is never
/// lost. Any thread may use it at any time; each state goes to one of those that iterate. As a context manager it ends
/// the watch at the end of the block.
#[pyclass(frozen, weakref, module = "locker")]
pub(crate) struct Watcher {
    stream: Owned<Stream>,
    /// Wakes those who wait in the stream when it is to end.
    ended: CancellationToken,
    /// A state that came in the same instant as a signal that interrupted its reader: the next reader gets it.
    late: Mutex<Option<Info>>,
    /// Keeps the client connected while there is a watcher.
    _connection: Arc<Connection>,
}

impl Watcher {
    pub(crate) fn new(watcher: locker::Watcher, connection: Arc<Connection>) -> Self {
        let stream = Owned::new(connection.client.runtime(), Stream::new(Some(watcher)));
        Watcher { stream, ended: CancellationToken::new(), late: Mutex::new(None), _connection: connection }
    }

    fn late(&self) -> std::sync::MutexGuard<'_, Option<Info>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next(&self) -> Result<Work<Option<Info>>> {
        let ended = self.ended.clone();
        self.stream.ask(|stream| async move {
            let next = next_of(&stream);
            ended.run_until_cancelled(next).await.unwrap_or(Ok(None))
        })
    }

    pub(crate) fn unwatching(&self) -> Result<Work<()>> {
        let end = self.stream.begin(|stream| async move {
            stream.lock().await.take();
            Ok(())
        })?;
        self.ended.cancel();
        Ok(end)
    }
}

async fn next_of(stream: &Stream) -> locker::Result<Option<Info>> {
    match stream.lock().await.as_mut() {
        Some(watcher) => watcher.next().await.map(|next| next.map(Info)).transpose(),
        None => Ok(None),
    }
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
        let next = self.next()?;
        let late = self.late().take_if(|_| !self.ended.is_cancelled());
        match late {
            Some(info) => Ok(Some(info)),
            None => next.wait_or(py, |late| *self.late() = late),
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

    fn __reduce__(&self) -> PyResult<()> {
        Err(scope::not_copyable("Watcher"))
    }
}
