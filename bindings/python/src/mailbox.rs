//! Work for an event loop of asyncio, in which nobody may block.

use crate::arguments::{self, Text};
use crate::client::Client;
use crate::connect::{self, Options};
use crate::error::{Result, internal};
use crate::guard::Guard;
use crate::loss::OnLost;
use crate::runtime::Runtime;
use crate::watcher::Watcher;
use crate::wish::Wish;
use crate::work::Work;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use std::convert::identity;
use std::io::{self, Read, Write};
use std::mem::take;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::AbortHandle;

/// Where one event loop gets the results of what it asked for. The loop watches a file descriptor, so the thread of the
/// runtime never waits for the GIL to deliver a result: leases would not be renewed meanwhile.
///
/// Everything that is asked for has an id, chosen by the caller, and ends in exactly one letter with that id. A letter
/// without one has a function to be told of a loss, and the error that says so.
#[pyclass(frozen)]
pub(crate) struct Mailbox {
    runtime: &'static Runtime,
    slot: Arc<Slot>,
    /// Readable when there are letters.
    bell: UnixStream,
}

/// The side of the mailbox where letters are put in.
struct Slot {
    letters: Mutex<Vec<Letter>>,
    bell: UnixStream,
}

/// A result on its way to Python.
struct Letter {
    id: Option<u64>,
    open: Box<dyn FnOnce(Python<'_>) -> Opened + Send>,
}

type Opened = Result<Py<PyAny>>;

/// Something that was asked for.
#[pyclass(frozen)]
pub(crate) struct Task(AbortHandle);

impl Slot {
    fn letters(&self) -> MutexGuard<'_, Vec<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, letter: Letter) {
        let mut letters = self.letters();
        letters.push(letter);
        if letters.len() == 1 {
            let _ = (&self.bell).write(&[0]); // It fails if the loop is gone.
        }
    }
}

impl Mailbox {
    /// Begins the work. `seal` makes of its result what Python gets; it is called with the GIL.
    fn post<T, P>(&self, id: u64, work: Result<Work<T>>, seal: impl FnOnce(T) -> P + Send + 'static) -> Result<Task>
    where
        T: Send + 'static,
        P: for<'py> IntoPyObject<'py>,
    {
        let slot = Arc::clone(&self.slot);
        let task = work?.spawn(move |outcome| {
            let open = move |py: Python<'_>| match outcome {
                Some(result) => Ok(seal(result?).into_py_any(py)?),
                None => Err(internal(py, "a task of locker was cancelled or panicked".into())),
            };
            slot.put(Letter { id: Some(id), open: Box::new(open) });
        })?;
        Ok(Task(task))
    }

    fn locking(
        &self,
        id: u64,
        client: &Bound<'_, Client>,
        names: Vec<String>,
        wish: Wish,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Task> {
        let on_lost = on_lost.map(|function| self.on_lost(function)).transpose()?;
        self.post(id, client.get().locking(client.py(), names, wish, on_lost), identity)
    }

    fn trying(
        &self,
        id: u64,
        client: &Bound<'_, Client>,
        names: Vec<String>,
        wish: Wish,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Task> {
        let on_lost = on_lost.map(|function| self.on_lost(function)).transpose()?;
        self.post(id, client.get().trying(client.py(), names, wish, on_lost), identity)
    }

    /// Has the loop told of a loss.
    fn on_lost(&self, function: &Bound<'_, PyAny>) -> Result<OnLost> {
        let slot = Arc::clone(&self.slot);
        OnLost::new(function, move |notice| {
            let open = |py: Python<'_>| Ok(notice.open().into_py_any(py)?);
            slot.put(Letter { id: None, open: Box::new(open) });
        })
    }
}

#[pymethods]
impl Mailbox {
    #[new]
    fn new(py: Python<'_>) -> Result<Self> {
        let (bell, ringing) = pair()?;
        let slot = Slot { letters: Mutex::new(Vec::new()), bell: ringing };
        Ok(Mailbox { runtime: Runtime::get(py)?, slot: Arc::new(slot), bell })
    }

    fn fileno(&self) -> i32 {
        self.bell.as_raw_fd()
    }

    /// Hands the letters that have come to `receive(id, result, error)`: all of them, whatever that raises. A signal handler
    /// may raise in the midst of it, so an answer is then handed over once more.
    fn deliver(&self, py: Python<'_>, receive: &Bound<'_, PyAny>) -> Result<()> {
        self.runtime.check()?;
        let _ = (&self.bell).read(&mut [0; 16]); // Silence it before looking: what comes after that rings again.
        let letters = take(&mut *self.slot.letters());
        let mut raised = None;
        for Letter { id, open } in letters {
            let (result, error) = match open(py) {
                Ok(result) => (result, None),
                Err(failure) => (py.None(), Some(PyErr::from(failure))),
            };
            let times = if id.is_some() { 2 } else { 1 };
            for _ in 0..times {
                let error = error.as_ref().map(|error| error.clone_ref(py));
                match receive.call1((id, result.clone_ref(py), error)) {
                    Ok(_) => break,
                    Err(first) => _ = raised.get_or_insert(first),
                }
            }
        }
        raised.map_or(Ok(()), |raised| Err(raised.into()))
    }

    fn connect(&self, id: u64, py: Python<'_>, endpoints: Option<&Bound<'_, PyAny>>, options: Options) -> Result<Task> {
        self.post(id, connect::connecting(py, endpoints, options), Client::new)
    }

    fn lock(
        &self,
        id: u64,
        client: &Bound<'_, Client>,
        name: Text,
        wish: Wish,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Task> {
        self.locking(id, client, vec![name.named("name")?], wish, on_lost)
    }

    fn lock_all(
        &self,
        id: u64,
        client: &Bound<'_, Client>,
        names: &Bound<'_, PyAny>,
        wish: Wish,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Task> {
        self.locking(id, client, arguments::names(names)?, wish, on_lost)
    }

    fn try_lock(
        &self,
        id: u64,
        client: &Bound<'_, Client>,
        name: Text,
        wish: Wish,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Task> {
        self.trying(id, client, vec![name.named("name")?], wish, on_lost)
    }

    fn try_lock_all(
        &self,
        id: u64,
        client: &Bound<'_, Client>,
        names: &Bound<'_, PyAny>,
        wish: Wish,
        on_lost: Option<&Bound<'_, PyAny>>,
    ) -> Result<Task> {
        self.trying(id, client, arguments::names(names)?, wish, on_lost)
    }

    fn get(&self, id: u64, client: &Client, name: Text) -> Result<Task> {
        self.post(id, client.getting(name), identity)
    }

    fn watch(&self, id: u64, client: &Bound<'_, Client>, name: Text) -> Result<Task> {
        self.post(id, client.get().watching(client.py(), name), identity)
    }

    fn disconnect(&self, id: u64, client: &Client) -> Result<Task> {
        self.post(id, client.disconnecting(), identity)
    }

    fn unlock(&self, id: u64, guard: &Guard) -> Result<Task> {
        self.post(id, guard.unlocking(), identity)
    }

    fn lost(&self, id: u64, guard: &Guard) -> Result<Task> {
        self.post(id, guard.losing(), identity)
    }

    fn ready(&self, id: u64, watcher: &Watcher) -> Result<Task> {
        self.post(id, watcher.ready(), identity)
    }

    fn unwatch(&self, id: u64, watcher: &Watcher) -> Result<Task> {
        self.post(id, watcher.unwatching(), identity)
    }
}

#[pymethods]
impl Task {
    /// Drop it, if it has not ended; its letter comes all the same.
    fn cancel(&self) {
        self.0.abort();
    }
}

fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (one, other) = UnixStream::pair()?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one, other))
}
