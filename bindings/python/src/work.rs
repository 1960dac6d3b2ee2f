//! One thing that etcd is asked for, and waiting for it.

use crate::error::{Result, internal};
use crate::runtime::Runtime;
use pyo3::prelude::*;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinHandle};

/// How long a thread waits before it looks whether a signal came: Ctrl-C is noticed within this time.
const SLICE: Duration = Duration::from_millis(100);

/// One thing that etcd is asked for, once [`wait`](Work::wait) or [`spawn`](Work::spawn) begins it.
#[must_use = "it does nothing until waited for"]
pub(crate) struct Work<T> {
    runtime: &'static Runtime,
    future: Pin<Box<dyn Future<Output = locker::Result<T>> + Send>>,
}

impl<T: Send + 'static> Work<T> {
    pub(crate) fn new(
        runtime: &'static Runtime,
        future: impl Future<Output = locker::Result<T>> + Send + 'static,
    ) -> Self {
        Work { runtime, future: Box::pin(future) }
    }

    /// The end of a task, which goes on even if nobody waits for it any more.
    pub(crate) fn joining(runtime: &'static Runtime, task: JoinHandle<locker::Result<T>>) -> Self {
        Work::new(runtime, async { task.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic())) })
    }

    pub(crate) fn map<U: Send + 'static>(
        self,
        map: impl FnOnce(locker::Result<T>) -> locker::Result<U> + Send + 'static,
    ) -> Work<U> {
        Work::new(self.runtime, async { map(self.future.await) })
    }

    /// Begins it, and has `done` called on the thread of the runtime, in any case: with None if it was aborted or has
    /// panicked.
    pub(crate) fn spawn(self, done: impl FnOnce(Option<locker::Result<T>>) + Send + 'static) -> Result<AbortHandle> {
        let handle = self.runtime.handle()?;
        let task = handle.spawn(self.future);
        let abort = task.abort_handle();
        handle.spawn(async { done(task.await.ok()) });
        Ok(abort)
    }

    /// Waits for it without the GIL. If a signal handler raises meanwhile, that is the result, and the work is dropped.
    pub(crate) fn wait(self, py: Python<'_>) -> Result<T> {
        let runtime = self.runtime;
        let (sender, mut receiver) = sync_channel(1);
        let task = runtime.handle()?.spawn(async move {
            let _ = sender.send(self.future.await); // Nobody listens if the caller was interrupted just now.
        });
        loop {
            match py.detach(|| receive(runtime, &mut receiver)) {
                Ok(result) => return Ok(result?),
                Err(RecvTimeoutError::Disconnected) => return Err(internal(py, "a task of locker panicked".into())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(interrupt) = py.check_signals() {
                task.abort();
                drop(py.detach(|| receive(runtime, &mut receiver)));
                return Err(interrupt.into());
            }
        }
    }
}

fn receive<T>(runtime: &Runtime, receiver: &mut Receiver<T>) -> Result<T, RecvTimeoutError> {
    let received = receiver.recv_timeout(SLICE);
    runtime.stay_if_exiting();
    received
}
