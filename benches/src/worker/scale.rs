//! Many locks of one client, and many watchers.

use super::measure::{each_its_own, succeed, take_one};
use super::usage::{Clock, resident};
use crate::Result;
use locker::{Client, Guard};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Takes so many locks and keeps them. What memory they take is told with them, but not what the first use of a client
/// takes; and a guard is a part of what its lock takes.
pub(super) async fn hold(
    client: &Client,
    name: &str,
    callers: usize,
    count: usize,
    kept: &mut Vec<Guard>,
) -> Result<Value> {
    each_its_own(client, &format!("{name}-warm"), callers, callers).await?;
    let before = resident()?;
    let guards = Arc::new(Mutex::new(Vec::with_capacity(count)));
    let left = Arc::new(AtomicUsize::new(count));
    let clock = Clock::start();
    let mut all = JoinSet::new();
    for caller in 0..callers {
        let (client, name, guards, left) = (client.clone(), format!("{name}-{caller}"), guards.clone(), left.clone());
        all.spawn(async move {
            for n in 0.. {
                if !take_one(&left) {
                    break;
                }
                let guard = client.lock(format!("{name}-{n}")).await?;
                guards.lock().expect("nobody panics").push(guard);
            }
            Ok(())
        });
    }
    succeed(all).await?;
    let mut answer = clock.stop();
    kept.append(&mut guards.lock().expect("nobody panics"));
    answer["before"] = json!(before);
    answer["after"] = json!(resident()?);
    Ok(answer)
}

/// What it costs to do nothing.
pub(super) async fn idle(time: Duration) -> Result<Value> {
    let clock = Clock::start();
    sleep(time).await;
    let mut answer = clock.stop();
    answer["resident"] = json!(resident()?);
    Ok(answer)
}

/// So often, who holds a lock that is watched, from memory.
pub(super) async fn cached(client: &Client, name: &str, count: usize) -> Result<Value> {
    let guard = client.lock(name).await?;
    let mut watcher = client.watch(name).await?;
    let held = watcher.next().await.ok_or("the watcher has ended")??;
    let clock = Clock::start();
    for _ in 0..count {
        let info = client.cached(black_box(name)).ok_or("it is not known")?;
        if info.token != held.token {
            return Err("another holds it".into());
        }
    }
    let answer = clock.stop();
    guard.unlock().await?;
    Ok(answer)
}

/// The times from a change, by another client, until all watchers have been told.
pub(super) async fn fan_out(
    client: &Client,
    endpoints: &str,
    name: &str,
    watchers: usize,
    count: usize,
) -> Result<Value> {
    let changer = Client::connect(endpoints).await?;
    let (tell, mut told) = unbounded_channel();
    let mut all = JoinSet::new();
    for _ in 0..watchers {
        all.spawn(watch(client.clone(), name.to_string(), tell.clone()));
    }
    hear(&mut told, watchers, 0).await?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count.div_ceil(2) {
        let begun = Instant::now();
        let guard = changer.lock(name).await?;
        hear(&mut told, watchers, guard.token()).await?;
        times.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        guard.unlock().await?;
        hear(&mut told, watchers, 0).await?;
        times.push(begun.elapsed().as_secs_f64());
    }
    all.abort_all();
    changer.disconnect().await?;
    Ok(json!({"times": times}))
}

async fn watch(client: Client, name: String, tell: UnboundedSender<i64>) -> Result<()> {
    let mut watcher = client.watch(name).await?;
    while let Some(info) = watcher.next().await {
        let _ = tell.send(info?.token);
    }
    Ok(())
}

/// Waits until so many have been told of this token.
async fn hear(told: &mut UnboundedReceiver<i64>, watchers: usize, token: i64) -> Result<()> {
    let mut left = watchers;
    while left > 0 {
        left -= usize::from(told.recv().await.ok_or("no watcher is left")? == token);
    }
    Ok(())
}
