//! An acquisition to be.

use crate::{Guard, Result};
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

/// An acquisition to be: add options, then await it or [`start`](Lock::start) it.
///
/// Awaiting it gives a held [`Guard`]. Dropping that future, at any time, leaves the queue: nothing stays behind in
/// etcd, and no lock is ever held by an acquisition that its caller gave up.
#[must_use = "it does nothing until awaited or started"]
pub struct Lock {}

impl Lock {
    /// What others read with [`Client::get`](crate::Client::get), at most [`VALUE_MAX`](crate::VALUE_MAX) bytes.
    /// Default: `<host>:<pid>`.
    pub fn value(self, value: impl Into<String>) -> Self {
        let _ = value;
        self
    }

    /// Why the lock is wanted, shown to those who find it busy; at most [`REASON_MAX`](crate::REASON_MAX) bytes.
    pub fn reason(self, reason: impl Into<String>) -> Self {
        let _ = reason;
        self
    }

    /// How long to wait for other holders. Default: as long as it takes. Zero: not at all; then a busy lock fails with
    /// [`Timeout`](crate::ErrorKind::Timeout) without having been in the queue.
    pub fn timeout(self, timeout: Duration) -> Self {
        let _ = timeout;
        self
    }

    /// Begins the acquisition and returns its guard at once, in [`State::Waiting`](crate::State::Waiting).
    /// The wait goes on whether anybody looks at the guard or not; a [`timeout`](Lock::timeout) ends it with
    /// [`Timeout`](crate::ErrorKind::Timeout). Fails only with [`Invalid`](crate::ErrorKind::Invalid) or
    /// [`Cancelled`](crate::ErrorKind::Cancelled) (the client is disconnected).
    pub fn start(self) -> Result<Guard> {
        todo!()
    }
}

impl IntoFuture for Lock {
    type Output = Result<Guard>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Guard>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        todo!()
    }
}
