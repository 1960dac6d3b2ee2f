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
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What kind of failure an [`Error`] is, named for what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The wait ended first; nothing is held. [`Error::holder`] says who holds the lock.
    Timeout,
    /// The guard was unlocked, or its client disconnected, while it waited.
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

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), grpc_code: None, holder: None, source: None }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// The same, with `context` before its message.
    pub(crate) fn prefixed(mut self, context: &str) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
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
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
