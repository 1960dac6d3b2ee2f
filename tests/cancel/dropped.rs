//! Futures that are dropped before their end.

use locker_harness::{PATIENCE, eventually};
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A point at which a future is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// So often it was polled, each time but the first because it was woken.
    pub(crate) polls: usize,
    /// Then it was woken once more.
    pub(crate) woken: bool,
}

/// Somebody who is woken in the place of a task.
#[derive(Default)]
pub(crate) struct Sleeper(Notify);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Sleeper {
    async fn woken(&self) {
        timeout(PATIENCE, self.0.notified()).await.expect("what has not come to its end is woken some time");
    }
}

impl Point {
    /// Drops a future here, and gives what it gave if it came to its end before. Nobody keeps a waker of it.
    pub(crate) async fn drop<F: IntoFuture>(self, future: F) -> Option<F::Output> {
        let sleeper = Arc::new(Sleeper::default());
        let output = self.poll(future.into_future(), &sleeper).await;
        if output.is_none() {
            eventually("its waker is forgotten", async || Arc::strong_count(&sleeper) == 1).await;
        }
        output
    }

    async fn poll<F: Future>(self, future: F, sleeper: &Arc<Sleeper>) -> Option<F::Output> {
        let waker = Waker::from(sleeper.clone());
        let mut future = Box::pin(future);
        for poll in 0..self.polls {
            if poll > 0 {
                sleeper.woken().await;
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
        }
        if self.woken {
            sleeper.woken().await;
        }
        None
    }
}

/// Makes a future and drops it, at one point after the other, until it comes to its end. Gives what it gave then.
pub(crate) async fn everywhere<T>(mut make_and_drop: impl AsyncFnMut(Point) -> Option<T>) -> T {
    let points = (0..).flat_map(|polls| [false, true].map(|woken| Point { polls, woken }));
    for point in points.filter(|point| point.polls > 0 || !point.woken) {
        if let Some(output) = make_and_drop(point).await {
            assert!(point.polls > 1, "it never waits: there is nothing to drop");
            return output;
        }
    }
    unreachable!("there is no last point")
}

/// Polls a future once, which waits then, and drops it. Somebody has its waker still if what is given is alive.
pub(crate) fn looked_once(future: impl Future) -> Weak<Sleeper> {
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(sleeper.clone());
    assert!(pin!(future).poll(&mut Context::from_waker(&waker)).is_pending());
    Arc::downgrade(&sleeper)
}

/// Polls a future once, and says whether it waits then.
pub(crate) fn waits(future: Pin<&mut impl Future>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}
