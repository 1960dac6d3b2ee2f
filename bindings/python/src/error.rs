//! Rust errors as Python exceptions.

use crate::info::Info;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What the functions of this binding fail with; Python sees the exception that it stands for.
pub(crate) enum Failure {
    /// The core said no.
    Core(locker::Error),
    /// The binding itself found an argument, or an object that was inherited across fork, to be unusable.
    Invalid(String),
    /// A signal handler raised (`KeyboardInterrupt`), or Python could not do what it was asked.
    Python(PyErr),
}

/// What the functions of this binding return.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<locker::Error> for Failure {
    fn from(error: locker::Error) -> Self {
        Failure::Core(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Python(error.into())
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| match failure {
            Failure::Core(error) => exception(py, &error),
            Failure::Invalid(message) => new(py, "invalid", message, None),
            Failure::Python(error) => error,
        })
    }
}

/// The error that says that the binding itself broke.
pub(crate) fn internal(py: Python<'_>, message: String) -> Failure {
    Failure::Python(new(py, "internal", message, None))
}

fn exception(py: Python<'_>, error: &locker::Error) -> PyErr {
    match error.holder().cloned().map(|holder| Info(holder).into_pyobject(py)).transpose() {
        Ok(holder) => new(py, error.kind().name(), error.to_string(), Some((error, holder))),
        Err(failed) => failed,
    }
}

/// The classes are ordinary Python ones, in `errors.py`, which knows them by the name of their kind and makes them.
static NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Gets what makes errors. At the end of the interpreter, when objects die that still call locker, it is too late.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    NEW.import(py, "locker.errors", "_new").map(drop)
}

fn new(py: Python<'_>, code: &str, message: String, more: Option<(&locker::Error, Option<Bound<'_, PyAny>>)>) -> PyErr {
    let detail = more.as_ref().and_then(|(error, _)| error.grpc_code());
    let loss = more.as_ref().and_then(|(error, _)| error.loss()).map(locker::Loss::name);
    let holder = more.and_then(|(_, holder)| holder);
    let made = NEW.import(py, "locker.errors", "_new").and_then(|new| new.call1((code, message, detail, holder, loss)));
    made.map_or_else(|failed| failed, PyErr::from_value)
}

/// Why something ended, as an exception that is returned and not raised.
pub(crate) struct Reason(pub(crate) locker::Error);

impl<'py> IntoPyObject<'py> for Reason {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        Ok(exception(py, &self.0).into_value(py).into_bound(py).into_any())
    }
}
