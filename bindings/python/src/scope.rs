//! What the ends of `with` blocks, and objects that cannot be copied, have in common.

use crate::error::{Failure, Result};
use locker::ErrorKind;
use pyo3::exceptions::{PyGeneratorExit, PySystemExit, PyTypeError};
use pyo3::prelude::*;

/// The end of a `with` block: an error in ending its object is raised, unless the body raised one itself. That one goes
/// first; ours becomes a note on it (Python 3.11 and later show notes). An interruption is always raised, and so is a loss
/// where the body ends by `SystemExit` or `GeneratorExit`: these are no errors, and nobody shows their notes.
pub(crate) fn leave(outcome: Result<()>, body: Option<&Bound<'_, PyAny>>) -> Result<()> {
    match (outcome, body) {
        (Err(Failure::Core(error)), Some(body)) if error.kind() == ErrorKind::Lost && is_mere_exit(body) => {
            Err(Failure::Core(error))
        }
        (Err(failure @ (Failure::Core(_) | Failure::Invalid(_))), Some(body)) => {
            let note = PyErr::from(failure).to_string();
            let _ = body.call_method1("add_note", (format!("locker: while leaving the with block: {note}"),));
            Ok(())
        }
        (outcome, _) => outcome,
    }
}

fn is_mere_exit(body: &Bound<'_, PyAny>) -> bool {
    body.is_instance_of::<PySystemExit>() || body.is_instance_of::<PyGeneratorExit>()
}

/// Why `pickle` and `copy` are refused: a connection to etcd cannot be put into bytes.
pub(crate) fn not_copyable(class: &str) -> PyErr {
    PyTypeError::new_err(format!("cannot pickle or copy a locker.{class}: connect anew where it is needed"))
}
