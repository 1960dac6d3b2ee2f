//! Scenes about several locks at once: all or none of them, whichever key somebody deletes and whichever answer is lost.

use super::model::Model;
use super::staged::{Call, Fate};
use super::uses::{A_MOMENT, AT_ONCE, PATIENCE, another, first_enter, lock, staged};
use crate::context::Context;
use crate::lock::Lock;
use crate::store::Range;
use crate::{ErrorKind, Loss, State};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

fn a_and_b(of: &Arc<Context>) -> Lock {
    Lock::all(of.clone(), vec!["a".into(), "b".into()])
}

/// The keys in the queue of `name`.
fn queue(model: &Model, name: &str) -> Vec<String> {
    let kvs = model.step(|etcd| etcd.range(&Range::all(format!("/{name}/")), etcd.revision)).kvs;
    kvs.into_iter().map(|kv| String::from_utf8(kv.key).unwrap()).collect()
}

/// It has won `a` when somebody deletes its key there, while it waits for `b`.
pub(super) async fn a_key_that_goes_from_a_queue_that_was_won() {
    let (store, own, _) = staged();
    let other = another(&store.model);
    let b = lock(&other, "b").await.unwrap();
    let both = a_and_b(&own).start().unwrap();
    sleep(A_MOMENT).await;
    let won = queue(&store.model, "a");
    assert!(won.len() == 1 && store.model.step(|etcd| etcd.delete(&won[0])));
    let a = lock(&other, "a").await.unwrap();
    b.unlock().await.unwrap();
    sleep(AT_ONCE).await;
    assert_eq!((a.held(), both.state()), (true, State::Waiting));
    a.unlock().await.unwrap();
    timeout(AT_ONCE, both.wait(None)).await.expect("nothing is in the way").unwrap();
    assert_eq!([queue(&store.model, "a"), queue(&store.model, "b")].concat(), both.keys());
}

/// Somebody deletes one key of two, and the guard is kept.
pub(super) async fn a_key_that_goes_from_one_that_is_held() {
    let (store, own, _) = staged();
    let both = a_and_b(&own).await.unwrap();
    assert!(store.model.step(|etcd| etcd.delete(&both.keys()[1])));
    let why = timeout(PATIENCE, both.lost()).await.expect("it is told");
    assert_eq!((why.loss(), both.held()), (Some(Loss::KeyDeleted), false));
    let next = timeout(AT_ONCE, a_and_b(&another(&store.model))).await.expect("nothing is in the way").unwrap();
    assert!(next.held());
}

/// An enter gets no answer; before it is looked what became of it somebody deletes one of its keys.
pub(super) async fn an_enter_in_doubt_that_is_torn() {
    let (store, own, _) = staged();
    let former = a_and_b(&own).await.unwrap();
    let used = former.keys();
    former.unlock().await.unwrap();
    let (model, mut first) = (store.model.clone(), first_enter("a", Fate::Unanswered));
    store.set(move |call| {
        if call.is_epoch() {
            let torn = queue(&model, "a");
            assert!(torn.len() == 1 && model.step(|etcd| etcd.delete(&torn[0])));
        }
        first(call)
    });
    let guard = timeout(AT_ONCE, a_and_b(&own)).await.expect("nothing is in the way").unwrap();
    assert!(guard.keys().iter().all(|key| !used.contains(key)), "there was no doubt: {:?}", guard.keys());
    assert_eq!([queue(&store.model, "a"), queue(&store.model, "b")].concat(), guard.keys());
}

/// A request to leave gets no answer, and is done when the same locks are held again.
pub(super) async fn a_leave_that_comes_late() {
    let (store, own, _) = staged();
    let guard = a_and_b(&own).await.unwrap();
    let late = Arc::new(Mutex::new(None));
    let lost = late.clone();
    store.set(move |call| {
        let mut lost = lost.lock().unwrap();
        match call {
            Call::Txn(txn) if call.leaves() && lost.is_none() => {
                *lost = Some(txn.clone());
                Fate::Lost
            }
            _ => Fate::Passed,
        }
    });
    guard.unlock().await.unwrap();
    let again = a_and_b(&own).await.unwrap();
    let late = late.lock().unwrap().take().expect("it was to leave both");
    store.model.step(|etcd| etcd.txn(&late)).unwrap();
    for key in again.keys() {
        assert_eq!(store.model.step(|etcd| etcd.key(&key)), Some(again.token()), "the key of a lock that is held");
    }
}

/// One of its keys is deleted by hand while etcd takes no writes for longer than the TTL; its beats are answered, so the
/// lease lives, and the other keys with it.
pub(super) async fn the_rest_of_a_loss_goes_however_late() {
    let (store, own, _) = staged();
    let guard = a_and_b(&own).await.unwrap();
    let ttl = own.leases.current().unwrap().ttl();
    store.set(|call| match call {
        Call::Delete => Fate::Lost,
        call if call.leaves() => Fate::Lost,
        _ => Fate::Passed,
    });
    let keys = guard.keys();
    sleep(AT_ONCE).await;
    assert!(store.model.step(|etcd| etcd.delete(&keys[0])));
    assert_eq!(guard.lost().await.loss(), Some(Loss::KeyDeleted));
    sleep(ttl * 3).await;
    store.set(|_| Fate::Passed);
    let next = timeout(ttl * 3, lock(&another(&store.model), "b")).await.expect("nobody is in the way");
    assert!(next.unwrap().held());
}

/// The place is lost, and etcd is silent when it is given up before another is had.
pub(super) async fn the_limit_of_one_who_gives_up_a_lost_place_is_kept() {
    let (store, own, clock) = staged();
    let held = lock(&another(&store.model), "a").await.unwrap();
    let limit = Duration::from_secs(2);
    let guard = a_and_b(&own).timeout(limit).start().unwrap();
    let ends = Instant::now() + limit;
    sleep(A_MOMENT).await;
    store.set(|call| match call {
        Call::Txn(txn) if txn.could_write() => Fate::AnsweredAt(Instant::now() + Duration::from_secs(5)),
        _ => Fate::Passed,
    });
    clock.jump(own.leases.current().unwrap().remaining());
    let why = guard.wait(None).await.unwrap_err();
    assert!([ErrorKind::Timeout, ErrorKind::Unavailable].contains(&why.kind()), "{why}");
    assert!(Instant::now() <= ends + AT_ONCE, "{:?} too late: {why}", Instant::now() - ends);
    drop(held);
}
