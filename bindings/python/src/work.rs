//! One thing that etcd is asked for, and waiting for it.

use crate::error::{Result, internal};
use crate::runtime::Runtime;
use pyo3::prelude::*;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::task::{AbortHandle, JoinError, JoinHandle};

/// How long a thread waits before it looks whether a signal came: Ctrl-C is noticed within this time.
const SLICE: Duration = Duration::from_millis(100);

/// One thing that etcd is asked for.
#[must_use = "it may do nothing until waited for"]
pub(crate) struct Work<T> {
    runtime: &'static Runtime,
    stage: Stage<T>,
}

enum Stage<T> {
    /// [`wait`](Work::wait) or [`spawn`](Work::spawn) begins it.
    Asked(Pin<Box<dyn Future<Output = locker::Result<T>> + Send>>),
    /// It goes on even if nobody waits for it any more.
    Begun(JoinHandle<locker::Result<T>>),
}

impl<T: Send + 'static> Work<T> {
    pub(crate) fn new(
        runtime: &'static Runtime,
        future: impl Future<Output = locker::Result<T>> + Send + 'static,
    ) -> Self {
        Work { runtime, stage: Stage::Asked(Box::pin(future)) }
    }

    /// The end of a task, which goes on even if nobody waits for it any more.
    pub(crate) fn joining(runtime: &'static Runtime, task: JoinHandle<locker::Result<T>>) -> Self {
        Work { runtime, stage: Stage::Begun(task) }
    }

    pub(crate) fn map<U: Send + 'static>(
        self,
        map: impl FnOnce(locker::Result<T>) -> locker::Result<U> + Send + 'static,
    ) -> Work<U> {
        Work::new(self.runtime, async { map(self.stage.finish().await) })
    }

    /// Begins it, and has `done` called on the thread of the runtime, in any case: with None if it was aborted or has
    /// panicked.
    pub(crate) fn spawn(self, done: impl FnOnce(Option<locker::Result<T>>) + Send + 'static) -> Result<AbortHandle> {
        let mut done = Done(Some(Box::new(done)));
        let finish = self.stage.finish();
        Ok(self.runtime.handle()?.spawn(async move { done.tell(Some(finish.await)) }).abort_handle())
    }

    /// Waits for it without the GIL. If a signal handler raises meanwhile, that is the result, and what was only asked for
    /// is dropped.
    pub(crate) fn wait(self, py: Python<'_>) -> Result<T> {
        let runtime = self.runtime;
        let (mut task, goes_on) = match self.stage {
            Stage::Asked(future) => (runtime.handle()?.spawn(future), false),
            Stage::Begun(task) => (task, true),
        };
        loop {
            match py.detach(|| receive(runtime, &mut task)) {
                Some(Ok(result)) => return Ok(result?),
                Some(Err(_)) => return Err(internal(py, "a task of locker panicked".into())),
                None => {}
            }
            if let Err(interrupt) = py.check_signals() {
                if !goes_on {
                    task.abort();
                    drop(py.detach(|| receive(runtime, &mut task)));
                }
                return Err(interrupt.into());
            }
        }
    }
}

impl<T: Send + 'static> Stage<T> {
    async fn finish(self) -> locker::Result<T> {
        match self {
            Stage::Asked(future) => future.await,
            Stage::Begun(task) => task.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic())),
        }
    }
}

/// Who is to be told of the outcome, once.
struct Done<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Done<T> {
    fn tell(&mut self, outcome: Option<T>) {
        if let Some(done) = self.0.take() {
            done(outcome);
        }
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        self.tell(None);
    }
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a task, for a slice of time.
fn receive<T>(runtime: &Runtime, task: &mut JoinHandle<T>) -> Option<std::result::Result<T, JoinError>> {
    let (waker, end) = (Arc::new(Unpark(thread::current())).into(), Instant::now() + SLICE);
    let received = loop {
        if let Poll::Ready(result) = Pin::new(&mut *task).poll(&mut Context::from_waker(&waker)) {
            break Some(result);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break None;
        }
        thread::park_timeout(left);
    };
    runtime.stay_if_exiting();
    received
}
