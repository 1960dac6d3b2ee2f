//! A short queue from a writer to a reader that forgets the oldest when nobody reads.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many items wait for a slow reader. More are merged: the oldest goes. Enough that a reader that merely was not
/// scheduled for a moment misses nothing, and little enough to keep 10 000 of them in memory.
const ROOM: usize = 64;

/// A queue that never blocks its writer: a slow reader gets the latest items, and always the last one.
pub(crate) struct Feed<T>(Mutex<Queue<T>>);

struct Queue<T> {
    items: VecDeque<T>,
    closed: bool,
    /// Who asked last: there is one reader at a time, and who gave up asks no more.
    reader: Option<Waker>,
}

impl<T> Feed<T> {
    pub(crate) fn new() -> Self {
        Feed(Mutex::new(Queue { items: VecDeque::new(), closed: false, reader: None }))
    }

    /// Adds an item; nothing is added after [`close`](Feed::close).
    pub(crate) fn push(&self, item: T) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        if queue.items.len() == ROOM {
            queue.items.pop_front();
        }
        queue.items.push_back(item);
        wake(queue);
    }

    /// Says that no more will come: the reader gets what is left, then `None`.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        wake(queue);
    }

    /// The next item; `None` once closed and read to the end. Cancel safe.
    pub(crate) async fn next(&self) -> Option<T> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut queue = self.lock();
        match queue.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if queue.closed => Poll::Ready(None),
            None => {
                match &mut queue.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the reader, after the lock was let go.
fn wake<T>(mut queue: MutexGuard<'_, Queue<T>>) {
    let reader = queue.reader.take();
    drop(queue);
    reader.into_iter().for_each(Waker::wake);
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("waiting", &self.lock().items.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[tokio::test]
    async fn a_slow_reader_gets_the_latest_and_the_end() {
        let feed = Feed::new();
        (0..1000).for_each(|n| feed.push(n));
        feed.close();
        feed.push(1000);
        let mut got = Vec::new();
        while let Some(n) = feed.next().await {
            got.push(n);
        }
        assert_eq!(got, (1000 - ROOM as i32..1000).collect::<Vec<_>>());
    }

    /// Those who have given up are not even remembered: on a quiet lock many may look and give up.
    #[tokio::test]
    async fn who_asked_last_is_woken() {
        let feed = Feed::<()>::new();
        let waker = Arc::new(Counter::default());
        for _ in 0..3 {
            let others = Waker::from(Arc::new(Counter::default()));
            assert!(feed.poll_next(&mut Context::from_waker(&others)).is_pending());
            let ours = Waker::from(waker.clone());
            assert!(feed.poll_next(&mut Context::from_waker(&ours)).is_pending());
        }
        assert_eq!(Arc::strong_count(&waker), 2);
        feed.push(());
        assert_eq!((Arc::strong_count(&waker), waker.0.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(feed.next().await, Some(()));
    }

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
