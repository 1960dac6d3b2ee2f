//! A lock taken on trial.

use super::endpoints::{NAME, Seen};
use super::finding::{Finding, Report};
use crate::exit::{self, Failure};
use locker::{Client, Guard, Result};
use std::time::{Duration, Instant};

/// Below it a change of etcd's leader may cost held locks.
const SHORT: Duration = Duration::from_secs(6);
/// A beat is due after a third of the time to live, and what is this much slower than usual must not miss it.
const SLOW: u32 = 20;

/// Takes a lock that nobody else wants, has all endpoints look at it, and gives it back.
pub(crate) async fn run(
    report: &mut Report,
    client: &Client,
    seen: &[Seen],
    asked: Duration,
) -> std::result::Result<(), Failure> {
    let name = format!("{NAME} {}", std::process::id());
    let begun = Instant::now();
    let guard = match client.lock(&*name).reason("a trial").timeout(Duration::ZERO).await {
        Ok(guard) => guard,
        Err(error) => return report.fail("lock", "", error).await,
    };
    let took = begun.elapsed();
    report.tell(ttl(&guard, asked, took)).await?;
    let elsewhere = elsewhere(report, &guard, seen).await?;
    let outcome = match elsewhere {
        true => finish(client, &guard).await,
        false => guard.unlock().await,
    };
    match outcome {
        Ok(()) => {
            let detail = format!("had under {:?} in {:.1} ms, watched, given back", report.prefix, millis(took));
            report.tell(Finding::ok("lock", "", detail).with_latency(millis(took))).await?;
        }
        Err(error) => report.fail("lock", "", error).await?,
    }
    let _ = client.disconnect().await;
    Ok(())
}

/// Whether a watch sees the holder, and the end of its hold.
async fn finish(client: &Client, guard: &Guard) -> Result<()> {
    let mut watcher = client.watch(guard.name()).await?;
    let token = guard.token();
    while let Some(info) = watcher.next().await {
        if info?.token == token {
            break;
        }
    }
    guard.unlock().await?;
    while let Some(info) = watcher.next().await {
        if info?.token == 0 {
            break;
        }
    }
    Ok(())
}

/// Whether all endpoints know of the lock. Two that do not know of the same locks are no cluster.
async fn elsewhere(report: &mut Report, guard: &Guard, seen: &[Seen]) -> std::result::Result<bool, Failure> {
    let mut all = true;
    for Seen { url, client } in seen {
        match client.get(guard.name()).await {
            Ok(info) if info.token == guard.token() => continue,
            Ok(_) => {
                let detail = "it does not know of a lock that another endpoint gave: they are not of one cluster";
                let advice = "name endpoints of one cluster only; else two hold one lock";
                report.tell(Finding::problem("cluster", url, exit::CONFIG, detail, advice)).await?;
            }
            Err(error) => report.fail("cluster", url, error).await?,
        }
        all = false;
    }
    if all {
        let detail = match seen.len() {
            1 => "one endpoint".into(),
            many => format!("all {many} endpoints know of one lock"),
        };
        report.tell(Finding::ok("cluster", "", detail)).await?;
    }
    Ok(all)
}

/// What etcd has granted: it has a least one.
fn ttl(guard: &Guard, asked: Duration, took: Duration) -> Finding {
    let left = guard.remaining();
    let text = format!("{} s, of which {:.1} s are good for holding", asked.as_secs_f64(), left.as_secs_f64());
    if left > asked {
        let detail = format!("asked for {} s, but etcd grants more: {text}", asked.as_secs_f64());
        let advice = "give a greater --ttl, or have etcd elect faster (--election-timeout)";
        Finding::warning("ttl", "", detail, advice)
    } else if took * SLOW > asked {
        let detail = format!("{text}; a lock took {:.0} ms, which is long for that", millis(took));
        Finding::warning("ttl", "", detail, "give a greater --ttl, or see to etcd's disks and the network")
    } else if asked < SHORT {
        let detail = format!("{text}; a change of etcd's leader may cost held locks");
        Finding::warning("ttl", "", detail, "give --ttl 6s or more")
    } else {
        Finding::ok("ttl", "", text)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
