//! A connection to an etcd cluster.

use crate::arguments::{self, File, Seconds, Text};
use crate::error::{Failure, Result};
use crate::guard::Guard;
use crate::owned::Owned;
use crate::runtime::Runtime;
use crate::watcher::Watcher;
use crate::work::Work;
use crate::{exit, info, scope};
use locker::ErrorKind;
use pyo3::prelude::*;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

/// What a Client, its guards and its watchers share. When the last of them is gone it disconnects by itself.
pub(crate) struct Connection {
    pub(crate) client: Owned<locker::Client>,
    endpoints: String,
    prefix: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Ok(client) = self.client.get() {
            exit::disconnect_behind(self.client.runtime(), client);
        }
    }
}

/// Connect to an etcd cluster.
///
/// endpoints: one URL, several with commas between them, or a sequence of URLs. Left out: $LOCKER_ENDPOINTS, else
///     $ETCDCTL_ENDPOINTS, else http://127.0.0.1:2379.
/// prefix: is put before every key; programs that share locks must agree on it. May be empty, which is how to share a
///     lock with `etcdctl lock NAME`.
/// ttl: seconds for which a dead process keeps its locks; at least 2, a fraction is rounded up to a whole second.
/// timeout: seconds that everything may take that waits for etcd (and not for another holder of a lock).
/// username, password: of an etcd user.
/// ca_file: a PEM file with the certificate authorities to trust in place of the system's.
/// cert_file, key_file: PEM files with the client's certificate chain and its key.
///
/// Raises InvalidError if an argument is wrong, UnavailableError if no endpoint has answered within `timeout`, and
/// DeniedError if etcd refuses the user.
#[pyfunction]
#[pyo3(
    signature = (endpoints=None, *, prefix=Text::default("/locker/"), ttl=Seconds::default(Duration::from_secs(10)),
        timeout=Seconds::default(Duration::from_secs(5)), username=None, password=None, ca_file=None, cert_file=None,
        key_file=None),
    text_signature = "(endpoints=None, *, prefix='/locker/', ttl=10.0, timeout=5.0, username=None, password=None, \
        ca_file=None, cert_file=None, key_file=None)"
)]
#[allow(clippy::too_many_arguments)] // They are keywords in Python.
pub(crate) fn connect(
    py: Python<'_>,
    endpoints: Option<&Bound<'_, PyAny>>,
    prefix: Text,
    ttl: Seconds,
    timeout: Seconds,
    username: Option<Text>,
    password: Option<Text>,
    ca_file: Option<File>,
    cert_file: Option<File>,
    key_file: Option<File>,
) -> Result<Client> {
    let endpoints = arguments::endpoints(endpoints)?;
    let prefix = prefix.named("prefix")?;
    let mut options =
        locker::Client::connect(&endpoints).prefix(&prefix).ttl(ttl.named("ttl")?).timeout(timeout.named("timeout")?);
    if let Some((name, password)) = arguments::both(("username", username), ("password", password))? {
        options = options.user(name, password);
    }
    if let Some(file) = ca_file {
        options = options.ca_file(file.named("ca_file")?);
    }
    if let Some((cert, key)) = arguments::both(("cert_file", cert_file), ("key_file", key_file))? {
        options = options.cert_files(cert, key);
    }
    let runtime = Runtime::get(py)?;
    let client = Owned::new(runtime, Work::new(runtime, options.into_future()).wait(py)?);
    Ok(Client { connection: exit::register(Connection { client, endpoints, prefix }) })
}

/// A connection to an etcd cluster, made by connect().
///
/// Any thread may use it at any time. As a context manager it disconnects at the end of the block. A child made by
/// fork cannot use it, nor anything that came from it: it connects anew.
#[pyclass(frozen, weakref, module = "locker")]
pub(crate) struct Client {
    connection: Arc<Connection>,
}

impl Client {
    fn acquire(
        &self,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        timeout: Option<Duration>,
    ) -> Result<Work<locker::Guard>> {
        let name = name.named("name")?;
        let value = value.map(|value| value.named("value")).transpose()?;
        let reason = reason.map(|reason| reason.named("reason")).transpose()?;
        self.connection.client.ask(|client| {
            let lock = client.lock(name);
            let lock = value.into_iter().fold(lock, locker::Lock::value);
            let lock = reason.into_iter().fold(lock, locker::Lock::reason);
            timeout.into_iter().fold(lock, locker::Lock::timeout).into_future()
        })
    }

    fn guard(&self, guard: locker::Guard) -> Guard {
        Guard::new(guard, Arc::clone(&self.connection))
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
    ///
    /// Ctrl-C ends the wait. A call that raises has left the queue and holds nothing.
    ///
    /// Raises TimeoutError (its `holder` says who holds the lock), UnavailableError, DeniedError, InvalidError, or
    /// CancelledError if the client is disconnected meanwhile.
    #[pyo3(signature = (name, *, value=None, reason=None, timeout=None))]
    fn lock(
        &self,
        py: Python<'_>,
        name: Text,
        value: Option<Text>,
        reason: Option<Text>,
        timeout: Option<Seconds>,
    ) -> Result<Guard> {
        let timeout = timeout.map(|timeout| timeout.named("timeout")).transpose()?;
        Ok(self.guard(self.acquire(name, value, reason, timeout)?.wait(py)?))
    }

    /// Acquire the lock `name` if nobody holds it; None if somebody does. Nothing is left in the queue then.
    ///
    /// The arguments and errors are those of lock().
    #[pyo3(signature = (name, *, value=None, reason=None))]
    fn try_lock(&self, py: Python<'_>, name: Text, value: Option<Text>, reason: Option<Text>) -> Result<Option<Guard>> {
        match self.acquire(name, value, reason, Some(Duration::ZERO))?.wait(py) {
            Err(Failure::Core(error)) if error.kind() == ErrorKind::Timeout => Ok(None),
            outcome => outcome.map(|guard| Some(self.guard(guard))),
        }
    }

    /// Who holds the lock `name`, read from etcd. A free lock is an Info with token 0.
    ///
    /// Raises UnavailableError, DeniedError, InvalidError or CancelledError (the client is disconnected).
    fn get<'py>(&self, py: Python<'py>, name: Text) -> Result<Bound<'py, PyAny>> {
        let name = name.named("name")?;
        let found = self.connection.client.ask(|client| async move { client.get(name).await })?.wait(py)?;
        Ok(info::to_python(py, &found)?)
    }

    /// Watch who holds the lock `name`: the Watcher gives the present holder first, then each change.
    ///
    /// Raises UnavailableError, DeniedError, InvalidError or CancelledError (the client is disconnected).
    fn watch(&self, py: Python<'_>, name: Text) -> Result<Watcher> {
        let name = name.named("name")?;
        let watcher = self.connection.client.ask(|client| async move { client.watch(name).await })?.wait(py)?;
        Ok(Watcher::new(watcher, Arc::clone(&self.connection)))
    }

    /// End all guards and watchers of this client, and wait until etcd has confirmed it, at most for the client's
    /// timeout. A second call does nothing.
    ///
    /// Raises UnavailableError if etcd has not confirmed: the locks then end with their lease.
    fn disconnect(&self, py: Python<'_>) -> Result<()> {
        match self.connection.client.ask(|client| async move { client.disconnect().await })?.wait(py) {
            Err(Failure::Core(error)) if error.kind() == ErrorKind::Cancelled => Ok(()),
            outcome => outcome,
        }
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

    fn __repr__(&self) -> String {
        format!("<locker.Client of {}, prefix {:?}>", self.connection.endpoints, self.connection.prefix)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(scope::not_copyable("Client"))
    }
}
