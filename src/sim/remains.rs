//! Scenes about what remains of several locks that were wanted or held at once, when one of them is lost.

use super::model::Model;
use super::peer::{OwnClock, client};
use super::scenes::calm;
use super::staged::{Call, Fate, Staged};
use crate::context::Context;
use crate::lock::Lock;
use crate::store::{Op, Txn};
use crate::{ErrorKind, Loss};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything takes that nothing is in the way of.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Enough for all that is done at once to be done.
const A_MOMENT: Duration = Duration::from_millis(10);
const TTL: Duration = Duration::from_secs(10);

fn lock(of: &Arc<Context>, names: &[&str]) -> Lock {
    Lock::all(of.clone(), names.iter().map(|name| name.to_string()).collect())
}

fn staged() -> (Staged, Arc<Context>, Arc<OwnClock>) {
    let (_, model, _) = calm(1);
    let (store, clock) = (Staged::new(&model), OwnClock::new(1.0));
    let context = client(Arc::new(store.clone()), &clock, TTL);
    (store, context, clock)
}

fn another(model: &Model) -> Arc<Context> {
    client(Arc::new(model.clone()), &OwnClock::new(1.0), TTL)
}

fn leaves(txn: &Txn) -> bool {
    txn.then.iter().all(|op| matches!(op, Op::Delete(_)))
}

/// One of its keys is deleted by hand while etcd takes no writes for longer than the TTL; its beats are answered, so the
/// lease lives, and the other keys with it.
pub(super) async fn the_rest_of_a_loss_goes_however_late() {
    let (store, own, _) = staged();
    let guard = lock(&own, &["a", "b"]).await.unwrap();
    store.set(|call| match call {
        Call::Txn(txn) if leaves(txn) => Fate::Lost,
        Call::Delete => Fate::Lost,
        _ => Fate::Passed,
    });
    let keys = guard.keys();
    sleep(AT_ONCE).await;
    assert!(store.model.step(|etcd| etcd.delete(&keys[0])));
    assert_eq!(guard.lost().await.loss(), Some(Loss::KeyDeleted));
    sleep(TTL * 3).await;
    store.set(|_| Fate::Passed);
    let next = timeout(TTL * 3, lock(&another(&store.model), &["b"])).await.expect("nobody is in the way");
    assert!(next.unwrap().held());
}

/// The place is lost, and etcd is silent when it is given up before another is had.
pub(super) async fn the_limit_of_one_who_gives_up_a_lost_place_is_kept() {
    let (store, own, clock) = staged();
    let held = lock(&another(&store.model), &["a"]).await.unwrap();
    let limit = Duration::from_secs(2);
    let guard = lock(&own, &["a", "b"]).timeout(limit).start().unwrap();
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
