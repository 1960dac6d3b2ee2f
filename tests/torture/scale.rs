//! Rows 26 to 28: many events, many locks, many waiters.

use crate::measure::{Times, millis, now};
use crate::row::{Figure, Outcome, Trials};
use crate::worker::{Task, input};
use etcd_client::GetOptions;
use futures_util::{StreamExt, stream};
use locker::Client;
use locker_harness::{Etcd, PATIENCE, Process, eventually};
use rustix::process::{Pid, Signal, getpid};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const MIB: u64 = 1 << 20;

/// Events come while nobody reads them; the lock that is held beside is renewed, and the last event is not lost.
pub(crate) async fn slow_watcher(trials: Trials) -> Outcome {
    let etcd = Etcd::start();
    let task = Task { what: "watch", endpoints: etcd.endpoint(), name: "busy".into(), ttl: 10, more: String::new() };
    let mut worker = Process::start(task.command());
    worker.line_with("watching");
    let begun = Instant::now();
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    let put = |n: u32| {
        let mut client = client.clone();
        async move { client.put("/locker/busy/x", n.to_string(), None).await.unwrap() }
    };
    stream::iter(0..trials.count).map(put).buffer_unordered(50).collect::<Vec<_>>().await;
    put(trials.count).await;
    // The reader is to sleep for a minute, of all trials.
    sleep_until(begun + Duration::from_secs(trials.of(60).into())).await;
    worker.write("read\n");
    let number = |what: &str| worker.line_with(what).split(' ').nth(1).unwrap().parse::<u64>().unwrap();
    let (least, growth, last) = (number("remaining"), number("memory"), number("last"));
    assert_eq!(last, u64::from(trials.count), "the newest state wins");
    // A beat every third of the TTL of 10 s, from 9 s on.
    let late = (9000 - 3333_u64).saturating_sub(least);
    assert!(late <= u64::from(trials.limit(200)), "a renewal was {late} ms late");
    assert!(growth <= 20 * MIB, "memory grew by {growth} bytes");
    worker.end();
    Ok(Figure(format!("renewed at most {late} ms late; memory grew by {} KiB; the newest was read", growth / 1024)))
}

/// What the worker does: it watches, holds a lock, and does not read until it is told to.
pub(crate) async fn drain_late(client: &Client, name: &str) -> ExitCode {
    let guard = client.lock("beside").await.expect("the lock can be had");
    let mut watcher = client.watch(name).await.expect("etcd answers");
    let (before, mut least, mut input) = (memory(getpid()), guard.remaining(), input());
    println!("watching");
    loop {
        tokio::select! {
            _ = input.recv() => break,
            () = sleep(millis(5)) => least = least.min(guard.remaining()),
        }
    }
    println!("remaining {}\nmemory {}", least.as_millis(), memory(getpid()).saturating_sub(before));
    let mut last = String::new();
    while let Ok(Some(Ok(info))) = timeout(millis(1000), watcher.next()).await {
        last = info.value.clone();
    }
    println!("last {last}");
    ExitCode::SUCCESS
}

/// One client holds thousands of locks for a minute and dies.
pub(crate) async fn many_locks(trials: Trials) -> Outcome {
    let ttl = trials.of(30).max(6);
    let etcd = Etcd::start();
    let more = trials.count.to_string();
    let task = Task { what: "many", endpoints: etcd.endpoint(), name: "many".into(), ttl, more };
    let mut worker = Process::start(task.command());
    let acquired: u64 = worker.line_with("acquired ").split(' ').nth(1).unwrap().parse().unwrap();
    let (begun, busy) = (now(), processor(worker.pid()));
    sleep(Duration::from_secs(trials.of(60).max(5).into())).await;
    let percent = 100.0 * (processor(worker.pid()) - busy).as_secs_f64() / (now() - begun).as_secs_f64();
    let memory = memory(worker.pid()) / MIB;
    worker.write("count\n");
    assert_eq!(worker.line_with("held "), format!("held {}", trials.count));

    worker.signal(Signal::KILL);
    let killed = now();
    let mut client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    let options = GetOptions::new().with_prefix().with_count_only();
    let limit = Duration::from_secs(u64::from(ttl) + 11);
    while client.get("/locker/many", Some(options.clone())).await.unwrap().count() > 0 {
        assert!(now() - killed <= limit, "not all free after {limit:?}");
        sleep(millis(100)).await;
    }
    let freed = (now() - killed).as_secs_f64();
    let figure = format!(
        "acquired in {acquired} ms; 0 lost; {percent:.1} % of a processor, {memory} MiB; free after {freed:.1} s"
    );
    assert!(acquired <= 20_000 && percent <= 15.0 && memory <= 200, "{figure}");
    Ok(Figure(figure))
}

/// What the worker does.
pub(crate) async fn hold_many(client: &Client, count: usize) -> ExitCode {
    let (begun, mut guards) = (now(), Vec::new());
    let lock = |n| client.lock(format!("many-{n}")).into_future();
    let mut acquiring = stream::iter(0..count).map(lock).buffer_unordered(1000);
    while let Some(guard) = acquiring.next().await {
        guards.push(guard.expect("the lock can be had"));
    }
    println!("acquired {}", (now() - begun).as_millis());
    let _ = input().recv().await;
    println!("held {}", guards.iter().filter(|guard| guard.held()).count());
    std::future::pending().await
}

/// A lock for which a thousand wait changes hands: first from one client to another, then among the guards of that.
pub(crate) async fn many_waiters(trials: Trials) -> Outcome {
    const WAITERS: usize = 1000;
    let etcd = Etcd::start();
    let connect = async || Client::connect(etcd.endpoint()).ttl(Duration::from_secs(30)).await.unwrap();
    let (client, other) = (connect().await, connect().await);
    let mut holder = client.lock("wanted").await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..WAITERS {
        waiting.push(other.lock("wanted").start().unwrap());
    }
    eventually("they wait", async || client.get("wanted").await.unwrap().waiters == 1).await;
    let before = etcd.metrics();
    let mut times = Times::default();
    for _ in 0..trials.count {
        let begun = now();
        holder.unlock().await.unwrap();
        let all = waiting.iter().map(|guard| Box::pin(guard.wait(None)));
        let (won, first, _) = timeout(PATIENCE, futures_util::future::select_all(all)).await.unwrap();
        won.unwrap();
        times.add(now() - begun);
        holder = waiting.swap_remove(first);
    }
    let after = etcd.metrics();
    let grown = |name: &str, label: &str| (after.sum(name, label) - before.sum(name, label)) / f64::from(trials.count);
    let calls = grown("grpc_server_started_total", "grpc_type=\"unary\"");
    let messages = grown("grpc_server_msg_sent_total", "grpc_method=\"Watch\"");
    assert!(calls <= 6.0, "{calls} calls for each handover");
    assert!(messages <= 2.0, "{messages} messages of watches for each handover");
    Ok(Figure(format!("{calls:.2} calls and {messages:.2} watch messages a handover; {times}")))
}

/// The memory that a process has in use, in bytes.
fn memory(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// The time that processors have spent on a process.
fn processor(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).expect("it runs");
    let fields: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
    Duration::from_secs_f64((ticks(11) + ticks(12)) as f64 / rustix::param::clock_ticks_per_second() as f64)
}
