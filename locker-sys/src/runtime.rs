//! The one tokio runtime of the process, turned by one thread: leases are kept alive whatever the host's threads do.

use crate::context::Running;
use crate::fail::Fail;
use crate::limit::Limit;
use crate::log;
use crate::park::parked;
use crate::thread::{self, Thread};
use crate::types::locker_code;
use once_cell::sync::OnceCell;
use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc as channel, oneshot};
use tokio::task::JoinHandle;

/// Made by the first connect, and by the first one after `locker_shutdown`.
static RUNTIME: RwLock<OnceCell<Arc<Runtime>>> = RwLock::new(OnceCell::new());

/// Fields of a mutex that a panic cannot leave half written.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Runtime {
    handle: Handle,
    retired: AtomicBool,
    stop: Mutex<Option<Stop>>,
    thread: Mutex<Option<Thread>>,
    callback_threads: Mutex<Vec<Thread>>,
}

/// How its thread ends.
struct Stop {
    /// When this is sent or dropped.
    now: oneshot::Sender<()>,
    /// What has to be done before has a sender of this channel.
    unfinished: channel::Sender<Infallible>,
    finished: channel::Receiver<Infallible>,
}

/// What a runtime that is told to stop waits for while this lives.
pub(crate) struct Unfinished(
    #[expect(dead_code, reason = "its drop is what counts")] Option<channel::Sender<Infallible>>,
);

impl Runtime {
    /// The runtime of this process, made now if there is none.
    pub(crate) fn get() -> Result<Arc<Self>, Fail> {
        // A fork may copy the lock as it is.
        let _starting = Running::new();
        let cell = RUNTIME.read().unwrap_or_else(PoisonError::into_inner);
        cell.get_or_try_init(Runtime::start).cloned()
    }

    fn start() -> Result<Arc<Self>, Fail> {
        log::take_panics();
        let built = Builder::new_current_thread().enable_all().thread_name("locker").build();
        let runtime = built.map_err(|e| Fail::exhausted("make a runtime", e))?;
        let handle = runtime.handle().clone();
        let (now, stopped) = oneshot::channel::<()>();
        let (unfinished, finished) = channel::channel(1);
        let thread = Thread::spawn("locker", move || {
            let _ = runtime.block_on(stopped);
            // A name that is being looked up must not keep the thread.
            runtime.shutdown_background();
        })?;
        Ok(Arc::new(Runtime {
            handle,
            retired: AtomicBool::new(false),
            stop: Mutex::new(Some(Stop { now, unfinished, finished })),
            thread: Mutex::new(Some(thread)),
            callback_threads: Mutex::default(),
        }))
    }

    /// Has `future` run to its end; nobody need wait for it.
    pub(crate) fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(future)
    }

    /// Parks the calling thread until `future` has ended. After `limit` the call fails and the future goes on.
    pub(crate) fn call<T, E>(
        &self,
        limit: Option<Duration>,
        future: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, Fail>
    where
        T: Send + 'static,
        E: Into<Fail> + Send + 'static,
    {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        match parked(deadline, self.spawn(future)) {
            Some(Ok(outcome)) => outcome.map_err(Into::into),
            Some(Err(ended)) => Err(ended.try_into_panic().map_or_else(|_| stopped(), Fail::panicked)),
            None => Err(late(limit.unwrap_or_default())),
        }
    }

    /// As `call`, for what etcd is to confirm: with LOCKER_NO_WAIT behind the call.
    pub(crate) fn confirm<E>(
        &self,
        limit: Limit,
        future: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Result<(), Fail>
    where
        E: Into<Fail> + Send + 'static,
    {
        match limit {
            Limit::Usual => self.call(None, future),
            Limit::For(time) => self.call(Some(time), future),
            Limit::NoWait => {
                self.spawn(future);
                Ok(())
            }
        }
    }

    /// Keeps a callback thread to wait for it in `join`.
    pub(crate) fn keep(&self, thread: Thread) {
        let mut threads = locked(&self.callback_threads);
        threads.retain(|thread| !thread.has_ended());
        threads.push(thread);
        if self.is_retired() {
            thread::will_end(threads.drain(..));
        }
    }

    /// For what has to be done before the thread ends.
    pub(crate) fn unfinished(&self) -> Unfinished {
        Unfinished(locked(&self.stop).as_ref().map(|stop| stop.unfinished.clone()))
    }

    /// Takes the runtime of this process out of use: the next connect makes another.
    pub(crate) fn retire() -> Option<Arc<Self>> {
        let runtime = RUNTIME.write().unwrap_or_else(PoisonError::into_inner).take()?;
        runtime.retired.store(true, Ordering::SeqCst);
        Some(runtime)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Ends its thread when nothing is unfinished, at `deadline` at the latest.
    pub(crate) fn stop_after(&self, deadline: Instant) {
        let Some(Stop { now, unfinished, mut finished }) = locked(&self.stop).take() else { return };
        drop(unfinished);
        self.spawn(async move {
            let _ = tokio::time::timeout_at(deadline.into(), finished.recv()).await;
            let _ = now.send(());
        });
        thread::will_end(locked(&self.callback_threads).drain(..));
    }

    /// Has a later shutdown wait for its thread, if this one does not.
    pub(crate) fn leave(&self) {
        thread::will_end(locked(&self.thread).take());
    }

    /// Waits for its thread after `stop_after`.
    pub(crate) fn join(&self) {
        if let Some(thread) = locked(&self.thread).take() {
            thread.join();
        }
    }
}

fn late(limit: Duration) -> Fail {
    let message = format!("etcd has not answered within {limit:?}; what was begun goes on behind the call");
    Fail::new(locker_code::LOCKER_UNAVAILABLE, message)
}

fn stopped() -> Fail {
    Fail::cancelled("locker_shutdown ended this call")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::thread;

    fn code<T>(result: Result<T, Fail>) -> Option<locker_code> {
        result.err().map(|fail| fail.code)
    }

    #[test]
    fn a_call_has_a_limit_survives_a_panic_and_ends_with_the_runtime() {
        let runtime = Runtime::start().unwrap();
        assert_eq!(runtime.call(None, async { Ok::<_, Fail>(7) }).unwrap(), 7);
        let panics = runtime.call(None, async { if true { panic!("meant") } else { Ok::<(), Fail>(()) } });
        assert_eq!(code(panics), Some(locker_code::LOCKER_INTERNAL));
        let late = runtime.call(Some(Duration::from_millis(1)), pending::<Result<(), Fail>>());
        assert_eq!(code(late), Some(locker_code::LOCKER_UNAVAILABLE));

        let waiting = thread::spawn({
            let runtime = runtime.clone();
            move || runtime.call(None, pending::<Result<(), Fail>>())
        });
        let endless = runtime.unfinished();
        runtime.spawn(async move {
            let _endless = endless;
            pending::<()>().await
        });
        let begun = Instant::now();
        runtime.stop_after(begun + Duration::from_millis(50));
        runtime.join();
        assert_eq!(code(waiting.join().unwrap()), Some(locker_code::LOCKER_CANCELLED));
        assert_eq!(code(runtime.call(None, async { Ok::<_, Fail>(()) })), Some(locker_code::LOCKER_CANCELLED));
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }
}
