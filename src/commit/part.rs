//! What travels in a request with others: an enter of a queue, or a leave.

use crate::key;
use crate::store::*;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What waits for the next request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: u64,
    pub(super) what: What,
    pub(super) by: Instant,
    pub(super) tell: oneshot::Sender<Result<Done, Fault>>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Enter(Txn),
    /// Deletes a key. May be repeated.
    Leave(String),
}

#[derive(Debug)]
pub(super) enum Done {
    Entered(TxnReply),
    Left(Deleted),
}

impl What {
    /// The queue that it is about.
    pub(super) fn queue(&self) -> &str {
        match self {
            What::Enter(txn) => queues(txn).next().unwrap_or_default(),
            What::Leave(key) => key::queue_of(key),
        }
    }

    /// As a part of a request with that condition.
    pub(super) fn to_op(&self, without: Option<&Compare>) -> Op {
        match self {
            What::Enter(txn) => {
                let mut txn = txn.clone();
                txn.when.retain(|compare| Some(compare) != without);
                Op::Txn(txn)
            }
            What::Leave(key) => Op::Delete(key.clone()),
        }
    }

    pub(super) async fn send_alone(self, store: &dyn Store, by: Instant) -> Result<Done, Fault> {
        match self {
            What::Enter(txn) => store.txn(txn, by).await.map(Done::Entered),
            What::Leave(key) => store.delete(key, by).await.map(Done::Left),
        }
    }
}

impl Done {
    /// The same, when an earlier request of the same may yet be done.
    pub(super) fn doubted(self) -> Self {
        match self {
            Done::Left(_) => Done::Left(Deleted::Unclear),
            entered => entered,
        }
    }
}

/// Whether it is about more than one queue.
pub(super) fn is_about_several(txn: &Txn) -> bool {
    let mut queues = queues(txn);
    let first = queues.next();
    queues.any(|other| Some(other) != first)
}

/// The queues that it changes, one for each change.
fn queues(txn: &Txn) -> impl Iterator<Item = &str> {
    txn.then.iter().filter_map(|op| match op {
        Op::Put { key, .. } | Op::Delete(key) => Some(key::queue_of(key)),
        _ => None,
    })
}

/// The condition of all that enter, the epoch: etcd need look at it only once. If it fails nothing is done.
pub(super) fn shared_condition(parts: &[Part]) -> Option<Compare> {
    let mut enters = parts.iter().filter_map(|part| match &part.what {
        What::Enter(txn) => Some(&txn.when),
        What::Leave(_) => None,
    });
    let first = enters.next()?;
    let mut shared = first.clone();
    enters.for_each(|when| shared.retain(|compare| when.contains(compare)));
    shared.pop()
}
