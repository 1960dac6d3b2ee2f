//! What is done in the same way with locks of ours and with raw requests.

use super::usage::Clock;
use crate::Result;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

/// Something that gives locks.
pub(super) trait Locks: Clone + Send + Sync + 'static {
    type Held: Send;
    fn lock(&self, name: &str) -> impl Future<Output = Result<Self::Held>> + Send;
    fn unlock(&self, held: Self::Held) -> impl Future<Output = Result<()>> + Send;
}

/// One caller takes one lock again and again.
pub(super) async fn one_after_the_other<L: Locks>(locks: &L, name: &str, count: usize) -> Result<Value> {
    let clock = Clock::start();
    for _ in 0..count {
        let held = locks.lock(name).await?;
        locks.unlock(held).await?;
    }
    Ok(clock.stop())
}

/// Callers with a name each share so many operations.
pub(super) async fn each_its_own<L: Locks>(locks: &L, name: &str, callers: usize, count: usize) -> Result<Value> {
    let left = Arc::new(AtomicUsize::new(count));
    let clock = Clock::start();
    let mut all = JoinSet::new();
    for caller in 0..callers {
        let (locks, name, left) = (locks.clone(), format!("{name}-{caller}"), left.clone());
        all.spawn(async move {
            while take_one(&left) {
                let held = locks.lock(&name).await?;
                locks.unlock(held).await?;
            }
            Ok(())
        });
    }
    succeed(all).await?;
    Ok(clock.stop())
}

/// Takes one of those that are left, if there are any.
pub(super) fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Waits for all; fails with the first that does.
pub(super) async fn succeed<T: 'static>(mut all: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::with_capacity(all.len());
    while let Some(one) = all.join_next().await {
        done.push(one??);
    }
    Ok(done)
}
