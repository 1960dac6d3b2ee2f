//! The callbacks of one client that wait for the host to run them, with `locker_dispatch`.

use crate::context;
use crate::fail::Fail;
use crate::line::Job;
use crate::ready::Ready;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A queue whose descriptor is readable while there is something in it. It cannot grow beyond two jobs for each
/// subscriber, since what is next is fetched when the last has been told; those of subscribers that are gone are swept out
/// when they may be the greater part of it.
pub(crate) struct Due {
    state: Mutex<State>,
    /// Whose turn it is, of several threads that dispatch.
    turn: Mutex<()>,
}

struct State {
    jobs: VecDeque<Job>,
    /// `None` once the client is disconnected.
    ready: Option<Ready>,
    /// Who runs callbacks now.
    caller: Option<u64>,
    /// With so many jobs it is time to sweep.
    full: usize,
}

impl Due {
    pub(crate) fn new() -> Result<Self, Fail> {
        let ready = Ready::new().map_err(|e| Fail::exhausted("make a descriptor for the event loop", e))?;
        let state = State { jobs: VecDeque::new(), ready: Some(ready), caller: None, full: 16 };
        Ok(Due { state: Mutex::new(state), turn: Mutex::new(()) })
    }

    pub(crate) fn fd(&self) -> Result<RawFd, Fail> {
        let fd = self.state().ready.as_ref().map(Ready::fd);
        fd.ok_or_else(|| Fail::cancelled("the client was disconnected"))
    }

    /// False if it comes too late.
    pub(crate) fn post(&self, job: Job) -> bool {
        let mut state = self.state();
        let Some(ready) = &mut state.ready else { return false };
        ready.set();
        if state.jobs.len() >= state.full {
            state.jobs.retain(|job| !job.is_done());
            state.full = 16 + 2 * state.jobs.len();
        }
        state.jobs.push_back(job);
        true
    }

    /// Closes the descriptor and drops what is due.
    pub(crate) fn close(&self) {
        let jobs = {
            let mut state = self.state();
            state.ready = None;
            std::mem::take(&mut state.jobs)
        };
        drop(jobs);
    }

    /// Runs what is due now and not what comes meanwhile, at most `max` callbacks unless that is 0. Gives how many it ran.
    pub(crate) fn run(&self, max: usize) -> usize {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _calling = Calling::begin(self);
        let due = self.state().jobs.len();
        let mut ran = 0;
        for _ in 0..due {
            if max != 0 && ran == max {
                break;
            }
            let Some(job) = self.next() else { break };
            ran += usize::from(job.run());
        }
        ran
    }

    /// Whether this call is made by one of its callbacks.
    pub(crate) fn is_calling(&self) -> bool {
        context::in_callback() && self.state().caller == Some(context::this_thread())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.state().jobs.len()
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        let job = state.jobs.pop_front();
        if state.jobs.is_empty()
            && let Some(ready) = &mut state.ready
        {
            ready.clear();
        }
        job
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that runs callbacks, until this is dropped.
struct Calling<'a> {
    due: &'a Due,
    _marked: context::InCallback,
}

impl<'a> Calling<'a> {
    fn begin(due: &'a Due) -> Self {
        due.state().caller = Some(context::this_thread());
        Calling { due, _marked: context::InCallback::begin() }
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        let mut state = self.due.state();
        state.caller = None;
        // What is left over is news again: also for a loop that looks for edges only.
        if let Some(ready) = &mut state.ready {
            ready.again();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Work;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Work that is never done.
    struct Always<W>(W);

    impl<W: Fn() -> bool + Send + Sync> Work for Always<W> {
        fn run(&self) -> bool {
            self.0()
        }

        fn is_done(&self) -> bool {
            false
        }
    }

    fn posted(due: &Arc<Due>, count: usize, called: bool) -> Arc<AtomicUsize> {
        let runs = Arc::new(AtomicUsize::new(0));
        for _ in 0..count {
            let runs = runs.clone();
            due.post(Arc::new(Always(move || {
                runs.fetch_add(1, Ordering::SeqCst);
                called
            })));
        }
        runs
    }

    #[test]
    fn no_more_is_run_than_asked_for_and_what_calls_nothing_does_not_count() {
        let due = Arc::new(Due::new().unwrap());
        let (silent, loud) = (posted(&due, 2, false), posted(&due, 5, true));
        assert_eq!(due.run(2), 2);
        assert_eq!((silent.load(Ordering::SeqCst), loud.load(Ordering::SeqCst)), (2, 2));
        assert_eq!((due.run(0), due.run(0)), (3, 0));
    }

    #[test]
    fn what_comes_meanwhile_waits_for_the_next_time() {
        let due = Arc::new(Due::new().unwrap());
        let again = due.clone();
        due.post(Arc::new(Always(move || {
            assert!(again.is_calling());
            posted(&again, 1, true);
            true
        })));
        assert_eq!((due.run(0), due.run(0), due.run(0)), (1, 1, 0));
        assert!(!due.is_calling() && !context::in_callback());
    }

    #[test]
    fn after_its_end_nothing_is_due_and_what_was_is_dropped() {
        let due = Arc::new(Due::new().unwrap());
        let runs = posted(&due, 3, true);
        due.fd().unwrap();
        due.close();
        assert_eq!(Arc::strong_count(&runs), 1);
        assert_eq!(Arc::strong_count(&posted(&due, 1, true)), 1);
        assert_eq!(due.run(0), 0);
        assert!(due.fd().is_err());
    }
}
