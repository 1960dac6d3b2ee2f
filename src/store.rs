//! What the rest of the core asks of etcd, in as few words as possible.
//!
//! A trait, so that tests can put a model of etcd in its place and so that a change of the client library touches one
//! folder. Its one implementation, over the network, is in `etcd/`.

use crate::{Error, ErrorKind, Loss};
use bytes::Bytes;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// An answer to come. It gives up at the instant `by` that the call was given.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nobody answered in time, and what was asked has certainly not been done and will not be.
    NotDone(Error),
    /// Nobody answered in time, and what was asked may have been done or may yet be done.
    Doubt(Error),
    /// etcd refused for good: no permission, a bad argument.
    Refused(Error),
    /// The lease that was named is not there (any more).
    LeaseGone,
    /// A watch cannot start that far back: the history was compacted.
    Compacted,
}

impl Fault {
    /// Whether what ended so may have been done, or may yet be. The first for whom etcd has no space is refused when it is
    /// done.
    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Fault::Doubt(_) => true,
            Fault::Refused(error) => error.kind() == ErrorKind::Unavailable,
            _ => false,
        }
    }

    /// The error to show to a caller for whom this is the end.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Fault::NotDone(error) | Fault::Doubt(error) | Fault::Refused(error) => error,
            Fault::LeaseGone => Error::lost(Loss::LeaseGone, "etcd has ended the lease"),
            Fault::Compacted => Error::new(ErrorKind::Internal, "etcd compacted the history of a watch"),
        }
    }
}

/// etcd, as the core sees it. Every call tries endpoint after endpoint until `by`; what may be done twice without harm
/// is repeated after a doubt, the rest is not.
pub(crate) trait Store: Debug + Send + Sync {
    /// Runs a transaction. After a doubt it is repeated if that is harmless.
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply>;
    /// Reads keys.
    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply>;
    /// Deletes a key. Repeated after a doubt, so only for keys that are never used twice.
    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted>;
    /// Makes the lease `lease`, a random id of ours.
    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Grant>;
    /// The keys attached to a lease.
    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Bytes>>;
    /// Ends a lease, with all keys on it.
    fn revoke(&self, lease: i64, by: Instant) -> Pending<'_, ()>;
    /// Prepares to keep a lease alive.
    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive>;
    /// Watches `keys`, from now on or from the revision `from`. The answer comes once the watch is running.
    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>>;
    /// Prepares to watch single keys for their deletion, all over one stream: more and fewer as time goes on. The stream
    /// is opened for the first of them, and that may take so long.
    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch>;
    /// How many transactions one may have inside: etcd allows 128 operations, counting those.
    fn most_inside(&self) -> usize {
        60
    }
}

/// A lease being kept alive, beat by beat.
pub(crate) trait KeepAlive: Send {
    /// Sends one beat, again and again if need be, and waits for an answer, which says that the lease lasts for its TTL from
    /// the first sending on. Tells what is in the way meanwhile. Gives the revision of the member that was asked, if known;
    /// it may be behind. A beat may be dropped at any time.
    fn beat<'a>(&'a mut self, by: Instant, tell: &'a (dyn Fn(Error) + Sync)) -> Pending<'a, Option<i64>>;
}

/// A running watch. Dropping it ends it.
pub(crate) trait Watch: Send {
    /// The revision of the store when it began: it shows everything after it.
    fn begun(&self) -> i64;
    /// The next events: in order of their revisions, and never half of a revision. Cancel safe. After an error the
    /// watch is of no more use.
    fn next(&mut self) -> Pending<'_, Vec<Event>>;
}

/// Single keys being watched for their deletion. Dropping it ends all.
pub(crate) trait KeyWatch: Send {
    /// Has `key` watched, from the revision `from` on, or from now on; anew, if it is watched already. Does not wait: it
    /// is asked for while somebody waits for news.
    fn add(&mut self, key: &str, from: Option<i64>);
    /// Not any more: nothing is told of it from now on, unless it is added again. Does not wait either.
    fn remove(&mut self, key: &str);
    /// The next news. Cancel safe. After an error the stream is of no more use, and all must be added to another.
    fn next(&mut self) -> Pending<'_, KeyNews>;
}

/// What there is to tell of a key that is watched for its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyNews {
    /// It is watched now: if it is deleted after this revision of the store, or was since it was to be watched `from`, that
    /// will be told.
    Watched { key: String, begun: i64 },
    /// It is not watched any more: it was deleted, at this revision; or, without one, etcd will not say (the history was
    /// compacted, no permission): look for yourself.
    Gone { key: String, revision: Option<i64> },
}

/// What happened to a key.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Put(KeyValue),
    Delete { key: Vec<u8>, revision: i64 },
}

impl Event {
    pub(crate) fn revision(&self) -> i64 {
        match self {
            Event::Put(kv) => kv.modified,
            Event::Delete { revision, .. } => *revision,
        }
    }
}

/// A key, its value and its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// The revision at which it was created.
    pub(crate) created: i64,
    /// The revision at which it was last changed.
    pub(crate) modified: i64,
    /// The lease that it ends with; 0: none.
    pub(crate) lease: i64,
}

/// One key, or many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyRange {
    Key(String),
    /// All that start with this.
    Prefix(String),
    /// From the first on, and before the second.
    Between(String, String),
}

/// A transaction: if all of `when` hold, `then`, else `otherwise`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Txn {
    pub(crate) when: Vec<Compare>,
    pub(crate) then: Vec<Op>,
    pub(crate) otherwise: Vec<Op>,
    /// Whether what it writes may be written again, also later.
    pub(crate) repeatable: bool,
}

impl Txn {
    /// Whether it goes through etcd's log: so does all that could write, whether it comes to it or not.
    pub(crate) fn could_write(&self) -> bool {
        self.then.iter().chain(&self.otherwise).any(Op::writes)
    }

    /// Whether any member may answer it, be it behind the others.
    pub(crate) fn is_serializable(&self) -> bool {
        self.then.iter().chain(&self.otherwise).all(|op| matches!(op, Op::Range(range) if range.serializable))
    }

    /// Whether it is harmless to do it more than once.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.repeatable || !self.could_write()
    }
}

/// A condition on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// No key of the range exists.
    Absent(KeyRange),
    /// The key was last changed at exactly this revision.
    Modified(String, i64),
    /// No key of the range was created after this revision; some may have gone.
    NoneSince(KeyRange, i64),
}

/// A step of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Put {
        key: String,
        value: Vec<u8>,
        lease: i64,
    },
    Delete(String),
    Range(Range),
    /// A transaction inside: etcd looks at all conditions, also of those inside, before it does anything.
    Txn(Txn),
}

impl Op {
    pub(crate) fn writes(&self) -> bool {
        match self {
            Op::Put { .. } | Op::Delete(_) => true,
            Op::Range(_) => false,
            Op::Txn(txn) => txn.could_write(),
        }
    }
}

/// What a transaction did.
#[derive(Clone, Debug, Default)]
pub(crate) struct TxnReply {
    /// The revision of the store after it.
    pub(crate) revision: i64,
    /// Whether `then` was run.
    pub(crate) succeeded: bool,
    /// What each `Op::Range` read, in order.
    pub(crate) ranges: Vec<RangeReply>,
    /// Whether each `Op::Delete` found its key, in order.
    pub(crate) deleted: Vec<bool>,
    /// What each `Op::Txn` did, in order.
    pub(crate) txns: Vec<TxnReply>,
}

/// A read.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) keys: KeyRange,
    /// At most so many; 0: all.
    pub(crate) limit: i64,
    /// Only those that were created before this revision, and the youngest first; 0: all, and the oldest first.
    pub(crate) before: i64,
    /// Answered by whatever member is asked from what it has, without asking the others: may be old.
    pub(crate) serializable: bool,
    /// Without their values.
    pub(crate) keys_only: bool,
}

impl Range {
    /// All of them.
    pub(crate) fn of(keys: KeyRange) -> Self {
        Range { keys, limit: 0, before: 0, serializable: false, keys_only: false }
    }

    pub(crate) fn key(key: impl Into<String>) -> Self {
        Range::of(KeyRange::Key(key.into()))
    }

    pub(crate) fn all(prefix: impl Into<String>) -> Self {
        Range::of(KeyRange::Prefix(prefix.into()))
    }

    /// The one with the lowest create revision.
    pub(crate) fn oldest(prefix: impl Into<String>) -> Self {
        Range::all(prefix).first()
    }

    /// Of those with a lower create revision than `created` the one with the highest.
    pub(crate) fn youngest_before(prefix: impl Into<String>, created: i64) -> Self {
        Range { before: created, ..Range::oldest(prefix) }
    }

    /// Only the first of them.
    pub(crate) fn first(self) -> Self {
        Range { limit: 1, ..self }
    }

    pub(crate) fn serializable(self) -> Self {
        Range { serializable: true, ..self }
    }

    pub(crate) fn keys_only(self) -> Self {
        Range { keys_only: true, ..self }
    }
}

/// What a read found.
#[derive(Clone, Debug)]
pub(crate) struct RangeReply {
    /// The revision that was read.
    pub(crate) revision: i64,
    pub(crate) kvs: Vec<KeyValue>,
    /// How many keys there are, beyond any limit.
    pub(crate) count: i64,
}

/// A lease that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// As granted, which may be more than was asked for.
    pub(crate) ttl: Duration,
    /// An earlier try of ours had no answer: it may yet be done, and make the lease again after its end.
    pub(crate) doubted: bool,
}

/// What became of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It was there, and we deleted it.
    Now,
    /// It was not there.
    Absent,
    /// It is not there any more; an earlier try of ours had no answer, and may have deleted it, or may yet be done.
    Unclear,
}
