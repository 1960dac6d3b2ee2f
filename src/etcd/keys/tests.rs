//! On a real etcd, whose own counters say how many streams and watches there are.

use super::*;
use crate::etcd::{Access, Cluster};
use crate::store::{Op, Store, Txn};
use futures_util::FutureExt;
use locker_harness::{Etcd, Mood, PATIENCE, Proxy, eventually};
use std::collections::BTreeSet;
use tokio::time::timeout;

const STREAMS: &str = "etcd_debugging_mvcc_watch_stream_total";
const WATCHES: &str = "etcd_debugging_mvcc_watcher_total";
/// All that were sent.
const EVENTS: &str = "etcd_debugging_mvcc_events_total";
/// Fewer than what etcd takes in one transaction.
const BATCH: usize = 100;

fn by() -> Instant {
    Instant::now() + PATIENCE
}

async fn connect(endpoint: &str, access: &Access) -> Cluster {
    Cluster::open(endpoint, access, Duration::from_secs(10), by()).await.unwrap()
}

async fn started() -> (Etcd, Cluster) {
    let etcd = Etcd::start();
    let cluster = connect(&etcd.endpoint(), &Access::default()).await;
    (etcd, cluster)
}

/// Gives the revision after it.
async fn run(cluster: &Cluster, ops: Vec<Op>) -> i64 {
    cluster.txn(Txn { then: ops, repeatable: true, ..Txn::default() }, by()).await.unwrap().revision
}

fn put(key: impl Into<String>) -> Op {
    Op::Put { key: key.into(), value: b"value".to_vec(), lease: 0 }
}

fn delete(key: impl Into<String>) -> Op {
    Op::Delete(key.into())
}

async fn next(watch: &mut dyn KeyWatch) -> KeyNews {
    timeout(PATIENCE, watch.next()).await.expect("news").unwrap()
}

/// The error with which it ends.
async fn end(watch: &mut dyn KeyWatch) -> Fault {
    timeout(PATIENCE, watch.next()).await.expect("an end").unwrap_err()
}

fn watched(key: &str, begun: i64) -> KeyNews {
    KeyNews::Watched { key: key.into(), begun }
}

fn gone(key: &str, revision: impl Into<Option<i64>>) -> KeyNews {
    KeyNews::Gone { key: key.into(), revision: revision.into() }
}

/// Waits until etcd has so many streams and watches on them.
async fn counted(etcd: &Etcd, streams: usize, watches: usize) {
    eventually(&format!("{streams} streams with {watches} watches"), async || {
        let metrics = etcd.metrics();
        (metrics.sum(STREAMS, ""), metrics.sum(WATCHES, "")) == (streams as f64, watches as f64)
    })
    .await;
}

#[tokio::test]
async fn thousands_of_keys_are_watched_over_one_stream() {
    let (etcd, cluster) = started().await;
    let keys: Vec<_> = (0..2000).map(|n| format!("/k/{n}")).collect();
    for batch in keys.chunks(BATCH) {
        run(&cluster, batch.iter().map(put).collect()).await;
    }
    let mut watch = cluster.watch_keys(PATIENCE);
    keys.iter().for_each(|key| watch.add(key, None));
    for key in &keys {
        assert!(matches!(next(&mut *watch).await, KeyNews::Watched { key: told, .. } if told == *key));
    }
    counted(&etcd, 1, keys.len()).await;

    // Half of them are not watched any more, and of the others a put is no news.
    let (removed, kept) = keys.split_at(keys.len() / 2);
    removed.iter().for_each(|key| watch.remove(key));
    for batch in keys.chunks(BATCH) {
        run(&cluster, batch.iter().map(put).collect()).await;
    }
    for batch in keys.chunks(BATCH) {
        run(&cluster, batch.iter().map(delete).collect()).await;
    }
    let mut left: BTreeSet<_> = kept.iter().cloned().collect();
    while !left.is_empty() {
        let news = next(&mut *watch).await;
        assert!(matches!(&news, KeyNews::Gone { key, revision: Some(_) } if left.remove(key)), "{news:?}");
    }
    // What has ended is cancelled while news are waited for.
    watch.add("/last", None);
    assert!(matches!(next(&mut *watch).await, KeyNews::Watched { .. }));
    counted(&etcd, 1, 1).await;
    let sent = etcd.metrics().sum(EVENTS, "");
    assert!((kept.len()..=keys.len()).contains(&(sent as usize)), "{sent} events of {} deletions", keys.len());
    drop(watch);
    counted(&etcd, 0, 0).await;
}

#[tokio::test]
async fn a_watch_begins_where_it_is_to() {
    let (etcd, cluster) = started().await;
    let before = run(&cluster, vec![put("/a"), put("/b")]).await;
    let deleted = run(&cluster, vec![delete("/a")]).await;
    let after = run(&cluster, vec![put("/a"), put("/c")]).await;
    let mut watch = cluster.watch_keys(PATIENCE);
    // etcd goes through the past of all such watches at once: what is told of the second is told of the first, too.
    for (key, from) in [("/b", Some(before)), ("/a", Some(before)), ("/a", Some(after)), ("/a", None)] {
        watch.add(key, from);
        assert_eq!(next(&mut *watch).await, watched(key, after));
        if from == Some(before) && key == "/a" {
            assert_eq!(next(&mut *watch).await, gone("/a", deleted));
        }
    }
    counted(&etcd, 1, 2).await;
    let end = run(&cluster, vec![delete("/a")]).await;
    assert_eq!(next(&mut *watch).await, gone("/a", end));

    etcd.ctl(&["compact", &end.to_string()]);
    watch.add("/a", Some(after));
    assert_eq!(next(&mut *watch).await, watched("/a", end));
    assert_eq!(next(&mut *watch).await, gone("/a", None));
    // The others are none the worse for it.
    let end = run(&cluster, vec![delete("/b")]).await;
    assert_eq!(next(&mut *watch).await, gone("/b", end));
    watch.add("/c", None);
    assert_eq!(next(&mut *watch).await, watched("/c", end));
    counted(&etcd, 1, 1).await;
}

#[tokio::test]
async fn the_end_of_a_former_life_is_not_that_of_the_next() {
    let (etcd, cluster) = started().await;
    run(&cluster, vec![put("/a")]).await;
    let mut watch = cluster.watch_keys(PATIENCE);
    watch.add("/a", None);
    assert!(matches!(next(&mut *watch).await, KeyNews::Watched { .. }));
    for _ in 0..20 {
        run(&cluster, vec![delete("/a")]).await;
        let again = run(&cluster, vec![put("/a")]).await;
        // What was deleted is on its way.
        watch.remove("/a");
        watch.add("/a", None);
        assert_eq!(next(&mut *watch).await, watched("/a", again));
    }
    let deleted = run(&cluster, vec![delete("/a")]).await;
    assert_eq!(next(&mut *watch).await, gone("/a", deleted));
    watch.add("/b", None);
    assert_eq!(next(&mut *watch).await, watched("/b", deleted));
    counted(&etcd, 1, 1).await;
}

#[tokio::test]
async fn what_is_removed_before_it_is_watched_leaves_nothing() {
    let (etcd, cluster) = started().await;
    let mut watch = cluster.watch_keys(PATIENCE);
    assert!(watch.next().now_or_never().is_none(), "there is nothing to tell");
    counted(&etcd, 0, 0).await;
    watch.add("/never", None);
    watch.remove("/never");
    // The stream is opened with the first of these, and all were asked for when they are removed.
    for key in ["/a", "/b", "/c"] {
        watch.add(key, None);
        assert!(watch.next().now_or_never().is_none());
    }
    ["/a", "/b", "/c"].iter().for_each(|key| watch.remove(key));
    watch.add("/d", None);
    assert_eq!(next(&mut *watch).await, watched("/d", 1));
    counted(&etcd, 1, 1).await;
}

#[tokio::test]
async fn who_gives_up_waiting_again_and_again_misses_nothing() {
    let (etcd, cluster) = started().await;
    let mut watch = cluster.watch_keys(PATIENCE);
    let keys: Vec<_> = (0..500).map(|n| format!("/k/{n}")).collect();
    keys.iter().for_each(|key| watch.add(key, None));
    let mut told = Vec::new();
    eventually("all are watched", async || {
        while let Some(news) = watch.next().now_or_never() {
            told.push(news.unwrap());
        }
        told.len() == keys.len()
    })
    .await;
    assert!(keys.iter().zip(&told).all(|(key, news)| *news == watched(key, 1)));
    counted(&etcd, 1, keys.len()).await;
}

#[tokio::test]
async fn a_broken_connection_ends_it_and_silence_its_opening() {
    let (etcd, cluster) = started().await;
    let proxy = Proxy::start(&etcd.endpoint());
    let far = connect(proxy.endpoint(), &Access::default()).await;
    let mut watch = far.watch_keys(PATIENCE);
    watch.add("/a", None);
    assert_eq!(next(&mut *watch).await, watched("/a", 1));
    proxy.set(Mood::DOWN);
    for _ in 0..2 {
        assert!(matches!(end(&mut *watch).await, Fault::NotDone(_)));
    }
    proxy.set(Mood::HOLE);
    let mut watch = far.watch_keys(Duration::from_secs(1));
    watch.add("/a", None);
    let begun = Instant::now();
    assert!(matches!(end(&mut *watch).await, Fault::Doubt(_) | Fault::NotDone(_)));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(matches!(end(&mut *watch).await, Fault::NotDone(_)));

    proxy.set(Mood::NORMAL);
    let mut watch = far.watch_keys(PATIENCE);
    watch.add("/a", None);
    assert_eq!(next(&mut *watch).await, watched("/a", 1));
    run(&cluster, vec![put("/a")]).await;
    let deleted = run(&cluster, vec![delete("/a")]).await;
    assert_eq!(next(&mut *watch).await, gone("/a", deleted));
    drop(watch);
    counted(&etcd, 0, 0).await;
}

#[tokio::test]
async fn no_permission_is_a_matter_of_a_key_and_an_old_token_one_of_the_stream() {
    let mut etcd = Etcd::start();
    etcd.enable_users("ann", "secret", "/ours/");
    let access = Access { user: Some(("ann".into(), "secret".into())), ..Access::default() };
    let cluster = connect(&etcd.endpoint(), &access).await;
    let mut watch = cluster.watch_keys(PATIENCE);
    for key in ["/theirs/1", "/ours/1", "/theirs/2", "/ours/2"] {
        watch.add(key, None);
        let news = next(&mut *watch).await;
        match key.starts_with("/ours/") {
            true => assert!(matches!(news, KeyNews::Watched { .. }), "{news:?}"),
            false => assert_eq!(news, gone(key, None)),
        }
    }
    counted(&etcd, 1, 2).await;
    // A user who was made anew needs a new token. The stream goes on, but for what is added.
    for change in
        [&["user", "delete", "ann"][..], &["user", "add", "ann:secret"], &["user", "grant-role", "ann", "ours"]]
    {
        etcd.ctl(change);
    }
    etcd.ctl(&["put", "/ours/2", ""]);
    etcd.ctl(&["del", "/ours/2"]);
    let deleted = etcd.revision();
    assert_eq!(next(&mut *watch).await, gone("/ours/2", deleted));
    eventually("the stream is given up", async || {
        watch.add("/ours/3", None);
        match timeout(PATIENCE, watch.next()).await.unwrap() {
            // So say the releases that do not tell that it is the token.
            Ok(news) => assert_eq!(news, gone("/ours/3", None)),
            Err(fault) => assert!(matches!(fault, Fault::NotDone(_)), "{fault:?}"),
        }
        watch.next().now_or_never().is_some_and(|ended| ended.is_err())
    })
    .await;
    let mut watch = cluster.watch_keys(PATIENCE);
    watch.add("/ours/3", None);
    assert_eq!(next(&mut *watch).await, watched("/ours/3", deleted));
}

#[test]
fn who_is_denied_by_an_old_stream_gets_another_token() {
    let denied = || Failure::new(Verdict::Refused, ErrorKind::Denied, "permission denied");
    assert!(judge(denied(), FRESH / 2).is_ok());
    assert_eq!(judge(denied(), FRESH).unwrap_err().verdict, Verdict::TokenStale);
    let of_the_key = Failure::new(Verdict::Compacted, ErrorKind::Internal, "compacted");
    assert!(judge(of_the_key, FRESH).is_ok());
}
