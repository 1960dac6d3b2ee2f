//! A connection to an etcd cluster.

use crate::arguments::{self, Count, Flag, Seconds, Text};
use crate::connection::{Connection, end_of};
use crate::copies::Copies;
use crate::error::Result;
use crate::guard::Guard;
use crate::info::Info;
use crate::log;
use crate::loss::OnLost;
use crate::watcher::Watcher;
use crate::wish::Wish;
use crate::work::Work;
use crate::{exit, scope};
use locker::ErrorKind;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Who holds the lock `name`, if that is wanted from memory, and is there.
#[pyfunction]
#[pyo3(signature = (client, name, wanted, /))]
pub(crate) fn cached<'py>(
    py: Python<'py>,
    client: &Client,
    name: Text,
    wanted: Flag,
) -> Result<Option<Bound<'py, PyAny>>> {
    client.known(py, &name.named("name")?, wanted)
}

/// Whether a client can still be used: neither disconnected, nor ended since etcd's history went back, nor inherited.
#[pyfunction]
#[pyo3(signature = (client, /))]
pub(crate) fn is_open(client: &Client) -> bool {
    client.connection.client.get().is_ok_and(|client| end_of(client).is_none())
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

    /// Acquires these locks: one, or several at once.
    pub(crate) fn locking(
        &self,
        py: Python<'_>,
        names: Vec<String>,
        wish: Wish,
        on_lost: Option<OnLost>,
    ) -> Result<Work<Guard>> {
        log::follow(py)?;
        let wish = wish.checked()?;
        let connection = Arc::clone(&self.connection);
        self.connection
            .client
            .ask(|client| async move { Ok(Guard::new(wish.apply(client.lock_all(names)).await?, on_lost, connection)) })
    }

    /// As [`locking`](Client::locking), without a wait for others.
    pub(crate) fn trying(
        &self,
        py: Python<'_>,
        names: Vec<String>,
        wish: Wish,
        on_lost: Option<OnLost>,
    ) -> Result<Work<Option<Guard>>> {
        Ok(self.locking(py, names, wish.not_waiting(), on_lost)?.map(|outcome| match outcome {
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

    /// Who holds the lock `name`, if that is wanted from memory, and is there.
    fn known<'py>(&self, py: Python<'py>, name: &str, cached: Flag) -> Result<Option<Bound<'py, PyAny>>> {
        if !cached.named("cached")? {
            return Ok(None);
        }
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
        self.connection.silent.store(true, Ordering::Relaxed);
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
    /// shared: hold it together with all others who ask for it so: the read side of a read-write lock. Who wants it alone
    ///     waits until none of them is left, and those who come after him wait behind him.
    /// limit: hold it together with others, as long as there are no more of them than so many, 1 to 4294967295: a counting
    ///     semaphore. All that want the lock at the same time have to say the same limit. Not with `shared`.
    /// on_lost: is called once, with the LostError, if the lock is lost while it is held; never after unlock(), which
    ///     raises a LostError itself, nor after disconnect(). It runs on a thread that locker has for all such calls, one
    ///     after the other, in a copy of the context that lock() was called in. What it raises goes to
    ///     `sys.unraisablehook`.
    ///
    /// Ctrl-C ends the wait. A call that raises has left the queue and holds nothing.
    ///
    /// Raises TimeoutError (its `holder` says who holds the lock), UnavailableError, DeniedError, InvalidError (also if
    /// others share the lock with another limit: the text has both), or CancelledError if the client is disconnected
    /// meanwhile.
    #[pyo3(
        signature = (name, *, value=None, reason=None, timeout=None, shared=Flag::default(false), limit=None,
            on_lost=None),
        text_signature = "($self, name, *, value=None, reason=None, timeout=None, shared=False, limit=None, on_lost=None)"
    )]
    #[allow(clippy::too_many_arguments)] // They are keywords in Python.
    fn lock(
        &self,
        py: Python<'_>,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        timeout: Option<Seconds>,
        shared: Flag,
        limit: Option<Count>,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Guard> {
        let on_lost = self.tell_on_a_thread(on_lost)?;
        let wish = Wish { value, reason, timeout, shared, limit };
        self.locking(py, vec![name.named("name")?], wish, on_lost)?.wait(py)
    }

    /// Acquire the lock `name` if nobody holds it, or with `shared` or `limit` if there is room; None if there is not.
    /// Nothing is left in the queue then.
    ///
    /// The arguments and errors are those of lock().
    #[pyo3(
        signature = (name, *, value=None, reason=None, shared=Flag::default(false), limit=None, on_lost=None),
        text_signature = "($self, name, *, value=None, reason=None, shared=False, limit=None, on_lost=None)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn try_lock(
        &self,
        py: Python<'_>,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        shared: Flag,
        limit: Option<Count>,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Option<Guard>> {
        let on_lost = self.tell_on_a_thread(on_lost)?;
        let wish = Wish { value, reason, timeout: None, shared, limit };
        self.trying(py, vec![name.named("name")?], wish, on_lost)?.wait(py)
    }

    /// Acquire all these locks or none, and return one Guard for all of them. It is held, with one token, once it is the
    /// first in all their queues, and ends as a whole, also when only one of the locks is lost.
    ///
    /// names: an iterable of 1 to 60 names, none of them twice; not a str.
    /// value, reason: as in lock(). They are shown for each of the locks.
    /// timeout, on_lost: as in lock().
    ///
    /// Two such calls never wait for each other for ever, however their names overlap: where both want a lock, the earlier
    /// one is before the later. Who holds a guard already and asks for more may wait for ever, as with any lock.
    ///
    /// Ctrl-C ends the wait. A call that raises has left all the queues and holds nothing.
    ///
    /// Raises what lock() raises. The `holder` of a TimeoutError holds one of the locks: its `name` says which.
    #[pyo3(signature = (names, *, value=None, reason=None, timeout=None, on_lost=None))]
    fn lock_all(
        &self,
        py: Python<'_>,
        names: &Bound<'_, PyAny>,
        value: Option<Text>,
        reason: Option<Text>,
        timeout: Option<Seconds>,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Guard> {
        let on_lost = self.tell_on_a_thread(on_lost)?;
        let wish = Wish { value, reason, timeout, shared: Flag::default(false), limit: None };
        self.locking(py, arguments::names(names)?, wish, on_lost)?.wait(py)
    }

    /// Acquire all these locks if nobody holds any of them; None if somebody does. Nothing is left in any queue then.
    ///
    /// The arguments and errors are those of lock_all().
    #[pyo3(signature = (names, *, value=None, reason=None, on_lost=None))]
    fn try_lock_all(
        &self,
        py: Python<'_>,
        names: &Bound<'_, PyAny>,
        value: Option<Text>,
        reason: Option<Text>,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Option<Guard>> {
        let on_lost = self.tell_on_a_thread(on_lost)?;
        let wish = Wish { value, reason, timeout: None, shared: Flag::default(false), limit: None };
        self.trying(py, arguments::names(names)?, wish, on_lost)?.wait(py)
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
        match self.known(py, &name, cached)? {
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
        match end_of(this.get().connection.client.get()?) {
            Some(error) => Err(error.into()),
            None => Ok(this),
        }
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
            Ok(client) if end_of(client).is_some() => ", disconnected",
            Ok(_) => "",
        };
        Ok(format!("<locker.Client of {}, prefix {prefix}{end}>", self.connection.endpoints))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(scope::not_copyable("Client"))
    }
}
