//! A value that tasks wait for: who changes it rings, and those who wait look again.
//!
//! Much smaller than a channel for each thing to wait for: a client may hold very many locks, each with one of these.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

pub(crate) struct Bell<T>(Mutex<Inner<T>>);

struct Inner<T> {
    value: T,
    /// Most of the time nobody waits: then it is to take no more than a pointer.
    #[allow(clippy::box_collection)]
    waiting: Option<Box<Vec<(u64, Waker)>>>,
}

impl<T> Bell<T> {
    pub(crate) fn new(value: T) -> Self {
        Bell(Mutex::new(Inner { value, waiting: None }))
    }

    /// Looks at the value.
    pub(crate) fn see<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().value)
    }

    /// Changes the value, and has those who wait look at it.
    pub(crate) fn alter<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut inner = self.lock();
        let result = change(&mut inner.value);
        let waiting = inner.waiting.take();
        // Whoever is woken may want the lock.
        drop(inner);
        waiting.into_iter().flat_map(|waiting| *waiting).for_each(|(_, waker)| waker.wake());
        result
    }

    /// Returns once `look` finds what it looks for. Dropping it leaves nothing behind.
    pub(crate) async fn when<R>(&self, mut look: impl FnMut(&mut T) -> Option<R>) -> R {
        let place = Place { bell: self, id: NEXT.fetch_add(1, Ordering::Relaxed) };
        poll_fn(|cx| {
            let mut inner = self.lock();
            match look(&mut inner.value) {
                Some(found) => Poll::Ready(found),
                None => {
                    inner.wait(place.id, cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells those who wait apart: two of them may be of one task.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl<T> Inner<T> {
    fn wait(&mut self, id: u64, waker: &Waker) {
        let waiting = self.waiting.get_or_insert_default();
        match waiting.iter_mut().find(|(waiting, _)| *waiting == id) {
            Some((_, old)) => old.clone_from(waker),
            None => waiting.push((id, waker.clone())),
        }
    }
}

/// Somebody who waits, until this is dropped.
struct Place<'a, T> {
    bell: &'a Bell<T>,
    id: u64,
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if let Some(waiting) = &mut self.bell.lock().waiting {
            waiting.retain(|(waiting, _)| *waiting != self.id);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Bell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn all_who_wait_look_again_when_it_rings() {
        let bell = Arc::new(Bell::new(0));
        let waiters: Vec<_> = (1..=3)
            .map(|wanted| {
                let bell = bell.clone();
                tokio::spawn(async move { bell.when(|value| (*value >= wanted).then_some(*value)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        bell.alter(|value| *value = 2);
        tokio::task::yield_now().await;
        bell.alter(|value| *value = 3);
        let mut got = Vec::new();
        for waiter in waiters {
            got.push(waiter.await.unwrap());
        }
        assert_eq!(got, [2, 2, 3]);
    }

    #[tokio::test]
    async fn who_has_given_up_is_forgotten_and_nobody_else() {
        let bell = Bell::new(false);
        let stays = bell.when(|value| value.then_some(()));
        tokio::pin!(stays);
        assert!(timeout(Duration::ZERO, &mut stays).await.is_err());
        for _ in 0..100 {
            assert!(timeout(Duration::ZERO, bell.when(|value| value.then_some(()))).await.is_err());
        }
        assert_eq!(bell.lock().waiting.as_ref().map(|waiting| waiting.len()), Some(1));
        bell.alter(|value| *value = true);
        stays.await;
    }
}
