//! What tells one subscriber, one thing at a time and in order.
//!
//! Whoever has something to tell waits until it was told before fetching the next, so that a slow callback costs time and
//! no memory.

use crate::boundary::Callback;
use crate::due::Due;
use crate::thread::{Latch, OpenOnDrop};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Instant;
use tokio::sync::oneshot;

/// What is to be done where callbacks run. It says whether it called one.
pub(crate) type Job = Box<dyn FnOnce() -> bool + Send>;

/// Where callbacks run.
#[derive(Clone)]
pub(crate) enum Jobs {
    Thread(mpsc::Sender<Job>),
    Host(Arc<Due>),
}

impl Jobs {
    /// What can no longer be done is dropped.
    fn post(&self, job: Job) {
        match self {
            Jobs::Thread(jobs) => drop(jobs.send(job)),
            Jobs::Host(due) => due.post(job),
        }
    }
}

/// A line to one subscriber. When it goes the callback is dropped, where callbacks run.
pub(crate) struct Line<F>
where
    Callback<F>: Send + Sync + 'static,
{
    jobs: Jobs,
    slot: Arc<Slot<F>>,
    closed: Arc<Latch>,
}

/// Empty once nothing more is to be told.
struct Slot<F>(Mutex<Option<Arc<Subscriber<F>>>>);

/// Dropped in this order: who waits for the latch finds the user data freed.
struct Subscriber<F> {
    callback: Callback<F>,
    _closes: OpenOnDrop,
}

impl<F> Line<F>
where
    Callback<F>: Send + Sync + 'static,
{
    pub(crate) fn new(jobs: Jobs, callback: Callback<F>) -> Self {
        let closed = Arc::<Latch>::default();
        let subscriber = Arc::new(Subscriber { callback, _closes: OpenOnDrop(closed.clone()) });
        Line { jobs, slot: Arc::new(Slot(Mutex::new(Some(subscriber)))), closed }
    }

    /// Runs `call`, which says whether it called the callback, and returns when it has returned.
    pub(crate) async fn tell(&self, call: impl FnOnce(&Callback<F>) -> bool + Send + 'static) {
        if self.slot.is_empty() {
            return;
        }
        let (done, told) = oneshot::channel();
        let slot = self.slot.clone();
        self.jobs.post(Box::new(move || {
            // If that was the last of it, the user data is freed here.
            let called = slot.get().is_some_and(|subscriber| call(&subscriber.callback));
            let _ = done.send(());
            called
        }));
        let _ = told.await;
    }

    /// How one who ends the subscriber goes about it.
    pub(crate) fn ending(&self) -> Ending {
        let slot = Arc::downgrade(&self.slot);
        let cut: Option<Weak<dyn Cut>> = match self.jobs {
            Jobs::Thread(_) => None,
            Jobs::Host(_) => Some(slot),
        };
        Ending { closed: self.closed.clone(), cut }
    }
}

impl<F> Drop for Line<F>
where
    Callback<F>: Send + Sync + 'static,
{
    fn drop(&mut self) {
        // Of one that was cut nothing is left to be done, and no loop is to be woken for that.
        if self.slot.is_empty() {
            return;
        }
        let slot = self.slot.clone();
        self.jobs.post(Box::new(move || {
            slot.cut();
            false
        }));
    }
}

impl<F> Slot<F> {
    /// For where callbacks run: whose is the last frees the user data.
    fn get(&self) -> Option<Arc<Subscriber<F>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// What of a line does not depend on what it tells.
trait Cut: Send + Sync {
    fn cut(&self);
}

impl<F> Cut for Slot<F>
where
    Callback<F>: Send + Sync,
{
    fn cut(&self) {
        let subscriber = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It may free the host's user data, which may call us.
        drop(subscriber);
    }
}

/// How one who ends a subscriber goes about it.
#[derive(Clone)]
pub(crate) struct Ending {
    closed: Arc<Latch>,
    /// Of a client that the host dispatches.
    cut: Option<Weak<dyn Cut>>,
}

impl Ending {
    /// Where the host dispatches, nothing more is told from here on: it could not run before the host, who may be waiting
    /// here, comes to it. The user data is freed now; but if a callback runs, then by that, when it returns.
    pub(crate) fn cut(&self) {
        if let Some(slot) = self.cut.as_ref().and_then(Weak::upgrade) {
            slot.cut();
        }
    }

    /// Whether the last callback has returned, and its user data is freed, until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        self.closed.wait_until(deadline)
    }
}
