//! Who holds a lock, each time it changes hands.

use crate::view::Holders;
use crate::{Info, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A stream of who holds one lock: first the present holder, then each change. Dropping it ends the watch.
///
/// It is a [`Stream`](futures_core::Stream), for the methods of crates such as `futures-util`, and has a
/// [`next`](Watcher::next) of its own for who wants none of them.
///
/// It resumes by itself after a break. When it is read slowly, consecutive states may be merged; the last one never is
/// lost. An error is the last item. All watchers of one client share what they are told: a change that a thousand hear of
/// is in memory once.
#[must_use = "dropping a watcher ends the watch"]
#[derive(Debug)]
pub struct Watcher {
    name: String,
    holders: Arc<Holders>,
}

impl Watcher {
    pub(crate) fn new(name: String, holders: Arc<Holders>) -> Self {
        Watcher { name, holders }
    }

    /// The lock's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next state; `None` once the watcher has ended (its client disconnected).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no state: one that it has not given goes to the next call.
    pub async fn next(&mut self) -> Option<Result<Arc<Info>>> {
        self.holders.next().await
    }
}

impl futures_core::Stream for Watcher {
    type Item = Result<Arc<Info>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.holders.poll_next(cx)
    }
}
