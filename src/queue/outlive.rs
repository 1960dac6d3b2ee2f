//! How a place that holds is made to outlive its client: its keys are written anew, without the lease.
//!
//! Each attempt is bound to the revision at which its keys were last written. So one that got no answer, and is done late,
//! overwrites nothing: the one after it was done, or the keys have gone. Whether it was done is told by the keys: those that
//! have been written anew are on no lease. What was once attempted may outlive the lease, whatever came of it, so whoever
//! gives it up deletes the keys until that is confirmed.

use super::{Lapse, PAUSE, Place, Queue, Queues};
use crate::Error;
use crate::store::{Compare, Fault, KeyValue, Op, Range, Txn};
use crate::view::Rank;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause before one looks again who may not look.
const BLIND: Duration = Duration::from_secs(5);

impl Queues {
    /// Makes the keys of a place outlive its lease. `Ok(false)`: they, or some of them, are not there any more.
    ///
    /// May be dropped at any time, and may be done late, for good: to be sure of the end of the place,
    /// [`leave`](Self::leave) it as one that outlives.
    pub(crate) async fn outlive(&self, place: &mut Place, record: &[u8], by: Instant) -> Result<bool, Fault> {
        let keys = self.keys(place);
        let mut written = vec![place.created; keys.len()];
        loop {
            let txn = outlive_txn(&keys, &written, record);
            let reply = match self.context().store.txn(txn.clone(), by).await {
                // The same again shows whether it was done.
                Err(Fault::Doubt(_)) => {
                    place.doubted = true;
                    self.context().store.txn(txn, by).await?
                }
                answer => answer?,
            };
            if reply.succeeded {
                return Ok(true);
            }
            let own: Vec<_> = reply.ranges.iter().filter_map(|own| own.kvs.first()).collect();
            let is_ours = |kv: &&KeyValue| kv.created == place.created;
            match own.len() == keys.len() && own.iter().all(is_ours) {
                false => return Ok(false),
                true if own.iter().all(|kv| kv.lease == 0) => return Ok(true),
                // Somebody has written a value meanwhile.
                true => written = own.iter().map(|kv| kv.modified).collect(),
            }
        }
    }

    /// What there is to know of a place that outlives, if its end is not confirmed.
    pub(crate) fn receipt(&self, place: &Place) -> String {
        let names: Vec<_> = self.names().map(|name| format!("{name:?}")).collect();
        format!("{} has no lease: until that is done it can be held with token {}", names.join(" and "), place.created)
    }

    /// Returns when a place that outlives is not there any more.
    pub(crate) async fn gone(&self, place: &Place) -> Error {
        let keys = self.keys(place);
        let each = self.0.iter().zip(&keys).map(|(queue, key)| Box::pin(queue.gone(place, key)));
        let mut each: Vec<_> = each.collect();
        poll_fn(|cx| {
            let gone = each.iter_mut().map(|gone| gone.as_mut().poll(cx)).find(Poll::is_ready);
            gone.unwrap_or(Poll::Pending)
        })
        .await
    }
}

impl Queue {
    async fn gone(&self, place: &Place, key: &str) -> Error {
        loop {
            let view = self.view();
            let attention = view.attend(key);
            let pause = match view.rank(key, place.created) {
                Rank::Gone => match self.check_gone(place, key).await {
                    Err(Lapse::Gone(error)) => return error,
                    // What cannot be seen is there.
                    _ => PAUSE,
                },
                Rank::Failed(_) => BLIND,
                Rank::NotSeenYet | Rank::First | Rank::Behind => {
                    attention.news().await;
                    Duration::ZERO
                }
            };
            sleep(pause).await;
        }
    }
}

fn outlive_txn(keys: &[String], written: &[i64], record: &[u8]) -> Txn {
    let unchanged = keys.iter().zip(written).map(|(key, written)| Compare::Modified(key.clone(), *written));
    let put = |key: &String| Op::Put { key: key.clone(), value: record.into(), lease: 0 };
    Txn {
        when: unchanged.collect(),
        then: keys.iter().map(put).collect(),
        otherwise: keys.iter().map(|key| Op::Range(Range::key(&**key))).collect(),
        repeatable: false,
    }
}
