//! The one interpreter of the process that may import locker.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::sync::OnceLock;

/// Where its module `sys` is: another interpreter has another.
static SYS: OnceLock<usize> = OnceLock::new();

/// Fails in any interpreter but the first: classes, and all that they refer to, belong to the one that made them. Since
/// Python 3.12 the import system refuses by itself.
pub(crate) fn claim(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?.as_ptr().addr();
    if *SYS.get_or_init(|| sys) == sys {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "locker cannot be imported in a subinterpreter: another interpreter of this process uses it",
    ))
}
