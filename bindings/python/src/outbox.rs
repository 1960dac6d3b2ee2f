//! What the thread of the runtime has for Python, until a thread of Python fetches it.

use crate::runtime::Runtime;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::mem::take;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue whose writer never waits for its reader, which may be slow or wait for the GIL.
pub(crate) struct Outbox<T> {
    items: Mutex<Items<T>>,
    filled: Condvar,
    room: usize,
}

pub(crate) struct Items<T> {
    pub(crate) waiting: VecDeque<T>,
    /// How many found no room.
    pub(crate) refused: u64,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Items { waiting: VecDeque::new(), refused: 0 }
    }
}

impl<T: Send> Outbox<T> {
    pub(crate) fn new(room: usize) -> Self {
        Outbox { items: Mutex::default(), filled: Condvar::new(), room }
    }

    pub(crate) fn put(&self, item: T) {
        let mut items = self.items();
        if items.waiting.len() < self.room {
            items.waiting.push_back(item);
            self.filled.notify_one();
        } else {
            items.refused += 1;
        }
    }

    /// What is there now.
    pub(crate) fn take(&self) -> Items<T> {
        take(&mut *self.items())
    }

    /// Waits without the GIL until there is something. It does not come back once the interpreter exits.
    pub(crate) fn fetch(&self, py: Python<'_>, runtime: &Runtime) -> Items<T> {
        self.wait(py, runtime);
        self.take()
    }

    /// As [`fetch`](Outbox::fetch), only the first item: what is done with that may change what the next one means.
    pub(crate) fn fetch_first(&self, py: Python<'_>, runtime: &Runtime) -> Option<T> {
        self.wait(py, runtime);
        self.items().waiting.pop_front()
    }

    fn wait(&self, py: Python<'_>, runtime: &Runtime) {
        py.detach(|| {
            drop(self.filled.wait_while(self.items(), |items| items.waiting.is_empty()));
            runtime.end_if_exiting();
        });
    }

    fn items(&self) -> MutexGuard<'_, Items<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
