//! Attempts that were not answered in time, and may be yet: while a call tries again elsewhere it listens to them, too.
//!
//! While a cluster has no leader what is sent there is lost, and has to be sent anew, soon and often, to be there when
//! the next one has been elected. A cluster that is merely slow answers each of them. Who listens to those that he has
//! sent need not know which it is.

use super::classify::Failure;
use super::endpoint::{Endpoint, Pace};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// To so many one call listens: to the first, which is the nearest to its answer, and to the last.
const MOST: usize = 3;

/// An attempt of which there is no more news than that it takes long.
pub(super) struct Attempt<F> {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) pace: Pace,
    pub(super) begun: Instant,
    pub(super) answer: Pin<Box<F>>,
}

/// Those of one call.
pub(super) struct Late<F> {
    attempts: VecDeque<Attempt<F>>,
    /// An endpoint is thought to be no slower than that.
    slowest: Duration,
}

impl<F, T> Late<F>
where
    F: Future<Output = Result<T, Failure>>,
{
    pub(super) fn new(slowest: Duration) -> Self {
        Late { attempts: VecDeque::new(), slowest }
    }

    pub(super) fn push(&mut self, attempt: Attempt<F>) {
        if self.attempts.len() == MOST {
            self.attempts.remove(1);
        }
        self.attempts.push_back(attempt);
    }

    /// The first good answer. Those that fail are forgotten: the attempts after them meet with the same. Cancel safe.
    pub(super) async fn answer(&mut self) -> T {
        poll_fn(|context| {
            let mut index = 0;
            while let Some(attempt) = self.attempts.get_mut(index) {
                match attempt.answer.as_mut().poll(context) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(value)) => {
                        attempt.endpoint.answered(None);
                        // The next call waits for it; but not so long that it would feel an endpoint that is dead.
                        attempt.endpoint.is_slower(attempt.pace, attempt.begun.elapsed().min(self.slowest));
                        return Poll::Ready(value);
                    }
                    Poll::Ready(Err(_)) => _ = self.attempts.remove(index),
                }
            }
            Poll::Pending
        })
        .await
    }
}
