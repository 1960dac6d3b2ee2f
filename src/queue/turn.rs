//! The turn of a place in a queue: waiting for it, and the proof that it has come.
//!
//! Of few who wait, each follows the whole queue, with the view that its client has of it: that is the quickest. Of many,
//! each follows only the place before its own, or each change would wake them all.

use super::{Lapse, PAUSE, Place, Queue, Queues};
use crate::Result;
use crate::info::Info;
use crate::lease::deleted;
use crate::store::{Event, Fault, KeyRange, KeyValue, Op, Range, RangeReply, Txn, TxnReply, Watch};
use crate::view::Rank;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// With more places before its own than this, a place follows only the one before it. Measured in one run after the other, in
/// handovers per second of so many clients that want one lock (two processors, etcd 3.4.23; medians of three), following
/// the queue, and the one before: 8: 1160 and 310; 16: 720 and 350; 24: 610 and 440; 40: 410 and 460; 64: 280 and 470. In
/// the simulation few are many.
const HERD: u32 = if cfg!(test) { 1 } else { 32 };
/// How often it is read anew who is before: a watch can go silent.
const REREAD: Duration = Duration::from_secs(5);

/// What a closer look at a place showed.
pub(super) enum Looked {
    First,
    AsBefore,
    /// Not what the view shows: one of the two is behind.
    Differently,
}

impl Queues {
    /// Waits until a place is the first: then it holds the lock. `before`: how many places were before it when it entered.
    /// Tells whom it finds holding, if it had to ask. May be dropped at any time.
    pub(crate) async fn turn(&self, place: &Place, before: u32, tell: impl Fn(Info)) -> Result<(), Lapse> {
        tokio::select! { biased;
            error = place.lease.wait_ended() => Err(Lapse::Gone(error)),
            turn = self.turns(place, before, &tell) => turn,
        }
    }

    /// Of several queues one after the other: where a place is the first it stays that.
    async fn turns(&self, place: &Place, before: u32, tell: &impl Fn(Info)) -> Result<(), Lapse> {
        let keys = self.keys(place);
        if let [key] = &keys[..] {
            return self.first().turn(place, key, before, tell).await;
        }
        for (queue, key) in self.0.iter().zip(&keys) {
            if let Some(before) = queue.look(place, key, tell).await {
                queue.turn(place, key, before, tell).await?;
            }
        }
        self.prove_all(place, &keys).await
    }

    /// The proof that a place is the first in all its queues at the same moment: while it waited for the last, somebody
    /// may have deleted its key in another.
    async fn prove_all(&self, place: &Place, keys: &[String]) -> Result<(), Lapse> {
        let store = &self.context().store;
        let quick: Vec<_> = self.0.iter().map(|queue| Op::Range(queue.oldest().serializable())).collect();
        let slow = self.reads();
        let not_first = |reply: &TxnReply| {
            keys.iter()
                .zip(&reply.ranges)
                .find(|(key, oldest)| !is_first(oldest, key, place.created))
                .map(|(key, _)| key)
        };
        loop {
            for (then, is_the_last_word) in [(quick.clone(), false), (slow.clone(), true)] {
                let read = store.txn(Txn { then, ..Txn::default() }, self.context().by()).await;
                if let Some(error) = place.lease.ended() {
                    return Err(Lapse::Gone(error));
                }
                match read {
                    Ok(reply) if reply.revision >= place.created => match not_first(&reply) {
                        None => return Ok(()),
                        Some(key) if is_the_last_word => return Err(Lapse::Gone(deleted(key))),
                        Some(_) => (),
                    },
                    Err(Fault::Refused(error)) => return Err(Lapse::Failed(error)),
                    _ => (),
                }
            }
            sleep(PAUSE).await;
        }
    }
}

impl Queue {
    async fn turn(&self, place: &Place, key: &str, before: u32, tell: &impl Fn(Info)) -> Result<(), Lapse> {
        // Of those who share a lock with a limit the end of any older one can be the turn.
        let is_herd = self.share.is_none() && before > HERD && self.context.views.do_without(&self.name);
        match is_herd {
            true => self.follow_the_one_before(place, key, tell).await,
            false => self.follow_the_queue(place, key).await,
        }
    }

    /// How many are before a place, as far as a quick look tells; `None`: it is the first.
    async fn look(&self, place: &Place, key: &str, tell: &impl Fn(Info)) -> Option<u32> {
        let read = self.oldest().serializable();
        let holder = match self.context.store.range(read, self.context.by()).await {
            Ok(reply) if reply.revision < place.created => return Some(1),
            Ok(reply) if is_first(&reply, key, place.created) => return None,
            Ok(reply) => self.info(&reply),
            Err(_) => return Some(1),
        };
        let before = holder.waiters.max(1);
        tell(holder);
        Some(before)
    }

    async fn follow_the_queue(&self, place: &Place, key: &str) -> Result<(), Lapse> {
        let view = self.view();
        let attention = view.attend(key);
        loop {
            let looked = match view.rank(key, place.created) {
                Rank::First => self.prove(place, key).await?,
                Rank::Gone => self.check_gone(place, key).await?,
                Rank::Failed(error) => return Err(Lapse::Failed(error)),
                Rank::NotSeenYet | Rank::Behind => Looked::AsBefore,
            };
            match looked {
                Looked::First => return Ok(()),
                Looked::AsBefore => attention.news().await,
                Looked::Differently => sleep(PAUSE).await,
            }
        }
    }

    /// The proof that a place holds: a read at a revision at which it was there, and the oldest (or, of those who share,
    /// with nobody in its way). No older key can appear later, so any member may answer, and no lost event of a watch can
    /// mislead.
    async fn prove(&self, place: &Place, key: &str) -> Result<Looked, Lapse> {
        for serializable in [true, false] {
            let first = match self.proof(place, key, serializable).await {
                Ok(proven) => proven,
                Err(Fault::Refused(error)) => return Err(Lapse::Failed(error)),
                Err(_) => false,
            };
            if let Some(error) = place.lease.ended() {
                return Err(Lapse::Gone(error));
            }
            if first {
                return Ok(Looked::First);
            }
        }
        Ok(Looked::Differently)
    }

    async fn proof(&self, place: &Place, key: &str, serializable: bool) -> Result<bool, Fault> {
        let (store, by, created) = (&self.context.store, self.context.by(), place.created);
        match &self.share {
            None => {
                let reply = store.range(Range { serializable, ..self.oldest() }, by).await?;
                Ok(reply.revision >= created && is_first(&reply, key, created))
            }
            Some(share) => {
                let reply = store.txn(share.proof(key, created, serializable), by).await?;
                Ok(reply.revision >= created && share.is_proven(&reply.ranges, created))
            }
        }
    }

    /// The view does not show the place any more: is that so?
    pub(super) async fn check_gone(&self, place: &Place, key: &str) -> Result<Looked, Lapse> {
        match self.context.store.range(Range::key(key), self.context.by()).await {
            Ok(reply) if is_there(&reply, place) => Ok(Looked::Differently),
            Ok(_) => Err(Lapse::Gone(deleted(key))),
            Err(Fault::Refused(error)) => Err(Lapse::Failed(error)),
            Err(_) => Ok(Looked::Differently),
        }
    }

    async fn follow_the_one_before(&self, place: &Place, key: &str, tell: &impl Fn(Info)) -> Result<(), Lapse> {
        while let Some(before) = self.one_before(place, key, tell).await? {
            let keys = KeyRange::Key(before.clone());
            let Ok(mut watch) = self.context.store.watch(keys, None, self.context.by()).await else {
                sleep(PAUSE).await;
                continue;
            };
            // It may have gone before the watch began.
            while self.one_before(place, key, tell).await?.as_ref() == Some(&before) {
                match timeout(REREAD, until_deleted(&mut *watch)).await {
                    Ok(true) => break,
                    Ok(false) => {
                        sleep(PAUSE).await;
                        break;
                    }
                    Err(_) => (),
                }
            }
        }
        match place.lease.ended() {
            Some(error) => Err(Lapse::Gone(error)),
            None => Ok(()),
        }
    }

    /// The key before a place; `None`: it is the first, and this was the proof.
    async fn one_before(&self, place: &Place, key: &str, tell: &impl Fn(Info)) -> Result<Option<String>, Lapse> {
        loop {
            let reads = [self.oldest(), Range::key(key), Range::youngest_before(&*self.prefix, place.created)];
            let read = Txn { then: reads.map(Op::Range).into(), ..Txn::default() };
            match self.context.store.txn(read, self.context.by()).await {
                Ok(reply) if !is_there(&reply.ranges[1], place) => return Err(Lapse::Gone(deleted(key))),
                Ok(reply) if is_first(&reply.ranges[0], key, place.created) => return Ok(None),
                Ok(reply) => {
                    tell(self.info(&reply.ranges[0]));
                    if let Some(before) = reply.ranges[2].kvs.first() {
                        return Ok(Some(String::from_utf8_lossy(&before.key).into_owned()));
                    }
                }
                Err(Fault::Refused(error)) => return Err(Lapse::Failed(error)),
                Err(_) => (),
            }
            sleep(PAUSE).await;
        }
    }
}

/// Returns when the watch shows a deletion, or ends: then `false`.
async fn until_deleted(watch: &mut dyn Watch) -> bool {
    while let Ok(events) = watch.next().await {
        if events.iter().any(|event| matches!(event, Event::Delete { .. })) {
            return true;
        }
    }
    false
}

fn is_there(own: &RangeReply, place: &Place) -> bool {
    own.kvs.first().is_some_and(|kv| kv.created == place.created)
}

fn is_first(oldest: &RangeReply, key: &str, created: i64) -> bool {
    let is_ours = |kv: &KeyValue| kv.key == key.as_bytes() && kv.created == created;
    oldest.kvs.first().is_some_and(is_ours)
}
