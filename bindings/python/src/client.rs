//! A connection to an etcd cluster.

use crate::arguments::{Flag, Seconds, Text};
use crate::copies::Copies;
use crate::error::Result;
use crate::guard::Guard;
use crate::info::Info;
use crate::log;
use crate::loss::OnLost;
use crate::owned::Owned;
use crate::watcher::Watcher;
use crate::work::Work;
use crate::{exit, scope};
use locker::ErrorKind;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What a Client, its guards and its watchers share. When the last of them is gone it disconnects by itself.
pub(crate) struct Connection {
    pub(crate) client: Owned<locker::Client>,
    pub(crate) endpoints: String,
    pub(crate) prefix: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Ok(client) = self.client.get() {
            self.client.runtime().disconnect(client);
        }
    }
}

/// Who holds the lock `name`, if that is in memory.
#[pyfunction]
#[pyo3(signature = (client, name, /))]
pub(crate) fn cached<'py>(py: Python<'py>, client: &Client, name: Text) -> Result<Option<Bound<'py, PyAny>>> {
    client.known(py, &name.named("name")?)
}

/// Whether a client can still be used: neither disconnected, nor ended since etcd's history went back, nor inherited.
#[pyfunction]
#[pyo3(signature = (client, /))]
pub(crate) fn is_open(client: &Client) -> bool {
    client.connection.client.get().is_ok_and(|client| !has_ended(client))
}

fn has_ended(client: &locker::Client) -> bool {
    // A name that is always refused, but not before the client has been looked at: nothing is asked of etcd.
    let refused = pin!(client.get("")).poll(&mut Context::from_waker(Waker::noop()));
    matches!(refused, Poll::Ready(Err(error)) if error.kind() == ErrorKind::Cancelled)
}

/// A connection to an etcd cluster, made by connect().
///
/// Any thread may use it at any time. As a context manager it disconnects at the end of the block. A child made by
/// fork cannot use it, nor anything that came from it: it connects anew.
#[pyclass(frozen, weakref, module = "locker")]
pub(crate) struct Client {
    connection: Arc<Connection>,
    copies: Copies,
}

impl Client {
    /// Call it with the GIL.
    pub(crate) fn new(connection: Connection) -> Self {
        Client { connection: exit::register(connection), copies: Copies::default() }
    }

    pub(crate) fn locking(
        &self,
        py: Python<'_>,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        timeout: Option<Seconds>,
        on_lost: Option<OnLost>,
    ) -> Result<Work<Guard>> {
        log::follow(py)?;
        let name = name.named("name")?;
        let value = value.map(|value| value.named("value")).transpose()?;
        let reason = reason.map(|reason| reason.named("reason")).transpose()?;
        let timeout = timeout.map(|timeout| timeout.named("timeout")).transpose()?;
        let connection = Arc::clone(&self.connection);
        self.connection.client.ask(|client| async move {
            let lock = client.lock(name);
            let lock = value.into_iter().fold(lock, locker::Lock::value);
            let lock = reason.into_iter().fold(lock, locker::Lock::reason);
            let lock = timeout.into_iter().fold(lock, locker::Lock::timeout);
            Ok(Guard::new(lock.await?, on_lost, connection))
        })
    }

    pub(crate) fn trying(
        &self,
        py: Python<'_>,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        on_lost: Option<OnLost>,
    ) -> Result<Work<Option<Guard>>> {
        let not_at_all = Seconds::default(Duration::ZERO);
        Ok(self.locking(py, name, value, reason, Some(not_at_all), on_lost)?.map(|outcome| match outcome {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            outcome => outcome.map(Some),
        }))
    }

    fn tell_on_a_thread(&self, on_lost: Option<&Bound<'_, PyAny>>) -> Result<Option<OnLost>> {
        self.connection.client.get()?;
        on_lost.map(OnLost::on_a_thread).transpose()
    }

    pub(crate) fn getting(&self, name: Text) -> Result<Work<Info>> {
        let name = name.named("name")?;
        self.connection.client.ask(|client| async move { client.get(name).await.map(Info) })
    }

    /// Who holds the lock `name`, if that is in memory.
    fn known<'py>(&self, py: Python<'py>, name: &str) -> Result<Option<Bound<'py, PyAny>>> {
        let known = self.connection.client.get()?.cached(name);
        Ok(known.map(|info| self.copies.object(py, info)).transpose()?)
    }

    pub(crate) fn watching(&self, py: Python<'_>, name: Text) -> Result<Work<Watcher>> {
        log::follow(py)?;
        let name = name.named("name")?;
        let connection = Arc::clone(&self.connection);
        self.connection.client.ask(|client| async move {
            let watcher = client.watch(&name).await?;
            Ok(Watcher::new(name, watcher, connection))
        })
    }

    pub(crate) fn disconnecting(&self) -> Result<Work<()>> {
        let client = &self.connection.client;
        let task = client.runtime().disconnect(client.get()?);
        Ok(Work::joining(client.runtime(), task))
    }
}

#[pymethods]
impl Client {
    /// Acquire the lock `name`, first come first served, and return its Guard. It is held when the call returns; `with`
    /// only ends it.
    ///
    /// name: 1 to 255 bytes of UTF-8 without NUL.
    /// value: what others read with get(), at most 1023 bytes of UTF-8. Left out: "<host>:<pid>".
    /// reason: why it is wanted, shown to those who find it busy, at most 255 bytes.
    /// timeout: seconds to wait for other holders. None: as long as it takes. 0: not at all.
    /// on_lost: is called once, with the LostError, if the lock is lost while it is held; never after unlock(), which
    ///     raises a LostError itself, nor after disconnect(). It runs on a thread that locker has for all such calls, one
    ///     after the other, in a copy of the context that lock() was called in. What it raises goes to
    ///     `sys.unraisablehook`.
    ///
    /// Ctrl-C ends the wait. A call that raises has left the queue and holds nothing.
    ///
    /// Raises TimeoutError (its `holder` says who holds the lock), UnavailableError, DeniedError, InvalidError, or
    /// CancelledError if the client is disconnected meanwhile.
    #[pyo3(signature = (name, *, value=None, reason=None, timeout=None, on_lost=None))]
    fn lock(
        &self,
        py: Python<'_>,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        timeout: Option<Seconds>,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Guard> {
        let on_lost = self.tell_on_a_thread(on_lost)?;
        self.locking(py, name, value, reason, timeout, on_lost)?.wait(py)
    }

    /// Acquire the lock `name` if nobody holds it; None if somebody does. Nothing is left in the queue then.
    ///
    /// The arguments and errors are those of lock().
    #[pyo3(signature = (name, *, value=None, reason=None, on_lost=None))]
    fn try_lock(
        &self,
        py: Python<'_>,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Option<Guard>> {
        let on_lost = self.tell_on_a_thread(on_lost)?;
        self.trying(py, name, value, reason, on_lost)?.wait(py)
    }

    /// Who holds the lock `name`, read from etcd. A free lock is an Info with token 0.
    ///
    /// cached: answer from memory if this client watches the lock or waits for it, and else read. That takes less than a
    ///     microsecond, and waits for nothing. What it tells was so at its `revision`, which never goes back. It is behind
    ///     by what is on its way, and never more than 10 seconds old: memory is of no use from the moment when the
    ///     connection to etcd breaks, or within these 10 seconds when etcd falls silent, until the watch has come to the
    ///     present again.
    ///
    /// Raises UnavailableError, DeniedError, InvalidError or CancelledError (the client is disconnected).
    #[pyo3(signature = (name, *, cached=Flag::default(false)), text_signature = "($self, name, *, cached=False)")]
    fn get<'py>(&self, py: Python<'py>, name: Text, cached: Flag) -> Result<Bound<'py, PyAny>> {
        let name = name.named("name")?;
        let known = if cached.named("cached")? { self.known(py, &name)? } else { None };
        match known {
            Some(info) => Ok(info),
            None => Ok(self.getting(Text::default(name))?.wait(py)?.into_pyobject(py)?),
        }
    }

    /// Watch who holds the lock `name`: the Watcher gives the present holder first, then each change.
    ///
    /// Raises UnavailableError, DeniedError, InvalidError or CancelledError (the client is disconnected).
    fn watch(&self, py: Python<'_>, name: Text) -> Result<Watcher> {
        self.watching(py, name)?.wait(py)
    }

    /// End all guards and watchers of this client, and wait until etcd has confirmed it, at most for the client's
    /// timeout. A second call does nothing.
    ///
    /// Raises UnavailableError if etcd has not confirmed: the locks then end with their lease.
    fn disconnect(&self, py: Python<'_>) -> Result<()> {
        self.disconnecting()?.wait(py)
    }

    fn __enter__(this: Py<Self>) -> Result<Py<Self>> {
        this.get().connection.client.get()?;
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
        scope::leave(self.disconnect(py), exc_value.as_ref())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let prefix = PyString::new(py, &self.connection.prefix).repr()?;
        let end = match self.connection.client.get() {
            Err(_) => ", inherited across fork",
            Ok(client) if has_ended(client) => ", disconnected",
            Ok(_) => "",
        };
        Ok(format!("<locker.Client of {}, prefix {prefix}{end}>", self.connection.endpoints))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(scope::not_copyable("Client"))
    }
}
