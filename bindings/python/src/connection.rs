//! The connection that a Client, its guards and its watchers share.

use crate::owned::Owned;
use locker::ErrorKind;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

/// When the last of those who share it is gone it disconnects by itself.
pub(crate) struct Connection {
    pub(crate) client: Owned<locker::Client>,
    pub(crate) endpoints: String,
    pub(crate) prefix: String,
    /// Whether disconnect() was called: then nobody is told of losses any more, also not of those on their way.
    pub(crate) silent: Arc<AtomicBool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Ok(client) = self.client.get() {
            self.client.runtime().disconnect(client);
        }
    }
}

/// Why it can be used no more: it was disconnected, or has ended since etcd's history went back.
pub(crate) fn end_of(client: &locker::Client) -> Option<locker::Error> {
    // A name that is always refused, but not before the client has been looked at: nothing is asked of etcd.
    match pin!(client.get("")).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) if error.kind() == ErrorKind::Cancelled => Some(error),
        _ => None,
    }
}
