//! [`locker::Info`] as the Python class `Info`.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyTuple, PyType};
use std::time::{SystemTime, UNIX_EPOCH};

/// `Info` is an ordinary Python class, in `info.py`: comparing, printing and pickling come with it.
static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Gets the class. At the end of the interpreter, when objects die that still call locker, it is too late.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    CLASS.import(py, "locker.info", "Info").map(drop)
}

/// Who holds a lock, on its way to Python.
#[derive(Clone)]
pub(crate) struct Info(pub(crate) locker::Info);

impl<'py> IntoPyObject<'py> for Info {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let Info(info) = self;
        let lease_left = info.lease_left.map(|left| left.as_secs_f64());
        let fields = [
            info.name.into_py_any(py)?,
            info.token.into_py_any(py)?,
            info.mode.name().into_py_any(py)?,
            info.value.into_py_any(py)?,
            info.reason.into_py_any(py)?,
            info.host.into_py_any(py)?,
            info.pid.into_py_any(py)?,
            info.program.into_py_any(py)?,
            info.since.and_then(|since| to_datetime(py, since)).into_py_any(py)?,
            info.holders.into_py_any(py)?,
            info.limit.into_py_any(py)?,
            info.waiters.into_py_any(py)?,
            lease_left.into_py_any(py)?,
            info.revision.into_py_any(py)?,
        ];
        CLASS.import(py, "locker.info", "Info")?.call1(PyTuple::new(py, fields)?)
    }
}

/// None for a time that Python has no datetime for: it comes from another machine, and is only shown.
fn to_datetime(py: Python<'_>, time: SystemTime) -> Option<Bound<'_, PyDateTime>> {
    time.duration_since(UNIX_EPOCH).ok()?;
    time.into_pyobject(py).ok()
}
