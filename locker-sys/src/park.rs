//! Waiting on the calling thread for what the runtime's thread brings about.
//!
//! Not with the runtime's own means: a thread that is about to end has none of them any more, and may still unlock.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::time::Instant;

/// Wakes the one thread that waits for it.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ring.notify_one();
    }
}

impl Bell {
    /// Waits until it rings, and silences it; false if `deadline` came first.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            rung = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.ring.wait(rung).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => self.ring.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        *rung = false;
        true
    }
}

/// Parks the calling thread until `future` has ended, at most until `deadline`. Nothing in it may need a runtime.
pub(crate) fn parked<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    let (mut future, bell) = (pin!(future), Arc::new(Bell::default()));
    let waker = bell.clone().into();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if !bell.wait(deadline) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::thread;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[test]
    fn a_thread_waits_for_what_another_one_brings_and_no_longer_than_said() {
        let (send, receive) = oneshot::channel();
        let other = thread::spawn(move || send.send(7));
        assert_eq!(parked(None, receive), Some(Ok(7)));
        other.join().unwrap().unwrap();
        let begun = Instant::now();
        assert_eq!(parked(Some(begun + Duration::from_millis(20)), pending::<()>()), None);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        // What is there already comes also after the deadline.
        assert_eq!(parked(Some(begun), async { 7 }), Some(7));
    }
}
