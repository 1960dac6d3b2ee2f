//! What is gathered into one request, call by call.

use super::model::Model;
use super::scenes::calm;
use crate::commit::Commit;
use crate::key::queue_of;
use crate::store::*;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::Instant;

/// What becomes of a request.
#[derive(Debug)]
enum Fate {
    Done,
    NotDone,
    Doubt,
    Refused,
}

type Request = (String, oneshot::Sender<Fate>);

/// A model that does what it is asked only when it is told what becomes of it.
#[derive(Clone, Debug)]
struct Waiting {
    model: Model,
    asked: mpsc::UnboundedSender<Request>,
}

impl Waiting {
    async fn answer<'a, T>(&'a self, what: String, ask: impl FnOnce() -> Pending<'a, T>) -> Result<T, Fault> {
        let (tell, fate) = oneshot::channel();
        self.asked.send((what, tell)).unwrap();
        let error = || Error::new(ErrorKind::Unavailable, "as arranged");
        match fate.await.unwrap() {
            Fate::Done => ask().await,
            Fate::NotDone => Err(Fault::NotDone(error())),
            Fate::Doubt => Err(Fault::Doubt(error())),
            Fate::Refused => Err(Fault::Refused(Error::new(ErrorKind::Denied, "as arranged"))),
        }
    }
}

/// As `+a -b [+c -d]`: what enters, what leaves, and what is inside another.
fn words(txn: &Txn) -> String {
    let words = txn.then.iter().filter_map(|op| match op {
        Op::Put { key, .. } => Some(format!("+{key}")),
        Op::Delete(key) => Some(format!("-{key}")),
        Op::Txn(txn) => Some(format!("[{}]", words(txn))),
        Op::Range(_) => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Store for Waiting {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        Box::pin(self.answer(words(&txn), move || self.model.txn(txn, by)))
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        Box::pin(self.answer(format!("-{key}"), move || self.model.delete(key, by)))
    }

    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply> {
        self.model.range(range, by)
    }

    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Grant> {
        self.model.grant(lease, ttl, by)
    }

    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Bytes>> {
        self.model.lease_keys(lease, by)
    }

    fn revoke(&self, lease: i64, by: Instant) -> Pending<'_, ()> {
        self.model.revoke(lease, by)
    }

    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive> {
        self.model.keep_alive(lease)
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        self.model.watch(keys, from, by)
    }

    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch> {
        self.model.watch_keys(limit)
    }
}

struct Scene {
    commit: Commit,
    asked: mpsc::UnboundedReceiver<Request>,
}

/// With as many requests under way as may be: none of them is answered yet.
async fn busy() -> (Scene, Vec<Request>) {
    let (tell, asked) = mpsc::unbounded_channel();
    let (_, model, _) = calm(1);
    let mut scene = Scene { commit: Commit::new(Arc::new(Waiting { model, asked: tell })), asked };
    let mut under_way = Vec::new();
    for n in 0.. {
        scene.enter(&format!("busy{n}/1"));
        yield_now().await;
        match scene.asked.try_recv() {
            Ok(request) => under_way.push(request),
            Err(_) => break,
        }
    }
    assert_eq!(under_way[0].0, "+busy0/1", "a lone request is as it is");
    (scene, under_way)
}

impl Scene {
    fn enter(&self, key: &str) -> JoinHandle<Result<TxnReply, Fault>> {
        self.enter_if(vec![KeyRange::Key(key.into())], &[key])
    }

    /// Enters the queues of these keys if they all are empty.
    fn enter_empty(&self, keys: &[&str]) -> JoinHandle<Result<TxnReply, Fault>> {
        self.enter_if(keys.iter().map(|key| KeyRange::Prefix(queue_of(key).into())).collect(), keys)
    }

    fn enter_if(&self, absent: Vec<KeyRange>, keys: &[&str]) -> JoinHandle<Result<TxnReply, Fault>> {
        let put = |key: &&str| Op::Put { key: key.to_string(), value: vec![], lease: 0 };
        let when = absent.into_iter().map(Compare::Absent).collect();
        let txn = Txn { when, then: keys.iter().map(put).collect(), ..Txn::default() };
        let commit = self.commit.clone();
        tokio::spawn(async move { commit.txn(txn, soon()).await })
    }

    fn leave(&self, key: &str) -> JoinHandle<Result<Deleted, Fault>> {
        let (commit, key) = (self.commit.clone(), key.to_string());
        tokio::spawn(async move { commit.delete(key, soon()).await })
    }

    /// Decides what becomes of a request; gives the next one.
    async fn after(&mut self, request: Request, fate: Fate) -> Request {
        request.1.send(fate).unwrap();
        self.asked.recv().await.unwrap()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

pub(super) async fn many_travel_together_and_of_each_queue_one() {
    let (mut scene, mut under_way) = busy().await;
    let first = [scene.enter("a/1"), scene.enter("b/1"), scene.enter("a/2")];
    let left = [scene.leave("b/2"), scene.leave("c/1")];
    yield_now().await;
    // The one that was too many before comes first; of `a` and `b` one each, and `c`.
    let last = format!("+busy{}/1", under_way.len());
    let together = scene.after(under_way.remove(0), Fate::Done).await;
    assert_eq!(together.0, format!("[{last}] [+a/1] [+b/1] -c/1"));
    let rest = scene.after(together, Fate::Done).await;
    assert_eq!(rest.0, "[+a/2] -b/2");
    rest.1.send(Fate::Done).unwrap();
    let mut revisions = Vec::new();
    for entered in first {
        let reply = entered.await.unwrap().unwrap();
        assert!(reply.succeeded);
        revisions.push(reply.revision);
    }
    assert!(revisions[0] == revisions[1] && revisions[1] < revisions[2], "{revisions:?}");
    for left in left {
        assert_eq!(left.await.unwrap().unwrap(), Deleted::Absent);
    }
}

pub(super) async fn sixty_at_most_travel_together() {
    let (mut scene, mut under_way) = busy().await;
    let all: Vec<_> = (0..100).map(|n| scene.enter(&format!("many{n}/1"))).collect();
    yield_now().await;
    let together = scene.after(under_way.remove(0), Fate::Done).await;
    assert_eq!(together.0.matches('[').count(), 60);
    let rest = scene.after(together, Fate::Done).await;
    assert_eq!(rest.0.matches('[').count(), 41);
    rest.1.send(Fate::Done).unwrap();
    for entered in all {
        assert!(entered.await.unwrap().unwrap().succeeded);
    }
}

/// One of them is in doubt: so is each that enters; to leave is tried once more.
pub(super) async fn a_doubt_of_many_is_a_doubt_of_each() {
    let (mut scene, mut under_way) = busy().await;
    let (entered, left) = (scene.enter("a/1"), scene.leave("c/1"));
    yield_now().await;
    let together = scene.after(under_way.remove(0), Fate::Done).await;
    let alone = scene.after(together, Fate::Doubt).await;
    assert_eq!(alone.0, "-c/1");
    alone.1.send(Fate::Done).unwrap();
    assert!(matches!(entered.await.unwrap(), Err(Fault::Doubt(_))));
    assert_eq!(left.await.unwrap().unwrap(), Deleted::Unclear);
}

/// For one that is refused all are: so each is asked for by itself.
pub(super) async fn what_is_refused_together_is_asked_one_by_one() {
    let (mut scene, mut under_way) = busy().await;
    let (good, bad, left) = (scene.enter("a/1"), scene.enter("b/1"), scene.leave("c/1"));
    yield_now().await;
    let together = scene.after(under_way.remove(0), Fate::Done).await;
    let mut request = scene.after(together, Fate::Refused).await;
    for n in 0..4 {
        let fate = if request.0 == "+b/1" { Fate::Refused } else { Fate::Done };
        assert!(!request.0.contains('['), "{}", request.0);
        if n == 3 {
            request.1.send(fate).unwrap();
            break;
        }
        request = scene.after(request, fate).await;
    }
    assert!(good.await.unwrap().unwrap().succeeded);
    assert!(matches!(bad.await.unwrap(), Err(Fault::Refused(_))));
    assert_eq!(left.await.unwrap().unwrap(), Deleted::Absent);
}

/// One that is about several queues shares no request with another that is about one of them: both would find it empty.
pub(super) async fn what_is_about_several_queues_goes_alone() {
    let (mut scene, under_way) = busy().await;
    let entered = [scene.enter_empty(&["a/1", "b/1"]), scene.enter_empty(&["b/2"])];
    yield_now().await;
    let all_done = async {
        under_way.into_iter().for_each(|request| request.1.send(Fate::Done).unwrap());
        while let Some(request) = scene.asked.recv().await {
            request.1.send(Fate::Done).unwrap();
        }
    };
    let both = async {
        let [several, one] = entered;
        [several.await.unwrap().unwrap().succeeded, one.await.unwrap().unwrap().succeeded]
    };
    tokio::select! { biased;
        both = both => assert_eq!(both, [true, false], "who has entered `b`"),
        () = all_done => unreachable!("somebody can ask still"),
    }
}

/// What certainly was not done is told so; who has waited for too long in vain, too.
pub(super) async fn what_never_was_sent_is_not_done() {
    let (mut scene, mut under_way) = busy().await;
    let entered = scene.enter("a/1");
    yield_now().await;
    let together = scene.after(under_way.remove(0), Fate::Done).await;
    let late = scene.enter("b/1");
    together.1.send(Fate::NotDone).unwrap();
    assert!(matches!(entered.await.unwrap(), Err(Fault::NotDone(_))));
    let request = scene.asked.recv().await.unwrap();
    assert_eq!(request.0, "+b/1");
    let in_vain = scene.enter("c/1");
    assert!(matches!(in_vain.await.unwrap(), Err(Fault::NotDone(_))));
    // The other one had been sent when its time was over.
    assert!(matches!(late.await.unwrap(), Err(Fault::Doubt(_)) | Ok(_)));
}

/// Those whom a request has answered come back for the next, and do not find that it has left without them.
pub(super) async fn who_comes_back_at_once_travels_along() {
    let (mut scene, mut under_way) = busy().await;
    let again = |n: u32| {
        let commit = scene.commit.clone();
        tokio::spawn(async move {
            for _ in 0..3 {
                commit.delete(format!("a{n}/1"), soon()).await.unwrap();
            }
        })
    };
    let all: Vec<_> = (0..3).map(again).collect();
    yield_now().await;
    let mut request = scene.after(under_way.pop().unwrap(), Fate::Done).await;
    for _ in 0..2 {
        assert!(request.0.ends_with("-a0/1 -a1/1 -a2/1"), "{}", request.0);
        request = scene.after(request, Fate::Done).await;
    }
    assert_eq!(request.0, "-a0/1 -a1/1 -a2/1");
    request.1.send(Fate::Done).unwrap();
    for one in all {
        one.await.unwrap();
    }
}

/// Then etcd is far away, and to wait for the answer would cost more than a request does.
pub(super) async fn beside_one_that_takes_long_another_goes() {
    let (mut scene, mut under_way) = busy().await;
    let _more = [scene.enter("a/1"), scene.enter("b/1")];
    yield_now().await;
    let slow = scene.after(under_way.remove(0), Fate::Done).await;
    assert!(slow.0.ends_with("[+a/1] [+b/1]"), "{}", slow.0);
    for (_, tell) in under_way {
        tell.send(Fate::Done).unwrap();
    }
    for _ in 0..10 {
        yield_now().await;
    }
    let _waits = [scene.enter("c/1"), scene.enter("d/1")];
    yield_now().await;
    assert!(scene.asked.try_recv().is_err(), "an answer may come any moment");
    assert_eq!(scene.asked.recv().await.unwrap().0, "[+c/1] [+d/1]");
}
