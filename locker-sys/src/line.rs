//! What tells one subscriber, one thing at a time and in order.
//!
//! Whoever has something to tell waits until it was told before fetching the next, so that a slow callback costs time and
//! no memory.

use crate::boundary::Callback;
use crate::due::Due;
use crate::ending::{Cut, Ending};
use crate::thread::{Latch, OpenOnDrop};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use tokio::sync::oneshot;

/// What is to be done where callbacks run.
pub(crate) trait Work: Send + Sync {
    /// Does what comes next, and says whether it called a callback.
    fn run(&self) -> bool;
    /// Whether nothing is left to be done.
    fn is_done(&self) -> bool;
}

pub(crate) type Job = Arc<dyn Work>;

/// Where callbacks run.
#[derive(Clone)]
pub(crate) enum Jobs {
    Thread(mpsc::Sender<Job>),
    Host(Arc<Due>),
}

impl Jobs {
    /// Whether it will be done.
    fn post(&self, job: Job) -> bool {
        match self {
            Jobs::Thread(jobs) => jobs.send(job).is_ok(),
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

/// What calls a callback, and says whether it did.
type Tell<F> = Box<dyn FnOnce(&Callback<F>) -> bool + Send>;

struct Slot<F>(Mutex<Open<F>>);

struct Open<F> {
    /// `None` once nothing more is to be told.
    subscriber: Option<Arc<Subscriber<F>>>,
    /// What is to be told next, and who waits for that. It is not in the queue: it goes with the subscriber, though the
    /// queue may stand still.
    next: Option<(Tell<F>, oneshot::Sender<()>)>,
}

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
        let open = Open { subscriber: Some(subscriber), next: None };
        Line { jobs, slot: Arc::new(Slot(Mutex::new(open))), closed }
    }

    /// Runs `call`, which says whether it called the callback, and returns when it has returned.
    pub(crate) async fn tell(&self, call: impl FnOnce(&Callback<F>) -> bool + Send + 'static) {
        let (done, told) = oneshot::channel();
        if !self.slot.put(Box::new(call), done) {
            return;
        }
        if !self.jobs.post(self.slot.clone()) {
            self.slot.cut();
        }
        let _ = told.await;
    }

    /// How one who ends the subscriber goes about it.
    pub(crate) fn ending(&self) -> Ending {
        let slot = Arc::downgrade(&self.slot);
        let cut: Option<Weak<dyn Cut>> = match self.jobs {
            Jobs::Thread(_) => None,
            Jobs::Host(_) => Some(slot),
        };
        Ending::new(self.closed.clone(), cut)
    }
}

impl<F> Drop for Line<F>
where
    Callback<F>: Send + Sync + 'static,
{
    fn drop(&mut self) {
        // Of one that was cut nothing is left to be done, and no loop is to be woken for that.
        if !self.slot.is_done() && !self.jobs.post(self.slot.clone()) {
            self.slot.cut();
        }
    }
}

impl<F> Slot<F> {
    /// Whether there is somebody to be told.
    fn put(&self, tell: Tell<F>, done: oneshot::Sender<()>) -> bool {
        let mut open = self.open();
        let wanted = open.subscriber.is_some();
        if wanted {
            open.next = Some((tell, done));
        }
        wanted
    }

    fn open(&self) -> MutexGuard<'_, Open<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Work for Slot<F>
where
    Callback<F>: Send + Sync,
{
    /// Whose is the last frees the user data, here.
    fn run(&self) -> bool {
        let (subscriber, next) = {
            let mut open = self.open();
            (open.subscriber.clone(), open.next.take())
        };
        let Some((tell, done)) = next else {
            // Nothing comes any more: its line is gone.
            drop(subscriber);
            self.cut();
            return false;
        };
        let called = subscriber.is_some_and(|subscriber| tell(&subscriber.callback));
        let _ = done.send(());
        called
    }

    fn is_done(&self) -> bool {
        self.open().subscriber.is_none()
    }
}

impl<F> Cut for Slot<F>
where
    Callback<F>: Send + Sync,
{
    fn cut(&self) {
        let (subscriber, next) = {
            let mut open = self.open();
            (open.subscriber.take(), open.next.take())
        };
        drop(next);
        // It may free the host's user data, which may call us.
        drop(subscriber);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::UserData;
    use crate::types::locker_change_fn;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn who_tells_one_that_was_cut_goes_on_though_nobody_dispatches() {
        let due = Arc::new(Due::new().unwrap());
        let kept = Arc::new(());
        for _ in 0..1000 {
            let user_data = UserData::new(std::ptr::null_mut(), None);
            let line = Line::<locker_change_fn>::new(Jobs::Host(due.clone()), Callback::new(None, user_data));
            let (ending, held) = (line.ending(), kept.clone());
            let mut told = pin!(line.tell(move |_| {
                let _held = held;
                true
            }));
            let mut context = Context::from_waker(Waker::noop());
            assert!(told.as_mut().poll(&mut context).is_pending());
            ending.cut();
            assert!(told.as_mut().poll(&mut context).is_ready());
            assert_eq!(Arc::strong_count(&kept), 1);
        }
        assert!(due.len() <= 20, "{} are due", due.len());
        assert_eq!(due.run(0), 0);
    }
}
