//! The one tokio runtime of the process, turned by one thread: leases are kept alive whatever the host's threads do.

use crate::context;
use crate::fail::Fail;
use crate::limit::Limit;
use crate::log;
use crate::thread::Thread;
use crate::types::locker_code;
use once_cell::sync::OnceCell;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
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
    /// The thread ends when this is sent or dropped.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<Thread>>,
    callback_threads: Mutex<Vec<Thread>>,
}

impl Runtime {
    /// The runtime of this process, made now if there is none.
    pub(crate) fn get() -> Result<Arc<Self>, Fail> {
        // Before the lock, since a fork may copy it locked; after it once more, since a shutdown may have ended meanwhile.
        context::claim_process();
        let cell = RUNTIME.read().unwrap_or_else(PoisonError::into_inner);
        context::claim_process();
        cell.get_or_try_init(Runtime::start).cloned()
    }

    fn start() -> Result<Arc<Self>, Fail> {
        log::take_panics();
        let built = Builder::new_current_thread().enable_all().thread_name("locker").build();
        let runtime = built.map_err(|e| Fail::exhausted("make a runtime", e))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = Thread::spawn("locker", move || {
            let _ = runtime.block_on(stopped);
            // A name that is being looked up must not keep the thread.
            runtime.shutdown_background();
        })?;
        Ok(Arc::new(Runtime {
            handle,
            retired: AtomicBool::new(false),
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
            callback_threads: Mutex::default(),
        }))
    }

    /// Has `future` run to its end; nobody waits for it.
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
        E: Into<Fail>,
    {
        let (send, receive) = mpsc::sync_channel(1);
        self.spawn(async move { send.send(caught(future).await) });
        match limit {
            None => receive.recv().map_err(|_| stopped()),
            Some(limit) => receive.recv_timeout(limit).map_err(|e| match e {
                RecvTimeoutError::Timeout => late(limit),
                RecvTimeoutError::Disconnected => stopped(),
            }),
        }
        .flatten()
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

    /// Keeps a callback thread to wait for it in `stop`.
    pub(crate) fn keep(&self, thread: Thread) {
        let mut threads = locked(&self.callback_threads);
        threads.retain(|thread| !thread.has_ended());
        threads.push(thread);
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

    /// Ends its thread when `last` have ended, at `deadline` at the latest.
    pub(crate) fn stop_after(&self, last: Vec<JoinHandle<()>>, deadline: Instant) {
        let Some(stop) = locked(&self.stop).take() else { return };
        self.spawn(async move {
            let all = async {
                for task in last {
                    let _ = task.await;
                }
            };
            let _ = tokio::time::timeout_at(deadline.into(), all).await;
            let _ = stop.send(());
        });
    }

    /// Waits for its threads and `log` after `stop_after`; for callbacks that are still running until `deadline`.
    pub(crate) fn join(&self, log: Option<Thread>, deadline: Instant) {
        if let Some(thread) = locked(&self.thread).take() {
            thread.join();
        }
        let threads = mem::take(&mut *locked(&self.callback_threads));
        if threads.into_iter().chain(log).all(|thread| thread.join_until(deadline)) {
            let cell = RUNTIME.write().unwrap_or_else(PoisonError::into_inner);
            if cell.get().is_none() {
                context::release_process();
            }
        }
    }
}

/// The outcome of `future`; of one that panics, that.
async fn caught<T, E: Into<Fail>>(future: impl Future<Output = Result<T, E>>) -> Result<T, Fail> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map_err(Into::into),
        Err(payload) => Poll::Ready(Err(Fail::panicked(payload))),
    })
    .await
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
        let endless = runtime.spawn(pending());
        let begun = Instant::now();
        runtime.stop_after(vec![endless], begun + Duration::from_millis(50));
        runtime.join(None, begun);
        assert_eq!(code(waiting.join().unwrap()), Some(locker_code::LOCKER_CANCELLED));
        assert_eq!(code(runtime.call(None, async { Ok::<_, Fail>(()) })), Some(locker_code::LOCKER_CANCELLED));
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }
}
