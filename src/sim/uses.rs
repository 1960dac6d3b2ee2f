//! Scenes about keys that are used again, and about places whose turn comes at a bad moment.

use super::model::Model;
use super::peer::{OwnClock, client};
use super::scenes::calm;
use super::staged::{Call, Fate, Staged};
use crate::context::Context;
use crate::lock::Lock;
use crate::queue::Queue;
use crate::store::KeyRange;
use crate::{ErrorKind, Loss, State};
use std::mem::replace;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything takes that nothing is in the way of.
pub(super) const AT_ONCE: Duration = Duration::from_secs(1);
/// Enough for all that is done at once to be done.
pub(super) const A_MOMENT: Duration = Duration::from_millis(10);
/// The lease, and then some.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn lock(of: &Arc<Context>, name: &str) -> Lock {
    Lock::new(of.clone(), name.into())
}

/// One who asks a store whose answers are arranged.
pub(super) fn staged() -> (Staged, Arc<Context>, Arc<OwnClock>) {
    let (_, model, _) = calm(1);
    let (store, clock) = (Staged::new(&model), OwnClock::new(1.0));
    let context = client(Arc::new(store.clone()), &clock, Duration::from_secs(10));
    (store, context, clock)
}

pub(super) fn another(model: &Model) -> Arc<Context> {
    client(Arc::new(model.clone()), &OwnClock::new(1.0), Duration::from_secs(10))
}

/// Of the enters of `name` the first one gets no answer.
pub(super) fn first_enter(name: &'static str, fate: Fate) -> impl FnMut(Call<'_>) -> Fate {
    let mut fate = Some(fate);
    move |call| match call.enters(name) {
        true => fate.take().unwrap_or(Fate::Passed),
        false => Fate::Passed,
    }
}

pub(super) async fn a_key_that_entered_in_doubt() {
    let (store, own, _) = staged();
    lock(&own, "a").await.unwrap().unlock().await.unwrap();
    store.set(first_enter("a", Fate::Unanswered));
    let guard = lock(&own, "a").await.unwrap();
    let key = guard.key();
    guard.unlock().await.unwrap();
    let keys = [lock(&own, "a").await.unwrap().key(), lock(&own, "b").await.unwrap().key()];
    let number = |key: &str| key.rsplit('-').next().unwrap().to_string();
    assert!(keys.iter().all(|other| number(other) != number(&key)), "{key} and then {keys:?}");
}

pub(super) async fn a_key_that_did_not_enter_after_a_doubt() {
    let (store, own, _) = staged();
    let guard = lock(&own, "a").await.unwrap();
    let key = guard.key();
    guard.unlock().await.unwrap();
    let held = lock(&another(&store.model), "a").await.unwrap();
    // It takes the number that has just come free.
    store.set(first_enter("a", Fate::Lost));
    assert_eq!(lock(&own, "a").timeout(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::Timeout);
    held.unlock().await.unwrap();
    assert_ne!(lock(&own, "a").await.unwrap().key(), key);
}

/// The epoch is written for a doubt about another lock; before that is answered a key is left and used again, and its
/// enter is lost. So the doubt is over at once, and a read that is as new as the epoch shows the key as it was. Some releases
/// of etcd give such an answer, once, also to one who wants the latest.
pub(super) async fn a_doubt_that_is_fenced_off_before_it_begins() {
    let (store, own, _) = staged();
    let guard = lock(&own, "a").await.unwrap();
    let key = guard.key();
    let answered = Instant::now() + AT_ONCE;
    store.set(move |call| match call {
        call if call.enters("b") => Fate::Lost,
        call if call.is_epoch() => Fate::AnsweredAt(answered),
        _ => Fate::Passed,
    });
    let _other = lock(&own, "b").start().unwrap();
    sleep(A_MOMENT).await;
    let epoch = store.model.step(|etcd| etcd.revision);
    guard.unlock().await.unwrap();
    let (mut first, mut old) = (first_enter("a", Fate::Lost), 2);
    store.set(move |call| match call {
        Call::Range(range) if range.serializable => Fate::AsOf(epoch),
        Call::Txn(txn) if old > 0 && txn.only_reads().is_some() => {
            old -= 1;
            Fate::AsOf(epoch)
        }
        call if call.enters("b") => Fate::AnsweredAt(answered + AT_ONCE),
        call => first(call),
    });
    let again = lock(&own, "a").await.unwrap();
    assert!(Instant::now() >= answered, "there was no doubt");
    assert_eq!(again.key(), key);
    assert_eq!(store.model.step(|etcd| etcd.key(&key)), Some(again.token()), "the key of a lock that is held");
}

/// A watch tells nothing of the one who is next, and a member that is behind shows the waiter's key, as it was when it was
/// used before, as the first.
pub(super) async fn a_proof_from_an_earlier_use() {
    let (store, own, _) = staged();
    let [first, second] = [another(&store.model), another(&store.model)];
    let former = lock(&own, "a").await.unwrap();
    let (key, was) = (former.key(), former.token());
    former.unlock().await.unwrap();
    let held = lock(&first, "a").await.unwrap();
    lock(&second, "warm").await.unwrap().unlock().await.unwrap();
    let unseen = format!("/{:x}-", second.leases.current().unwrap().id);
    store.set(move |call| match call {
        Call::Watch(_) => Fate::Without(unseen.clone()),
        Call::Range(range) if range.serializable => Fate::AsOf(was),
        _ => Fate::Passed,
    });
    let _holders = Queue::new(own.clone(), "a", None).unwrap().view().watch(own.by()).await.unwrap();
    let next = lock(&second, "a").start().unwrap();
    sleep(A_MOMENT).await;
    let last = lock(&own, "a").start().unwrap();
    sleep(A_MOMENT).await;
    assert_eq!(store.model.step(|etcd| etcd.key(&key)).map(|created| created > was), Some(true), "it waits");
    held.unlock().await.unwrap();
    next.wait(None).await.unwrap();
    sleep(AT_ONCE).await;
    assert_eq!((next.held(), last.state()), (true, State::Waiting));
    next.unlock().await.unwrap();
    timeout(PATIENCE, last.wait(None)).await.unwrap().unwrap();
}

/// Those before one go between its look at who is before it and the beginning of the watch.
pub(super) async fn an_end_before_the_watch_of_it() {
    let (store, own, _) = staged();
    let [first, second] = [another(&store.model), another(&store.model)];
    let held = lock(&first, "a").await.unwrap();
    let _next = lock(&second, "a").start().unwrap();
    sleep(A_MOMENT).await;
    let (model, holder, mut begun) = (store.model.clone(), held.key(), false);
    store.set(move |call| {
        if let Call::Watch(KeyRange::Key(before)) = call
            && !replace(&mut begun, true)
        {
            assert!(model.step(|etcd| etcd.delete(before) && etcd.delete(&holder)));
        }
        Fate::Passed
    });
    let last = lock(&own, "a").start().unwrap();
    timeout(AT_ONCE, last.wait(None)).await.expect("at once").unwrap();
}

/// The answer to an enter comes when nobody may wait for it any more, and when its lease has ended, and those who held by
/// it have been told.
pub(super) async fn a_hold_after_the_end_of_its_lease() {
    let (store, own, clock) = staged();
    let warm = lock(&own, "warm").await.unwrap();
    let by = own.by();
    store.set(first_enter("a", Fate::AnsweredAt(by)));
    let guard = lock(&own, "a").start().unwrap();
    let behind = lock(&own, "a").start().unwrap();
    sleep(A_MOMENT).await;
    clock.jump(warm.remaining());
    assert_eq!(warm.lost().await.loss(), Some(Loss::Expired));
    assert!(guard.wait(None).await.is_err());
    assert!(Instant::now() >= by, "it was not the answer");
    assert_eq!(timeout(AT_ONCE, guard.lost()).await.expect("told at once").loss(), Some(Loss::Expired));
    timeout(PATIENCE, behind.wait(None)).await.expect("it comes to the front").unwrap();
}

/// The next in line gives up after a request was sent for it, and before that is answered.
pub(super) async fn a_turn_of_one_who_has_given_up() {
    let (store, own, _) = staged();
    let held = lock(&own, "a").await.unwrap();
    let [next, last] = [lock(&own, "a").start().unwrap(), lock(&own, "a").start().unwrap()];
    let answered = Instant::now() + AT_ONCE;
    store.set(first_enter("a", Fate::AnsweredAt(answered)));
    let (unlocked, ()) = tokio::join!(held.unlock(), async {
        sleep(A_MOMENT).await;
        drop(next);
    });
    unlocked.unwrap();
    assert!(Instant::now() >= answered, "it was not sent for");
    timeout(AT_ONCE, last.wait(None)).await.expect("its turn comes").unwrap();
}

/// The holder and those in line behind it are given up in this order, before any of their tasks runs.
pub(super) async fn a_line_that_is_given_up_from_the_front() {
    let (store, own, _) = staged();
    let held = lock(&own, "a").await.unwrap();
    let behind: Vec<_> = (0..3).map(|_| lock(&own, "a").start().unwrap()).collect();
    sleep(A_MOMENT).await;
    let entered = Arc::new(AtomicUsize::new(0));
    let count = entered.clone();
    store.set(move |call| {
        count.fetch_add(usize::from(call.enters("a")), Ordering::Relaxed);
        Fate::Passed
    });
    drop(held);
    drop(behind);
    sleep(AT_ONCE).await;
    assert_eq!(entered.load(Ordering::Relaxed), 0, "entered for nobody");
}

/// An enter is refused for want of space, and was done nonetheless; its client does not ask again.
pub(super) async fn an_enter_that_was_refused_and_done() {
    let (store, own, _) = staged();
    let [_warm, _other] = [lock(&own, "warm").await.unwrap(), lock(&own, "other").await.unwrap()];
    store.set(first_enter("a", Fate::Refused));
    assert_eq!(lock(&own, "a").await.unwrap_err().kind(), ErrorKind::Unavailable);
    let other = another(&store.model);
    let next = timeout(PATIENCE, lock(&other, "a")).await.expect("nobody is in the way");
    assert!(next.unwrap().held());
}
