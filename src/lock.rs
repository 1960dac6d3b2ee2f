//! An acquisition to be.

use crate::acquisition::{Acquisition, Ask, Lasting, Words};
use crate::context::Context;
use crate::key::check_text;
use crate::queue::Queues;
use crate::{Error, Guard, REASON_MAX, Result, VALUE_MAX};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// An acquisition to be: add options, then await it or [`start`](Lock::start) it.
///
/// Awaiting it gives a held [`Guard`].
///
/// # Cancel safety
///
/// Dropping that future, at any time, leaves the queue: nothing stays behind in etcd, and no lock is ever held by an
/// acquisition that its caller gave up.
#[must_use = "it does nothing until awaited or started"]
pub struct Lock {
    context: Arc<Context>,
    names: Vec<String>,
    value: Option<String>,
    reason: String,
    timeout: Option<Duration>,
    shared: bool,
    /// How many may share it.
    limit: Option<u32>,
    standby: bool,
    persistent: bool,
}

impl Lock {
    pub(crate) fn new(context: Arc<Context>, name: String) -> Self {
        Lock::all(context, vec![name])
    }

    pub(crate) fn all(context: Arc<Context>, names: Vec<String>) -> Self {
        let (shared, limit, standby, persistent) = (false, None, false, false);
        Lock { context, names, value: None, reason: String::new(), timeout: None, shared, limit, standby, persistent }
    }

    /// What others read with [`Client::get`](crate::Client::get), at most [`VALUE_MAX`] bytes. Default: `<host>:<pid>`.
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Why the lock is wanted, shown to those who find it busy; at most [`REASON_MAX`] bytes.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// How long to wait for other holders. Default: as long as it takes. Zero: not at all; then a busy lock fails with
    /// [`Timeout`](crate::ErrorKind::Timeout) without having been in the queue.
    ///
    /// etcd itself is waited for up to the client's timeout, but, if this is not zero, no longer than this or one second,
    /// whichever is longer; that it did not answer is [`Unavailable`](crate::ErrorKind::Unavailable).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// To hold it together with all others who ask for it so: the read side of a read-write lock. Who wants it alone waits
    /// until none of them is left, and those who come later wait behind him: first come, first served.
    ///
    /// Instead of a [`limit`](Lock::limit). Only of one lock, not of several [at once](crate::Client::lock_all).
    pub fn shared(mut self) -> Self {
        (self.shared, self.limit) = (true, None);
        self
    }

    /// To hold it together with others, as long as there are no more than `limit`: a counting semaphore. All that want a lock
    /// at the same time must say the same limit, or the later one fails with [`Invalid`](crate::ErrorKind::Invalid) and both
    /// numbers; so do `shared` and a limit on the same lock. (Whoever changes the limit waits for the last
    /// [`unlock`](Guard::unlock) with the old one to be confirmed.) Who holds it and dies frees his permit with his lease.
    ///
    /// Who wants it alone waits until none of them is left. Their tokens rise from before one who holds it alone to after
    /// him; among those who hold it together they say nothing.
    pub fn limit(mut self, limit: u32) -> Self {
        (self.shared, self.limit) = (true, Some(limit));
        self
    }

    /// To have it again when it is lost: the guard then does not end but waits anew, in [`State::Waiting`](crate::State::Waiting),
    /// at the tail of the queue, for as long as that takes. [`Guard::changed`] tells each change, with the reason: HELD,
    /// AT_RISK, WAITING, HELD … Each time that it is held the token is another.
    ///
    /// It ends with [`unlock`](Guard::unlock), with its client, when etcd refuses (`Denied`), and when etcd's history went
    /// back. The [`timeout`](Lock::timeout) is that of the first wait. Not together with [`persistent`](Lock::persistent).
    pub fn standby(mut self) -> Self {
        self.standby = true;
        self
    }

    /// To hold it without a lease: once it is held, neither the end of this process nor an etcd that is out of reach ends
    /// it. Only [`unlock`](Guard::unlock) does, or whoever knows its token, from anywhere: keep the
    /// [`token`](Guard::token), it is the receipt. Dropping the guard leaves it held, once its owner was told that it is (it was
    /// awaited, or [`changed`](Guard::changed) said so), and so does [`disconnect`](crate::Client::disconnect).
    ///
    /// Until then it waits like others, and leaves nothing behind if it ends. If it ends in the moment in which its lease
    /// is taken from it, its key is deleted until etcd has confirmed that; the error says the token, since a process that
    /// dies just then leaves the lock held. A guard of it is never at risk, and is [`Lost`](crate::ErrorKind::Lost) when
    /// somebody has deleted its key. Not together with [`standby`](Lock::standby).
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Begins the acquisition and returns its guard at once, in [`State::Waiting`](crate::State::Waiting).
    /// The wait goes on whether anybody looks at the guard or not; a [`timeout`](Lock::timeout) ends it with
    /// [`Timeout`](crate::ErrorKind::Timeout). Fails only with [`Invalid`](crate::ErrorKind::Invalid).
    pub fn start(self) -> Result<Guard> {
        if self.limit == Some(0) {
            return Err(Error::invalid("limit is 0"));
        }
        let lasting = match (self.standby, self.persistent) {
            (true, true) => return Err(Error::invalid("standby and persistent are for different locks")),
            (true, false) => Lasting::Standby,
            (false, true) => Lasting::Persistent,
            (false, false) => Lasting::Lease,
        };
        let share = self.shared.then(|| self.limit.unwrap_or(0));
        let queues = Queues::new(&self.context, self.names.iter().map(String::as_str), share)?.checked()?;
        if let Some(value) = &self.value {
            check_text("value", value, VALUE_MAX)?;
        }
        check_text("reason", &self.reason, REASON_MAX)?;
        let words = Words { value: self.value, reason: self.reason };
        Ok(Guard::new(Acquisition::start(queues, words, lasting, Ask::new(self.timeout))))
    }
}

impl IntoFuture for Lock {
    type Output = Result<Guard>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Guard>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let guard = self.start()?;
            guard.wait(None).await?;
            Ok(guard)
        })
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("names", &self.names).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
