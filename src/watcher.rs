//! Who holds a lock, each time it changes hands.

use crate::{Info, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream of who holds one lock: first the present holder, then each change. Dropping it ends the watch.
///
/// It resumes by itself after a break. When it is read slowly, consecutive states may be merged; the last one never is
/// lost. An error is the last item.
#[derive(Debug)]
pub struct Watcher {}

impl Watcher {
    /// The lock's name.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The next state; `None` once the watcher has ended (its client disconnected). Cancel safe: a dropped call loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Result<Info>> {
        std::future::poll_fn(|cx| futures_core::Stream::poll_next(Pin::new(self), cx)).await
    }
}

impl futures_core::Stream for Watcher {
    type Item = Result<Info>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let _ = cx;
        todo!()
    }
}
