//! What comes late: when nobody waits for it any more.

use super::{client, seconds};
use crate::middleman::{Fate, Late, Middleman};
use locker_harness::{Etcd, PATIENCE};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_release_that_comes_late_hits_no_later_hold() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = client(&middleman.endpoint).await;
    let guard = client.lock("x").await.unwrap();
    let key = guard.key();
    let (late, is_first) = (Arc::new(Late::default()), AtomicBool::new(true));
    let first = late.clone();
    middleman.set(move |call| match call.method == "DeleteRange" && is_first.swap(false, Ordering::SeqCst) {
        true => Fate::Late(first.clone()),
        false => Fate::Passed,
    });
    // It is sent once more.
    guard.unlock().await.unwrap();
    let again = client.lock("x").await.unwrap();
    assert_eq!(middleman.count("DeleteRange"), 2);
    timeout(PATIENCE, late.let_go()).await.unwrap();
    assert!(timeout(seconds(1), again.lost()).await.is_err(), "lost by a release of {key}, held with {}", again.key());
    assert_ne!(again.key(), key);
}

/// It is sent again meanwhile; but only the first is ever answered.
#[tokio::test]
async fn an_answer_that_takes_longer_than_an_attempt_is_listened_to() {
    const SLOW: Duration = Duration::from_millis(900);
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = client(&middleman.endpoint).await;
    let is_first = AtomicBool::new(true);
    middleman.set(move |call| match call.method.as_str() {
        "Range" if is_first.swap(false, Ordering::SeqCst) => Fate::Delayed(SLOW),
        "Range" => Fate::Swallowed,
        _ => Fate::Passed,
    });
    let before = middleman.count("Range");
    client.get("x").await.unwrap();
    assert!(middleman.count("Range") > before + 1, "it was sent once");
    // How long that takes is known now.
    middleman.set(|call| if call.method == "Range" { Fate::Delayed(SLOW) } else { Fate::Passed });
    let before = middleman.count("Range");
    client.get("x").await.unwrap();
    assert_eq!(middleman.count("Range") - before, 1);
}
