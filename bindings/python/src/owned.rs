//! What belongs to the process that made it.

use crate::error::Result;
use crate::runtime::Runtime;
use crate::work::Work;
use std::future::Future;
use std::mem;
use std::sync::Arc;

/// An object of the core, for use only in the process that made it.
///
/// After a fork the child has a copy of it, but neither the runtime's thread nor a connection of its own: the sockets
/// and the epoll set are the parent's. So the child may neither use it ([`get`](Owned::get) fails) nor even drop it:
/// that can take a socket out of the parent's epoll set, or wait for ever for a mutex that was held in the moment of the
/// fork by a thread that the child does not have (it did, in one fork of a thousand out of a busy process).
pub(crate) struct Owned<T> {
    runtime: &'static Runtime,
    value: Arc<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(runtime: &'static Runtime, value: T) -> Self {
        Owned::sharing(runtime, Arc::new(value))
    }

    /// As [`new`](Owned::new), of what tasks of the runtime use too.
    pub(crate) fn sharing(runtime: &'static Runtime, value: Arc<T>) -> Self {
        Owned { runtime, value }
    }

    /// The object, unless it came here by a fork.
    pub(crate) fn get(&self) -> Result<&Arc<T>> {
        self.runtime.check()?;
        Ok(&self.value)
    }

    /// What `ask` makes of it, to be waited for.
    pub(crate) fn ask<A, F>(&self, ask: impl FnOnce(Arc<T>) -> F) -> Result<Work<A>>
    where
        A: Send + 'static,
        F: Future<Output = locker::Result<A>> + Send + 'static,
    {
        Ok(Work::new(self.runtime, ask(Arc::clone(self.get()?))))
    }

    /// As [`ask`](Owned::ask), for what is done whether or not anybody goes on waiting for it: it begins now.
    pub(crate) fn begin<A, F>(&self, begin: impl FnOnce(Arc<T>) -> F) -> Result<Work<A>>
    where
        A: Send + 'static,
        F: Future<Output = locker::Result<A>> + Send + 'static,
    {
        let task = self.runtime.handle()?.spawn(begin(Arc::clone(&self.value)));
        Ok(Work::joining(self.runtime, task))
    }

    /// The runtime that the object lives on.
    pub(crate) fn runtime(&self) -> &'static Runtime {
        self.runtime
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.runtime.is_inherited() {
            mem::forget(Arc::clone(&self.value)); // One count too many: it is never dropped.
        }
    }
}
