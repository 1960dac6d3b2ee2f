//! Disconnecting what the program did not disconnect itself.

use crate::connection::Connection;
use crate::error::Result;
use crate::runtime::Runtime;
use crate::work::Work;
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long the exit of the interpreter may wait for etcd. What it has not confirmed by then ends with its lease.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// The connections of this process, and those that it inherited by a fork. Only locked by threads that hold the GIL, as
/// does the one that forks: a child never finds it locked.
static CONNECTIONS: Mutex<Vec<Weak<Connection>>> = Mutex::new(Vec::new());

/// Remembers the connection, without keeping it, for the exit of the interpreter.
pub(crate) fn register(connection: Connection) -> Arc<Connection> {
    let connection = Arc::new(connection);
    let mut connections = CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    connections.retain(|other| other.strong_count() > 0);
    connections.push(Arc::downgrade(&connection));
    connection
}

/// Disconnect all clients of this process, for the exit of the interpreter.
#[pyfunction]
#[pyo3(name = "_disconnect_all")]
pub(crate) fn disconnect_all(py: Python<'_>) -> Result<()> {
    let Some(runtime) = Runtime::existing() else { return Ok(()) };
    runtime.begin_exit();
    let connections = CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for connection in connections.iter().filter_map(Weak::upgrade) {
        if let Ok(client) = connection.client.get() {
            runtime.disconnect(client);
        }
    }
    let endings = runtime.endings().clone();
    endings.close();
    let ended = async move {
        let _ = tokio::time::timeout(EXIT_LIMIT, endings.wait()).await;
        Ok(())
    };
    Work::new(runtime, ended).wait(py)
}
