//! Scenes about locks that are made to outlive their client, and those that are had again.

use super::staged::{Call, Fate};
use super::uses::{A_MOMENT, AT_ONCE, PATIENCE, another, lock, staged};
use crate::{ErrorKind, Loss, State};
use tokio::time::{Instant, sleep, timeout};

/// Of the requests that take the key of `a` from its lease the first has this fate.
fn first_take(fate: Fate) -> impl FnMut(Call<'_>) -> Fate {
    let mut fate = Some(fate);
    move |call| match call.takes_the_lease("a") {
        true => fate.take().unwrap_or(Fate::Passed),
        false => Fate::Passed,
    }
}

/// The answer to the request that takes the lease from a key is lost, done or not, or done after all.
pub(super) async fn a_lease_that_is_taken_in_doubt() {
    let fates: [fn() -> Fate; 3] = [|| Fate::Lost, || Fate::Unanswered, || Fate::DoneAt(Instant::now() + AT_ONCE)];
    for fate in fates {
        let (store, own, _) = staged();
        store.set(first_take(fate()));
        let guard = timeout(AT_ONCE, lock(&own, "a").persistent()).await.expect("at once").unwrap();
        let (key, token) = (guard.key(), guard.token());
        let lease_of = || store.model.step(|etcd| etcd.lease_of(&key));
        assert_eq!((guard.held(), lease_of()), (true, Some(0)));
        guard.unlock().await.unwrap();
        // What is done late finds nothing.
        sleep(AT_ONCE * 2).await;
        assert_eq!(lease_of(), None);
        let again = lock(&own, "a").await.unwrap();
        assert!(again.token() > token && again.key() != key, "a key about which there was a doubt");
    }
}

/// The same, and nobody wants it any more when the request is done: nothing is left, however late it comes.
pub(super) async fn a_lease_that_is_taken_for_nobody() {
    let late = || Instant::now() + AT_ONCE;
    let fates: [&dyn Fn() -> Fate; 3] = [&|| Fate::AnsweredAt(late()), &|| Fate::DoneAt(late()), &|| Fate::Refused];
    for fate in fates {
        let (store, own, _) = staged();
        store.set(first_take(fate()));
        let guard = lock(&own, "a").persistent().start().unwrap();
        sleep(A_MOMENT / 10).await;
        drop(guard);
        sleep(AT_ONCE * 2).await;
        assert!(store.model.step(|etcd| etcd.keys_under("/a/").is_empty()), "somebody is left behind");
        let other = another(&store.model);
        assert!(timeout(PATIENCE, lock(&other, "a")).await.expect("nobody is in the way").unwrap().held());
    }
}

/// Its lease ends while it is taken: one enters anew, and what may outlive the lease goes.
pub(super) async fn a_lease_that_ends_while_it_is_taken() {
    let (store, own, clock) = staged();
    let warm = lock(&own, "warm").await.unwrap();
    store.set(first_take(Fate::AnsweredAt(Instant::now() + AT_ONCE)));
    let guard = lock(&own, "a").persistent().start().unwrap();
    sleep(A_MOMENT).await;
    let before = store.model.step(|etcd| etcd.keys_under("/a/"));
    clock.jump(warm.remaining());
    timeout(PATIENCE, guard.wait(None)).await.expect("it is held anew").unwrap();
    let after = store.model.step(|etcd| etcd.keys_under("/a/"));
    assert_eq!((before.len(), &after), (1, &vec![guard.key()]));
    assert_ne!(before, after);
    guard.unlock().await.unwrap();
    assert!(store.model.step(|etcd| etcd.keys_under("/a/").is_empty()));
}

/// The client ends after it is held and before its owner has heard of it: nobody has the receipt.
pub(super) async fn a_receipt_that_nobody_has() {
    let (store, own, _) = staged();
    let guard = lock(&own, "a").persistent().start().unwrap();
    sleep(A_MOMENT).await;
    assert_eq!(guard.state(), State::Held);
    own.close().await.unwrap();
    assert_eq!(guard.wait(None).await.unwrap_err().kind(), ErrorKind::Cancelled);
    sleep(AT_ONCE).await;
    assert!(store.model.step(|etcd| etcd.keys_under("/a/").is_empty()));
}

/// The lease of one in standby ends by its own clock: its owner hears WAITING, and then HELD with another token. Who
/// unlocks before he can have heard of a loss is told of it.
pub(super) async fn a_loss_that_is_made_good() {
    let (store, own, clock) = staged();
    let guard = lock(&own, "a").standby().await.unwrap();
    assert_eq!(guard.changed().await.unwrap().state, State::Held);
    let token = guard.token();
    clock.jump(guard.remaining());
    assert_eq!((guard.state(), guard.token()), (State::Waiting, 0));
    let lost = timeout(AT_ONCE, guard.changed()).await.unwrap().unwrap();
    assert_eq!((lost.state, lost.error.unwrap().loss()), (State::Waiting, Some(Loss::Expired)));
    let again = timeout(PATIENCE, guard.changed()).await.unwrap().unwrap();
    assert_eq!((again.state, again.token), (State::Held, guard.token()));
    assert!(again.token > token);

    clock.jump(guard.remaining());
    assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
    let other = another(&store.model);
    assert!(timeout(PATIENCE, lock(&other, "a")).await.expect("nobody is in the way").unwrap().held());
}
