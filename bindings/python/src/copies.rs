//! What the core has in memory, as Python objects that are made once for each state and not for each call.

use crate::info::Info;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are kept before those are looked for of which the core knows nothing any more.
const FEW: usize = 64;

/// Objects, each with what it was made of. Only locked by threads that have the GIL, and by none that runs Python meanwhile:
/// that could pass the GIL on to another that waits here.
#[derive(Default)]
pub(crate) struct Copies(Mutex<Made>);

#[derive(Default)]
struct Made {
    /// By the names of the locks.
    objects: HashMap<String, Object>,
    /// How many there may be before some are looked for that can go.
    limit: usize,
}

type Object = (Arc<locker::Info>, Py<PyAny>);

impl Copies {
    /// The object for what the core has just told.
    pub(crate) fn object<'py>(&self, py: Python<'py>, info: Arc<locker::Info>) -> PyResult<Bound<'py, PyAny>> {
        if let Some((of, object)) = self.made().objects.get(&info.name)
            && Arc::ptr_eq(of, &info)
        {
            return Ok(object.bind(py).clone());
        }
        let object = Info(locker::Info::clone(&info)).into_pyobject(py)?;
        let gone = self.made().keep(info, object.clone().unbind());
        drop(gone); // Not before it is unlocked: the end of an object may run Python.
        Ok(object)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    /// Keeps an object; gives those that are not needed any more.
    fn keep(&mut self, info: Arc<locker::Info>, object: Py<PyAny>) -> Vec<Object> {
        let mut gone = Vec::new();
        if self.objects.len() >= self.limit.max(FEW) {
            gone.extend(self.objects.extract_if(|_, (of, _)| Arc::strong_count(of) == 1).map(|(_, object)| object));
            self.limit = self.objects.len() * 2;
        }
        gone.extend(self.objects.insert(info.name.clone(), (info, object)));
        gone
    }
}
