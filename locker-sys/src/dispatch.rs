//! Who runs the callbacks of one client, one at a time and in order: a thread of its own, or the host.
//!
//! It is never the runtime's thread: a callback that blocks there would keep leases from being kept alive.

use crate::boundary::Callback;
use crate::context;
use crate::due::Due;
use crate::fail::Fail;
use crate::line::{Job, Jobs, Line};
use crate::runtime::Runtime;
use crate::thread::Thread;
use std::sync::{Arc, mpsc};

pub(crate) enum Dispatcher {
    /// It ends when this and all its lines are gone and what they posted is done.
    Thread { jobs: mpsc::Sender<Job>, id: u64 },
    /// `locker_dispatch`.
    Host(Arc<Due>),
}

impl Dispatcher {
    pub(crate) fn start(runtime: &Runtime) -> Result<Self, Fail> {
        let (jobs, due) = mpsc::channel::<Job>();
        let id = context::new_thread();
        let thread = Thread::spawn("locker-call", move || {
            context::mark_callback_thread(id);
            for job in due {
                job.run();
            }
        })?;
        runtime.keep(thread);
        Ok(Dispatcher::Thread { jobs, id })
    }

    pub(crate) fn host() -> Result<Self, Fail> {
        Ok(Dispatcher::Host(Arc::new(Due::new()?)))
    }

    /// Whether this call is made by a callback of this client: then no other callback of it runs.
    pub(crate) fn is_calling(&self) -> bool {
        match self {
            Dispatcher::Thread { id, .. } => context::in_callback() && context::this_thread() == *id,
            Dispatcher::Host(due) => due.is_calling(),
        }
    }

    /// A line for one subscriber.
    pub(crate) fn line<F>(&self, callback: Callback<F>) -> Line<F>
    where
        Callback<F>: Send + Sync + 'static,
    {
        let jobs = match self {
            Dispatcher::Thread { jobs, .. } => Jobs::Thread(jobs.clone()),
            Dispatcher::Host(due) => Jobs::Host(due.clone()),
        };
        Line::new(jobs, callback)
    }
}
