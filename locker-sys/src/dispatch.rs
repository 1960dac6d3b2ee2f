//! The thread that runs the callbacks of one client, one at a time and in order.
//!
//! It is not the runtime's: a callback that blocks there would keep leases from being kept alive. Whoever has something
//! to tell waits until it was told before fetching the next, so that a slow callback costs time and no memory.

use crate::boundary::Callback;
use crate::context;
use crate::fail::Fail;
use crate::runtime::Runtime;
use crate::thread::{Latch, Thread};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The callback thread of a client. It ends when this and all its lines are gone and what they posted is done.
pub(crate) struct Dispatcher {
    jobs: mpsc::Sender<Job>,
    thread: ThreadId,
}

impl Dispatcher {
    pub(crate) fn start(runtime: &Runtime) -> Result<Self, Fail> {
        let (jobs, due) = mpsc::channel::<Job>();
        let thread = Thread::spawn("locker-call", move || {
            context::mark_callback_thread();
            due.into_iter().for_each(|job| job());
        })?;
        let id = thread.id();
        runtime.keep(thread);
        Ok(Dispatcher { jobs, thread: id })
    }

    /// Whether this call is made by a callback of this client: then no other callback of it runs.
    pub(crate) fn is_calling(&self) -> bool {
        context::in_callback() && thread::current().id() == self.thread
    }

    /// A line for one subscriber. `callback` is dropped on the callback thread.
    pub(crate) fn line<F>(&self, callback: Callback<F>) -> Line<F>
    where
        Callback<F>: Send + Sync + 'static,
    {
        Line { jobs: self.jobs.clone(), callback: Some(Arc::new(callback)), closed: Arc::default() }
    }
}

/// What tells one subscriber.
pub(crate) struct Line<F>
where
    Callback<F>: Send + Sync + 'static,
{
    jobs: mpsc::Sender<Job>,
    /// `None` only while this is dropped.
    callback: Option<Arc<Callback<F>>>,
    closed: Arc<Latch>,
}

impl<F> Line<F>
where
    Callback<F>: Send + Sync + 'static,
{
    /// Runs `call` on the callback thread and returns when it has returned.
    pub(crate) async fn tell(&self, call: impl FnOnce(&Callback<F>) + Send + 'static) {
        let Some(callback) = self.callback.clone() else { return };
        let (done, told) = oneshot::channel();
        self.post(move || {
            call(&callback);
            drop(callback);
            let _ = done.send(());
        });
        let _ = told.await;
    }

    /// Opens when the last callback has returned and its user data is freed.
    pub(crate) fn closed(&self) -> Arc<Latch> {
        self.closed.clone()
    }

    fn post(&self, job: impl FnOnce() + Send + 'static) {
        // The thread lives while a sender does.
        let _ = self.jobs.send(Box::new(job));
    }
}

impl<F> Drop for Line<F>
where
    Callback<F>: Send + Sync + 'static,
{
    fn drop(&mut self) {
        // Taken out, so that the one in the job is the last.
        let (callback, closed) = (self.callback.take(), self.closed.clone());
        self.post(move || {
            drop(callback);
            closed.open();
        });
    }
}
