//! The turn of a place in a queue: waiting for it, and the proof that it has come.
//!
//! Of few who wait, each follows the whole queue, with the view that its client has of it: that is the quickest. Of many,
//! each follows only the place before its own, or each change would wake them all.

use super::{Lapse, PAUSE, Place, Queue};
use crate::Result;
use crate::info::Info;
use crate::lease::deleted;
use crate::store::{Event, Fault, KeyRange, KeyValue, Op, Range, RangeReply, Txn, Watch};
use crate::view::Rank;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// With more places before its own than this, a place follows only the one before it. In the simulation few are many.
const HERD: u32 = if cfg!(test) { 1 } else { 24 };
/// How often it is read anew who is before: a watch can go silent.
const REREAD: Duration = Duration::from_secs(5);

/// What a closer look at a place showed.
enum Looked {
    First,
    AsBefore,
    /// Not what the view shows: one of the two is behind.
    Differently,
}

impl Queue {
    /// Waits until a place is the first: then it holds the lock. `before`: how many places were before it when it entered.
    /// Tells whom it finds holding, if it had to ask. May be dropped at any time.
    pub(crate) async fn turn(&self, place: &Place, before: u32, tell: impl Fn(Info)) -> Result<(), Lapse> {
        let is_herd = before > HERD && self.context.views.do_without(&self.name);
        let turn = async {
            match is_herd {
                true => self.follow_the_one_before(place, &tell).await,
                false => self.follow_the_queue(place).await,
            }
        };
        tokio::select! { biased;
            error = place.lease.wait_ended() => Err(Lapse::Gone(error)),
            turn = turn => turn,
        }
    }

    async fn follow_the_queue(&self, place: &Place) -> Result<(), Lapse> {
        let (view, key) = (self.view(), self.key(place));
        let attention = view.attend(&key);
        loop {
            let looked = match view.rank(&key, place.created) {
                Rank::First => self.prove(place, &key).await?,
                Rank::Gone => self.check_gone(place, &key).await?,
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

    /// The proof that a place is the first: a read at a revision at which it was there, and the oldest. No older key
    /// can appear later, so any member may answer, and no lost event of a watch can mislead.
    async fn prove(&self, place: &Place, key: &str) -> Result<Looked, Lapse> {
        let oldest = Range::oldest(&*self.prefix);
        for read in [oldest.clone().serializable(), oldest] {
            let first = match self.context.store.range(read, self.context.by()).await {
                Ok(reply) => reply.revision >= place.created && is_first(&reply, key, place.created),
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

    /// The view does not show the place any more: is that so?
    async fn check_gone(&self, place: &Place, key: &str) -> Result<Looked, Lapse> {
        match self.context.store.range(Range::key(key), self.context.by()).await {
            Ok(reply) if is_there(&reply, place) => Ok(Looked::Differently),
            Ok(_) => Err(Lapse::Gone(deleted(key))),
            Err(Fault::Refused(error)) => Err(Lapse::Failed(error)),
            Err(_) => Ok(Looked::Differently),
        }
    }

    async fn follow_the_one_before(&self, place: &Place, tell: &impl Fn(Info)) -> Result<(), Lapse> {
        while let Some(before) = self.one_before(place, tell).await? {
            let keys = KeyRange::Key(before.clone());
            let Ok(mut watch) = self.context.store.watch(keys, None, self.context.by()).await else {
                sleep(PAUSE).await;
                continue;
            };
            // It may have gone before the watch began.
            while self.one_before(place, tell).await?.as_ref() == Some(&before) {
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
    async fn one_before(&self, place: &Place, tell: &impl Fn(Info)) -> Result<Option<String>, Lapse> {
        let key = self.key(place);
        loop {
            let reads =
                [Range::oldest(&*self.prefix), Range::key(&*key), Range::youngest_before(&*self.prefix, place.created)];
            let read = Txn { then: reads.map(Op::Range).into(), ..Txn::default() };
            match self.context.store.txn(read, self.context.by()).await {
                Ok(reply) if !is_there(&reply.ranges[1], place) => return Err(Lapse::Gone(deleted(&key))),
                Ok(reply) if is_first(&reply.ranges[0], &key, place.created) => return Ok(None),
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
