//! A short queue from one writer to its readers that forgets the oldest when nobody reads.

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
    readers: Vec<Waker>,
}

impl<T> Feed<T> {
    pub(crate) fn new() -> Self {
        Feed(Mutex::new(Queue { items: VecDeque::new(), closed: false, readers: Vec::new() }))
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

    /// Says that no more will come: readers get what is left, then `None`.
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
                if !queue.readers.iter().any(|reader| reader.will_wake(cx.waker())) {
                    queue.readers.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes every reader, after the lock was let go.
fn wake<T>(mut queue: MutexGuard<'_, Queue<T>>) {
    let readers = std::mem::take(&mut queue.readers);
    drop(queue);
    readers.into_iter().for_each(Waker::wake);
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("waiting", &self.lock().items.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test]
    async fn every_reader_is_woken() {
        let feed = std::sync::Arc::new(Feed::<()>::new());
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let feed = feed.clone();
                tokio::spawn(async move { feed.next().await })
            })
            .collect();
        tokio::task::yield_now().await;
        feed.close();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), None);
        }
    }
}
