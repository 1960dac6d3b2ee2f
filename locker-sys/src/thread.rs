//! The library's threads, and how one waits for them.

use crate::boundary::signals_blocked;
use crate::context::Running;
use crate::fail::Fail;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Something that happens once, to wait for.
#[derive(Default)]
pub(crate) struct Latch {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    /// Whether it happened.
    pub(crate) fn is_open(&self) -> bool {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it happened until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let result = self.opened.wait_timeout_while(open, left, |open| !*open);
        *result.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A thread of the library: named, and with the host's signals blocked.
pub(crate) struct Thread {
    handle: JoinHandle<()>,
    ended: Arc<Latch>,
}

impl Thread {
    /// `name` has at most 15 bytes, as Linux wants it.
    pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Self, Fail> {
        let ended = Arc::new(Latch::default());
        let (running, ending) = (Running::new(), OpenOnDrop(ended.clone()));
        let body = move || {
            let (_ending, _running) = (ending, running);
            body();
        };
        let handle = signals_blocked(|| thread::Builder::new().name(name.into()).spawn(body));
        Ok(Thread { handle: handle.map_err(|e| Fail::exhausted("start a thread", e))?, ended })
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits until it is gone, stack and all.
    pub(crate) fn join(self) {
        // A panic was told where it happened.
        let _ = self.handle.join();
    }

    /// The same until `deadline`; gives it back if it runs on.
    fn join_until(self, deadline: Instant) -> Result<(), Self> {
        // The latch opens where only the thread's own tidying is left to do.
        if !self.ended.wait_until(deadline) {
            return Err(self);
        }
        self.join();
        Ok(())
    }
}

/// Those that were told to end and that may still run.
static ENDING: Mutex<Vec<Thread>> = Mutex::new(Vec::new());

fn ending() -> MutexGuard<'static, Vec<Thread>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `join_ending` wait for threads that were told to end.
pub(crate) fn will_end(threads: impl IntoIterator<Item = Thread>) {
    let mut ending = ending();
    ending.retain(|thread| !thread.has_ended());
    ending.extend(threads);
}

/// Waits for all that were told to end; what runs on at `deadline` is left for the next time.
pub(crate) fn join_ending(deadline: Instant) {
    let threads = mem::take(&mut *ending());
    will_end(threads.into_iter().filter_map(|thread| thread.join_until(deadline).err()).collect::<Vec<_>>());
}

/// Opens a latch when it goes.
pub(crate) struct OpenOnDrop(pub(crate) Arc<Latch>);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[cfg(target_os = "linux")]
    fn blocked(task: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{task}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_takes_no_signals_and_its_maker_keeps_its_own() {
        let before = blocked("thread-self");
        let (send, receive) = mpsc::channel();
        let thread = Thread::spawn("locker-test", move || send.send(blocked("thread-self")).unwrap()).unwrap();
        let bit = |signal: i32| 1u64 << (signal - 1);
        let mask = receive.recv().unwrap();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGPIPE, libc::SIGCHLD, libc::SIGPROF, libc::SIGUSR1] {
            assert!(mask & bit(signal) != 0, "signal {signal} is not blocked");
        }
        assert_eq!(mask & bit(libc::SIGSEGV), 0);
        assert_eq!(blocked("thread-self"), before);
        assert!(thread.join_until(Instant::now() + Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn one_waits_for_a_thread_no_longer_than_said_and_also_for_one_that_panics() {
        let (send, receive) = mpsc::channel::<()>();
        let slow = Thread::spawn("locker-test", move || assert!(receive.recv().is_err())).unwrap();
        let slow = slow.join_until(Instant::now() + Duration::from_millis(10)).unwrap_err();
        drop(send);
        assert!(slow.join_until(Instant::now() + Duration::from_secs(60)).is_ok());
        let broken = Thread::spawn("locker-test", || panic!("meant")).unwrap();
        assert!(broken.join_until(Instant::now() + Duration::from_secs(60)).is_ok());
    }
}
