//! The Python binding of locker: `locker._locker`, which the package `locker` shows to the world.
//!
//! It sits on the async core. Each call becomes a task of the one [`runtime`] of the process; the calling thread waits
//! for it without the GIL. What Python sees is described in `python/locker/__init__.pyi`; a test keeps the words there
//! and the doc comments here the same.
#![forbid(unsafe_code)]

mod arguments;
mod client;
mod connect;
mod connection;
mod copies;
mod environment;
mod error;
mod exit;
mod guard;
mod info;
mod interpreter;
mod log;
mod loss;
mod mailbox;
mod outbox;
mod owned;
mod runtime;
mod scope;
mod watcher;
mod wish;
mod work;

/// The part of locker that is written in Rust.
// With the GIL: no thread of Python holds one of its mutexes while another forks.
#[pyo3::pymodule(gil_used = true)]
mod _locker {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::client::{Client, cached, is_open};
    #[pymodule_export]
    use crate::connect::connect;
    #[pymodule_export]
    use crate::exit::disconnect_all;
    #[pymodule_export]
    use crate::guard::Guard;
    #[pymodule_export]
    use crate::log::{last_lines, next_lines};
    #[pymodule_export]
    use crate::loss::{next_losses, unraisable};
    #[pymodule_export]
    use crate::mailbox::{Mailbox, Task};
    #[pymodule_export]
    use crate::watcher::{Watcher, take};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::interpreter::claim(py)?;
        crate::error::prepare(py)?;
        crate::info::prepare(py)
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // Python's name.
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
