//! locker, by its public interface only.

use super::measure::{Locks, each_its_own, one_after_the_other, succeed};
use super::usage::Clock;
use super::{answer, commands, millis, scale};
use crate::Result;
use locker::{Client, Guard};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

impl Locks for Client {
    type Held = Guard;

    async fn lock(&self, name: &str) -> Result<Guard> {
        Ok(Client::lock(self, name).await?)
    }

    async fn unlock(&self, guard: Guard) -> Result<()> {
        Ok(guard.unlock().await?)
    }
}

pub(super) async fn serve(endpoints: &str) -> Result<()> {
    let client = Client::connect(endpoints).await?;
    let mut kept = Vec::new();
    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        let words: Vec<_> = command.split_whitespace().collect();
        answer(&match words[..] {
            ["loop", name, count] => one_after_the_other(&client, name, count.parse()?).await?,
            ["keys", name, callers, count] => each_its_own(&client, name, callers.parse()?, count.parse()?).await?,
            ["together", name, many, count] => together(&client, name, many.parse()?, count.parse()?).await?,
            ["singly", name, many, count] => singly(&client, name, many.parse()?, count.parse()?).await?,
            ["handover", name, waiters, warm_up, time] => {
                handover(&client, name, waiters.parse()?, millis(warm_up)?, millis(time)?).await?
            }
            ["section", name, work, time] => section(&client, name, millis(work)?, millis(time)?).await?,
            ["hold", name, callers, count] => {
                scale::hold(&client, name, callers.parse()?, count.parse()?, &mut kept).await?
            }
            ["idle", time] => scale::idle(millis(time)?).await?,
            ["cached", name, count] => scale::cached(&client, name, count.parse()?).await?,
            ["fanout", name, watchers, count] => {
                scale::fan_out(&client, endpoints, name, watchers.parse()?, count.parse()?).await?
            }
            ["gaps", name, pause, time] => gaps(&client, name, millis(pause)?, millis(time)?).await?,
            _ => return Err(format!("no such command: {command}").into()),
        });
    }
    Ok(client.disconnect().await?)
}

/// So often, so many locks in one request.
async fn together(client: &Client, name: &str, many: usize, count: usize) -> Result<Value> {
    let names: Vec<_> = (0..many).map(|n| format!("{name}-{n}")).collect();
    let clock = Clock::start();
    for _ in 0..count {
        client.lock_all(&names).await?.unlock().await?;
    }
    Ok(clock.stop())
}

/// The same one after the other.
async fn singly(client: &Client, name: &str, many: usize, count: usize) -> Result<Value> {
    let names: Vec<_> = (0..many).map(|n| format!("{name}-{n}")).collect();
    let clock = Clock::start();
    for _ in 0..count {
        let mut guards = Vec::new();
        for name in &names {
            guards.push(client.lock(name).await?);
        }
        for guard in guards {
            guard.unlock().await?;
        }
    }
    Ok(clock.stop())
}

/// How often one lock changes hands in that time, after so much that does not count.
async fn handover(client: &Client, name: &str, waiters: usize, warm_up: Duration, time: Duration) -> Result<Value> {
    let begin = Instant::now() + warm_up;
    let end = begin + time;
    let mut all = JoinSet::new();
    for _ in 0..waiters {
        let (client, name) = (client.clone(), name.to_string());
        all.spawn(async move {
            let mut count = 0;
            while Instant::now() < end {
                let guard = client.lock(&name).await?;
                let now = Instant::now();
                count += u64::from(begin < now && now < end);
                guard.unlock().await?;
            }
            Ok(count)
        });
    }
    let counts = succeed(all).await?;
    Ok(json!({"count": counts.iter().sum::<u64>()}))
}

/// Takes a lock again and again and works under it so long. When, for each: in nanoseconds since 1970, since other
/// processes do the same.
async fn section(client: &Client, name: &str, work: Duration, time: Duration) -> Result<Value> {
    let end = Instant::now() + time;
    let mut spans = Vec::new();
    while Instant::now() < end {
        let guard = client.lock(name).await?;
        let begun = now()?;
        sleep(work).await;
        spans.push([begun, now()?]);
        guard.unlock().await?;
    }
    Ok(json!({"spans": spans}))
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos().try_into()?)
}

/// Takes a lock again and again; the longest time without success, how many calls failed, and whether a lock that was
/// held all the time still is.
async fn gaps(client: &Client, name: &str, pause: Duration, time: Duration) -> Result<Value> {
    let kept = client.lock(format!("{name}-kept")).await?;
    let (mut errors, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
    let end = last + time;
    while Instant::now() < end {
        match once(client, name).await {
            Ok(()) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            Err(_) => errors += 1,
        }
        sleep(pause).await;
    }
    let is_kept = kept.held();
    // One that was lost has been told of already.
    let _ = kept.unlock().await;
    Ok(json!({"gap": longest.max(last.elapsed()).as_secs_f64(), "errors": errors, "kept": is_kept}))
}

async fn once(client: &Client, name: &str) -> locker::Result<()> {
    client.lock(name).await?.unlock().await
}
