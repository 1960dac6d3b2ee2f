//! What every function here fails with.

use crate::info::Info;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What everything here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something failed: a [kind](Error::kind) to decide on, one line of text for people, and the cause as
/// [`source`](StdError::source).
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    grpc_code: Option<i32>,
    holder: Option<Info>,
    loss: Option<Loss>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What kind of failure an [`Error`] is, named for what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The wait ended first; nothing is held. [`Error::holder`] says who holds the lock.
    Timeout,
    /// The guard was unlocked, or its client ended: disconnected, or since etcd's history went back.
    Cancelled,
    /// The lock was held and is no longer.
    Lost,
    /// etcd cannot be reached or has no leader. Trying again may help.
    Unavailable,
    /// etcd refused: wrong credentials, or no permission on the key.
    Denied,
    /// An argument is wrong; the message says which.
    Invalid,
    /// A bug in locker.
    Internal,
}

/// How a lock was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// The lease was not renewed in time, by this process's own clock: etcd was out of reach, or the process or its
    /// machine stood still.
    Expired,
    /// etcd said that the lease is gone: revoked by hand, or ended by a leader of an etcd that lacks the fixes.
    LeaseGone,
    /// Somebody deleted the key.
    KeyDeleted,
    /// etcd was wiped or restored from a backup: its history went back to before what this client has seen.
    WentBack,
}

impl Loss {
    /// The name of this loss, the same in every language: "expired", "lease_gone", "key_deleted" or "went_back".
    pub fn name(self) -> &'static str {
        match self {
            Loss::Expired => "expired",
            Loss::LeaseGone => "lease_gone",
            Loss::KeyDeleted => "key_deleted",
            Loss::WentBack => "went_back",
        }
    }
}

impl ErrorKind {
    /// The name of this kind, the same in every language: "timeout", "cancelled", "lost", "unavailable", "denied",
    /// "invalid" or "internal".
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Timeout => "timeout",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Lost => "lost",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Denied => "denied",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Internal => "internal",
        }
    }
}

impl Error {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The gRPC status code, when etcd (or the transport to it) gave one.
    pub fn grpc_code(&self) -> Option<i32> {
        self.0.grpc_code
    }

    /// Who holds the lock, when that is why the call failed ([`ErrorKind::Timeout`]) and it is known.
    pub fn holder(&self) -> Option<&Info> {
        self.0.holder.as_ref()
    }

    /// How it was lost ([`ErrorKind::Lost`]).
    pub fn loss(&self) -> Option<Loss> {
        self.0.loss
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Error(Box::new(Inner { kind, message, grpc_code: None, holder: None, loss: None, source: None }))
    }

    pub(crate) fn lost(loss: Loss, message: impl Into<String>) -> Self {
        let mut error = Error::new(ErrorKind::Lost, message);
        error.0.loss = Some(loss);
        error
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// The same, with `context` before its message.
    pub(crate) fn prefixed(mut self, context: &str) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same, with a hint behind its message.
    pub(crate) fn hinted(mut self, hint: &str) -> Self {
        self.0.message = format!("{} ({hint})", self.0.message);
        self
    }

    pub(crate) fn with_grpc_code(mut self, code: i32) -> Self {
        self.0.grpc_code = Some(code);
        self
    }

    pub(crate) fn with_holder(mut self, holder: Option<Info>) -> Self {
        self.0.holder = holder;
        self
    }

    /// The same, with `cause` behind its message and as its source.
    pub(crate) fn caused_by(mut self, cause: &Error) -> Self {
        self.0.message = format!("{self}: {cause}");
        self.with_source(cause.clone())
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("grpc_code", &self.0.grpc_code)
            .field("holder", &self.0.holder)
            .field("loss", &self.0.loss)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
